#include "pg/row_json.h"

#include <cstdio>

#include "core/value_json.h"
#include "core/wal_position.h"
#include "pg/failure_log.h"
#include "pg/json_cast.h"
#include "pg/settings.h"

namespace realtime {
namespace {

constexpr const char* kUnauthorized = R"(["Error 401: Unauthorized"])";
constexpr const char* kTooLarge = R"(["Error 413: Payload Too Large"])";
constexpr const char* kPolicyFailed =
    R"(["Error 500: Internal Server Error, RLS policy evaluation failed"])";

void AppendValue(const Column& column, const Cell& cell, const Table& table, Batch* batch, std::string* out) {
  if (cell.kind != Cell::Kind::kText) {
    out->append("null");
    return;
  }
  if (column.facts.backend_json && AppendBackendJson(table, column, cell.text, batch, out)) return;
  bool domain = column.type != column.base_type;
  if (!column.facts.backend_json && AppendJson(*column.facts.shape, cell.text, domain, out)) return;
  AppendText(cell.text, out);
}

struct RecordOptions {
  const Projection* projection;
  bool key_only;
  bool small_only;
};

void AppendRecord(const TableRow& row, const RecordOptions& options, Batch* batch, std::string* out) {
  const Table& table = row.table();
  out->push_back('{');
  bool first = true;
  for (const Column& column : table.columns) {
    if (!options.projection->visible[column.attno - 1] || !row.InPayload(column.attno)) continue;
    if (options.key_only && !column.in_primary_key) continue;
    size_t start = out->size();
    if (!first) out->push_back(',');
    out->append(column.json_key);
    size_t value = out->size();
    AppendValue(column, row.cell(column.attno), table, batch, out);
    if (options.small_only && out->size() - value > kSmallValueBytes) {
      out->resize(start);
      continue;
    }
    first = false;
  }
  out->push_back('}');
}

size_t TextSize(const TableRow& row) {
  size_t total = 0;
  for (size_t i = 0; i < row.size(); ++i) total += row.cell(static_cast<AttrNumber>(i + 1)).text.size();
  return total;
}

// The key for old_record: from the old tuple when there is one, else (key unchanged) from the new. Whether the old row was
// visible is known of a full one only; of the others a replica identity may hold columns that are no key to anybody.
void AppendOldRecord(const EncodeInput& input, bool small_only, Batch* batch, std::string* out) {
  const JudgedChange& change = *input.change;
  bool judged = change.old_kind == OldRow::kFull || !input.feed->table().row_security;
  bool key_only = change.old_kind == OldRow::kNone || !judged || input.verdict == Verdict::kDeliverKey;
  const TableRow& row = change.old_kind == OldRow::kNone ? change.new_row : change.old_row;
  AppendRecord(row, {input.projection, key_only, small_only}, batch, out);
}

void AppendHead(const EncodeInput& input, bool with_time, std::string* out) {
  out->append(R"({"schema":)");
  AppendText(input.feed->info().schema, out);
  out->append(R"(,"table":)");
  AppendText(input.feed->info().table, out);
  out->append(R"(,"commit_timestamp":)");
  if (with_time) {
    out->push_back('"');
    out->append(input.commit_time);
    out->push_back('"');
  } else {
    out->append("null");
  }
  out->append(R"(,"commit_lsn":")").append(FormatWalPosition(input.commit_lsn));
  out->append(R"(","commit_row":)").append(std::to_string(input.commit_row));
  out->append(R"(,"type":")");
  out->append(ChangeKindName(input.change->kind));
  out->push_back('"');
}

// An event that says why there is no data.
std::string ErrorEvent(const EncodeInput& input, const char* errors) {
  std::string out;
  AppendHead(input, false, &out);
  out.append(R"(,"columns":[])");
  if (input.change->kind != ChangeKind::kDelete) out.append(R"(,"record":{})");
  if (input.change->kind != ChangeKind::kInsert) out.append(R"(,"old_record":{})");
  out.append(R"(,"errors":)").append(errors).push_back('}');
  return out;
}

}  // namespace

std::string FormatCommitTime(int64_t commit_time_us) {
  constexpr int64_t kEpochOffsetS = 946684800;  // 2000-01-01 in Unix time
  int64_t ms = commit_time_us / 1000;
  if (commit_time_us % 1000 < 0) --ms;
  int64_t seconds = ms / 1000;
  int64_t rest = ms % 1000;
  if (rest < 0) {
    rest += 1000;
    --seconds;
  }
  pg_time_t unix_time = seconds + kEpochOffsetS;
  pg_tm* tm = pg_gmtime(&unix_time);
  char text[64];
  snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm->tm_year + 1900, tm->tm_mon + 1, tm->tm_mday,
           tm->tm_hour, tm->tm_min, tm->tm_sec, static_cast<int>(rest));
  return text;
}

std::string EncodeChange(const EncodeInput& input, Batch* batch) {
  if (input.verdict == Verdict::kUnauthorized) return ErrorEvent(input, kUnauthorized);
  if (input.verdict == Verdict::kFailed) return ErrorEvent(input, kPolicyFailed);
  const JudgedChange& change = *input.change;
  size_t text_size = TextSize(change.new_row) + TextSize(change.old_row);
  bool too_large = text_size > guc::MaxRecordBytes();

  std::string out;
  out.reserve(512 + (too_large ? 0 : text_size * 2));
  AppendHead(input, true, &out);
  if (input.verdict == Verdict::kDeliverLeft) out.append(R"(,"left_filter":true)");
  out.append(R"(,"columns":)").append(input.projection->columns_json);
  if (change.kind != ChangeKind::kDelete) {
    out.append(R"(,"record":)");
    AppendRecord(change.new_row, {input.projection, false, too_large}, batch, &out);
  }
  if (change.kind != ChangeKind::kInsert) {
    out.append(R"(,"old_record":)");
    AppendOldRecord(input, too_large, batch, &out);
  }
  out.append(R"(,"errors":)").append(too_large ? kTooLarge : "null").push_back('}');
  out.shrink_to_fit();  // thousands may wait in the mailbox, which counts their texts and not the room left in them
  return out;
}

}  // namespace realtime
