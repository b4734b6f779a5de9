#include "core/pgoutput.h"

#include <string>

#include "core/bytes.h"

namespace realtime {
namespace {

constexpr uint8_t kIdentityFlag = 1;
constexpr size_t kMinColumnBytes = 10;  // flags, an empty name's NUL, type, typmod

// Reads one message. Each Read function returns null, or the name of the field that is wrong; what a failed ByteReader
// hands out is zero, so the field it failed in is named by the first check that follows.
class Parser {
 public:
  Parser(std::string_view bytes, PgoutputMessage* out) : in_(bytes), out_(out) {}

  Status Parse() {
    char type = static_cast<char>(in_.U8());
    if (!in_.ok()) return Status(Code::kMalformed, "pgoutput: empty message");
    const char* wrong = Dispatch(type);
    if (wrong == nullptr && !in_.ok()) wrong = "message too short";
    if (wrong == nullptr && !in_.AtEnd()) wrong = "bytes after the last field";
    if (wrong == nullptr) return Status::Ok();
    return Status(Code::kMalformed, "pgoutput " + Name(type) + ": " + wrong);
  }

 private:
  using Kind = PgoutputMessage::Kind;

  static std::string Name(char type) {
    switch (type) {
      case 'B': return "Begin";
      case 'C': return "Commit";
      case 'R': return "Relation";
      case 'I': return "Insert";
      case 'U': return "Update";
      case 'D': return "Delete";
      case 'T': return "Truncate";
      case 'Y': return "Type";
      case 'O': return "Origin";
      case 'M': return "Message";
      default: return "message type " + std::to_string(static_cast<uint8_t>(type));
    }
  }

  const char* Dispatch(char type) {
    out_->kind = Kind::kIgnored;
    switch (type) {
      case 'B': return ReadBegin();
      case 'C': return ReadCommit();
      case 'R': return ReadRelation();
      case 'I': return ReadInsert();
      case 'U': return ReadUpdate();
      case 'D': return ReadDelete();
      case 'T': return SkipTruncate();
      case 'Y': return SkipType();
      case 'O': return SkipOrigin();
      case 'M': return SkipMessage();
      default: return "unknown";
    }
  }

  const char* ReadBegin() {
    out_->kind = Kind::kBegin;
    out_->commit_lsn = in_.U64();
    out_->end_lsn = 0;
    out_->commit_time_us = static_cast<int64_t>(in_.U64());
    out_->xid = in_.U32();
    return in_.ok() && out_->commit_lsn == 0 ? "final LSN is not set" : nullptr;
  }

  const char* ReadCommit() {
    out_->kind = Kind::kCommit;
    if (in_.U8() != 0) return "unknown flags";
    out_->commit_lsn = in_.U64();
    out_->end_lsn = in_.U64();
    out_->commit_time_us = static_cast<int64_t>(in_.U64());
    out_->xid = 0;
    return nullptr;
  }

  const char* ReadRelation() {
    out_->kind = Kind::kRelation;
    RelationInfo& relation = out_->relation;
    relation.oid = in_.U32();
    std::string_view schema = in_.CString();
    relation.schema = schema.empty() ? "pg_catalog" : schema;  // the plugin saves these bytes
    relation.table = in_.CString();
    if (!in_.ok()) return "bad name";
    relation.replica_identity = static_cast<char>(in_.U8());
    if (std::string_view("dnfi").find(relation.replica_identity) == std::string_view::npos) {
      return "unknown replica identity";
    }
    return ReadColumns(&relation.columns);
  }

  const char* ReadColumns(std::vector<RelationColumn>* columns) {
    size_t count = in_.U16();
    if (count > kMaxColumns || count * kMinColumnBytes > in_.remaining()) return "bad number of columns";
    columns->resize(count);
    for (RelationColumn& column : *columns) {
      column.identity = (in_.U8() & kIdentityFlag) != 0;
      column.name = in_.CString();
      column.type_oid = in_.U32();
      column.typmod = static_cast<int32_t>(in_.U32());
      if (!in_.ok()) return "bad column";
    }
    return nullptr;
  }

