// Grammar of postgres_changes filters. Meaning (types, operators) is pg/'s business.
#ifndef REALTIME_CORE_FILTER_H_
#define REALTIME_CORE_FILTER_H_

#include "core/pure.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace realtime {

enum class FilterOp : uint8_t { kEq, kNeq, kLt, kLte, kGt, kGte, kIn, kLike, kIlike, kMatch, kImatch, kIs, kIsDistinct };

std::string_view FilterOpName(FilterOp op);  // "eq", "in", ...

struct FilterClause {
  std::string column;
  FilterOp op = FilterOp::kEq;
  bool negated = false;             // "not." before the operator
  std::string value;                // unquoted; for kIn the original text with its parentheses
  // kIn: the elements as text. Unquoted NULL is a null element, which equals nothing and is marked in `is_null`.
  std::vector<std::string> elements;
  std::vector<bool> is_null;

  bool operator==(const FilterClause&) const = default;
};

inline constexpr size_t kMaxFilterClauses = 100;
inline constexpr size_t kMaxInElements = 100;

// `segment("," segment)*`, AND; a segment is `column "=" ["not."] operator "." value`. Blank means no filter. Errors carry
// the reference's text, e.g.
// Error parsing `filter` params: ["foo", "hey"]
Result<std::vector<FilterClause>> ParseFilter(std::string_view text);

// The two steps of ParseFilter, for callers that quote the clauses in the second one's error. First the clauses without
// the elements of `in`; then these, by the rules of PostgreSQL's array literals, where kMalformed and kTooLarge come
// with PostgreSQL's text (the reference lets PostgreSQL parse the list).
Result<std::vector<FilterClause>> ParseFilterClauses(std::string_view text);
Status ParseInElements(std::vector<FilterClause>* clauses);

// [{"id", "eq", "1", false}], as the reference renders filters in messages; bounded.
std::string DescribeFilters(const std::vector<FilterClause>& clauses);

}  // namespace realtime

#endif  // REALTIME_CORE_FILTER_H_
