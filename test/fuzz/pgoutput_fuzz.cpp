// Fuzzes the parser of the replication stream: bounds, and that reusing a message gives what a fresh one gives. Its rows are
// then read as those of realtime.messages.
#include <cstdint>
#include <cstdlib>

#include "core/json.h"
#include "core/message_row.h"
#include "core/pgoutput.h"

namespace {

using namespace realtime;  // NOLINT: a program of one file

void Check(bool condition) {
  if (!condition) std::abort();
}

void CheckRow(const Row& row, std::string_view bytes) {
  Check(row.size() <= kMaxColumns);
  for (const Cell& cell : row) {
    Check(cell.kind != Cell::Kind::kAbsent);
    if (cell.kind != Cell::Kind::kText) Check(cell.text.empty());
    if (cell.text.empty()) continue;
    Check(cell.text.data() > bytes.data() && cell.text.data() + cell.text.size() <= bytes.data() + bytes.size());
  }
}

bool SameRow(const Row& a, const Row& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); i++) {
    if (a[i].kind != b[i].kind || a[i].text != b[i].text) return false;
  }
  return true;
}

RelationColumn ColumnOf(const char* name, uint32_t type_oid) {
  RelationColumn column;
  column.name = name;
  column.type_oid = type_oid;
  return column;
}

// As the stream describes the table; for every other size of a row with types that are not the table's.
RelationInfo Messages(bool right) {
  constexpr uint32_t kBool = 16, kBytea = 17, kText = 25, kUuid = 2950, kJsonb = 3802;
  RelationInfo info;
  info.schema = "realtime";
  info.table = "messages";
  info.columns = {ColumnOf("topic", kText), ColumnOf("event", kText), ColumnOf("private", right ? kBool : kText),
                  ColumnOf("payload", right ? kJsonb : kText), ColumnOf("binary_payload", right ? kBytea : kText),
                  ColumnOf("id", kUuid)};
  return info;
}

void CheckAsMessage(const Row& row) {
  constexpr size_t kLimit = 100;
  static const RelationInfo kRight = Messages(true), kWrong = Messages(false);
  const bool right = row.size() % 7 != 0;
  Result<BroadcastPtr> read = ReadMessageRow(right ? kRight : kWrong, row, kLimit);
  if (!read.ok()) return Check(!read.status.message().empty());
  if (read.value == nullptr) return;
  Check(right && read.value->payload != nullptr && read.value->payload->size() <= kLimit);
  Check(json::IsValidUtf8(read.value->topic) && json::IsValidUtf8(read.value->event) && json::IsValidUtf8(read.value->id));
}

void CheckMessage(const PgoutputMessage& message, const PgoutputMessage& fresh, std::string_view bytes) {
  Check(message.kind == fresh.kind);
  if (message.kind == PgoutputMessage::Kind::kRow) {
    const RowChange& row = message.row;
    CheckRow(row.old_row, bytes);
    CheckRow(row.new_row, bytes);
    if (row.old_kind == OldRow::kNone) Check(row.old_row.empty());
    if (row.kind == ChangeKind::kDelete) Check(row.new_row.empty());
    CheckAsMessage(row.new_row);
    Check(SameRow(row.old_row, fresh.row.old_row) && SameRow(row.new_row, fresh.row.new_row));
  } else if (message.kind == PgoutputMessage::Kind::kRelation) {
    Check(message.relation.columns.size() <= kMaxColumns);
    Check(message.relation.columns.size() == fresh.relation.columns.size());
    Check(!message.relation.schema.empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static PgoutputMessage* reused = new PgoutputMessage();
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  PgoutputMessage fresh;
  Status status = ParsePgoutput(bytes, &fresh);
  Status again = ParsePgoutput(bytes, reused);
  Check(status.ok() == again.ok() && status.message() == again.message());
  if (status.ok()) {
    CheckMessage(*reused, fresh, bytes);
  } else {
    Check(!status.message().empty());
  }
  return 0;
}