  RowChange* StartRow(ChangeKind kind) {
    out_->kind = Kind::kRow;
    RowChange& row = out_->row;
    row.kind = kind;
    row.relation_oid = in_.U32();
    row.old_kind = OldRow::kNone;
    row.old_row.clear();
    row.new_row.clear();
    return &row;
  }

  const char* ReadInsert() {
    RowChange* row = StartRow(ChangeKind::kInsert);
    if (in_.U8() != 'N') return "no new tuple";
    return ReadTuple(&row->new_row) ? nullptr : "bad new tuple";
  }

  const char* ReadUpdate() {
    RowChange* row = StartRow(ChangeKind::kUpdate);
    uint8_t mark = in_.U8();
    if (mark == 'K' || mark == 'O') {
      if (!ReadOldTuple(mark, row)) return "bad old tuple";
      mark = in_.U8();
    }
    if (mark != 'N') return "no new tuple";
    return ReadTuple(&row->new_row) ? nullptr : "bad new tuple";
  }

  const char* ReadDelete() {
    RowChange* row = StartRow(ChangeKind::kDelete);
    uint8_t mark = in_.U8();
    if (mark != 'K' && mark != 'O') return "no old tuple";
    return ReadOldTuple(mark, row) ? nullptr : "bad old tuple";
  }

  bool ReadOldTuple(uint8_t mark, RowChange* row) {
    row->old_kind = mark == 'K' ? OldRow::kKey : OldRow::kFull;
    return ReadTuple(&row->old_row);
  }

  bool ReadTuple(Row* row) {
    size_t count = in_.U16();
    // A cell takes a byte at least, so a lying count cannot make us allocate.
    if (!in_.ok() || count > kMaxColumns || count > in_.remaining()) return false;
    row->resize(count);
    for (Cell& cell : *row) {
      if (!ReadCell(&cell)) return false;
    }
    return true;
  }

  bool ReadCell(Cell* cell) {
    cell->text = {};
    switch (in_.U8()) {
      case 'n': cell->kind = Cell::Kind::kNull; return in_.ok();
      case 'u': cell->kind = Cell::Kind::kUnchanged; return in_.ok();
      case 't':
        cell->kind = Cell::Kind::kText;
        cell->text = in_.Take(in_.U32());
        return in_.ok();
      default: return false;  // 'b', binary, is sent only when asked for
    }
  }

  const char* SkipTruncate() {
    uint64_t count = in_.U32();
    in_.U8();
    if (count > in_.remaining() / sizeof(uint32_t)) return "bad number of relations";
    in_.Take(count * sizeof(uint32_t));
    return nullptr;
  }

  const char* SkipType() {
    in_.U32();
    in_.CString();
    in_.CString();
    return nullptr;
  }

  const char* SkipOrigin() {
    in_.U64();
    in_.CString();
    return nullptr;
  }

  const char* SkipMessage() {
    in_.U8();
    in_.U64();
    in_.CString();
    in_.Take(in_.U32());
    return nullptr;
  }

  ByteReader in_;
  PgoutputMessage* out_;
};

}  // namespace

Status ParsePgoutput(std::string_view bytes, PgoutputMessage* out) { return Parser(bytes, out).Parse(); }

bool IsRow(std::string_view bytes) { return bytes.starts_with('I') || bytes.starts_with('U') || bytes.starts_with('D'); }
bool IsCommit(std::string_view bytes) { return bytes.starts_with('C'); }

bool ReadBegin(std::string_view bytes, int64_t* commit_time_us) {
  if (!bytes.starts_with('B')) return false;
  ByteReader in(bytes.substr(1));
  in.U64();  // the commit's LSN
  *commit_time_us = static_cast<int64_t>(in.U64());
  return in.ok();
}

}  // namespace realtime
