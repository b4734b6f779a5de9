// Clauses of a filter that parses can be written down again, fully quoted, and parse to the same; errors are bounded.
#include "core/filter.h"

#include <string>

#include "check.h"
#include "core/json.h"

namespace {

using realtime::FilterClause;
using realtime::FilterOp;

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') quoted.push_back('\\');
    quoted.push_back(c);
  }
  return quoted + "\"";
}

std::string Write(const FilterClause& clause) {
  std::string text = clause.column + (clause.negated ? "=not." : "=") + std::string(realtime::FilterOpName(clause.op)) + ".";
  if (clause.op != FilterOp::kIn) return text + Quoted(clause.value);
  text += "(";
  for (size_t i = 0; i < clause.elements.size(); i++) {
    if (i > 0) text += ",";
    text += clause.is_null[i] ? std::string("NULL") : Quoted(clause.elements[i]);
  }
  return text + ")";
}

// Columns are not quotable: such ones cannot be written down again among several clauses.
bool IsPlain(const std::string& column) {
  return column.find_first_of("\",()=.") == std::string::npos && (column.empty() || static_cast<uint8_t>(column[0]) > ' ');
}

void CheckClause(const FilterClause& clause) {
  FUZZ_CHECK(clause.elements.size() == clause.is_null.size());
  FUZZ_CHECK(clause.elements.size() <= realtime::kMaxInElements);
  FUZZ_CHECK(clause.op == FilterOp::kIn || clause.elements.empty());
  for (size_t i = 0; i < clause.elements.size(); i++) FUZZ_CHECK(!clause.is_null[i] || clause.elements[i].empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (!realtime::json::IsValidUtf8(text)) return 0;  // comes out of the JSON parser
  auto parsed = realtime::ParseFilter(text);
  if (!parsed.ok()) {
    FUZZ_CHECK(!parsed.status.message().empty() && parsed.status.message().size() < 40000);
    FUZZ_CHECK(realtime::json::IsValidUtf8(parsed.status.message()));
    FUZZ_CHECK(parsed.value.empty());
    return 0;
  }
  FUZZ_CHECK(parsed.value.size() <= realtime::kMaxFilterClauses);
  FUZZ_CHECK(realtime::json::IsValidUtf8(realtime::DescribeFilters(parsed.value)));
  std::string written;
  for (const FilterClause& clause : parsed.value) {
    CheckClause(clause);
    if (!IsPlain(clause.column)) return 0;
    written += (written.empty() ? "" : ",") + Write(clause);
  }
  auto again = realtime::ParseFilter(written);
  FUZZ_CHECK(again.ok() && again.value.size() == parsed.value.size());
  for (size_t i = 0; i < again.value.size(); i++) {
    const FilterClause& was = parsed.value[i];
    const FilterClause& is = again.value[i];
    FUZZ_CHECK(is.column == was.column && is.op == was.op && is.negated == was.negated);
    FUZZ_CHECK(is.elements == was.elements && is.is_null == was.is_null);
    FUZZ_CHECK(is.op == FilterOp::kIn || is.value == was.value);
  }
  return 0;
}
