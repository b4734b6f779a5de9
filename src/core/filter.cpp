#include "core/filter.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/inspect.h"

namespace realtime {
namespace {

constexpr std::string_view kOpNames[] = {"eq",   "neq",   "lt",    "lte",    "gt", "gte",       "in",
                                         "like", "ilike", "match", "imatch", "is", "isdistinct"};
constexpr std::string_view kNot = "not.";
constexpr size_t kMaxDescription = 8192;

// Also what PostgreSQL takes for a blank in array literals.
bool IsBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

Status FilterError(std::string_view detail) {
  return Status(Code::kInvalid, std::string("Error parsing `filter` params: ").append(detail));
}

// Splits at commas outside of parentheses and quotes. A quote opens only where a value or an element can begin, so that
// `name=eq.5"` stays literal. Stops after `limit` segments.
std::vector<std::string_view> SplitTopLevel(std::string_view text, size_t limit) {
  std::vector<std::string_view> segments;
  size_t begin = 0;
  size_t depth = 0;
  bool quoted = false;
  char previous = '\0';
  for (size_t i = 0; i < text.size() && segments.size() < limit; i++) {
    char c = text[i];
    if (quoted) {
      if (c == '\\' && i + 1 < text.size()) i++;
      if (c == '"') quoted = false;
    } else if (c == '"' && (previous == '.' || previous == '(' || previous == ',')) {
      quoted = true;
    } else if (c == '(') {
      depth++;
    } else if (c == ')') {
      if (depth > 0) depth--;
    } else if (c == ',' && depth == 0) {
      segments.push_back(text.substr(begin, i - begin));
      begin = i + 1;
      previous = '\0';
      continue;
    }
    previous = c;
  }
  segments.push_back(text.substr(begin));
  return segments;
}

// A quoted value without quotes and escapes; anything that is not quoted to its very end is literal.
std::string Unquote(std::string_view value) {
  if (value.empty() || value.front() != '"') return std::string(value);
  std::string unquoted;
  for (size_t i = 1; i < value.size(); i++) {
    if (value[i] == '"') {
      if (i + 1 == value.size()) return unquoted;
      break;
    }
    if (value[i] == '\\' && i + 1 < value.size()) i++;
    unquoted.push_back(value[i]);
  }
  return std::string(value);
}

bool IsParenthesized(std::string_view value) {
  return value.size() >= 2 && value.front() == '(' && value.back() == ')';
}

std::optional<FilterOp> OpOf(std::string_view name) {
  auto found = std::find(std::begin(kOpNames), std::end(kOpNames), name);
  if (found == std::end(kOpNames)) return std::nullopt;
  return static_cast<FilterOp>(found - std::begin(kOpNames));
}

Result<FilterClause> ParseSegment(std::string_view segment) {
  segment = Trim(segment);
  if (segment.empty()) return FilterError("filter must not contain empty segments (check for extra commas)");
  size_t equals = segment.find('=');
  if (equals == std::string_view::npos) return FilterError(InspectStrings({std::string(segment)}));
  std::string_view rest = segment.substr(equals + 1);
  bool negated = rest.starts_with(kNot);
  if (negated) rest.remove_prefix(kNot.size());
  size_t dot = rest.find('.');
  if (dot == std::string_view::npos) return FilterError(InspectStrings({std::string(rest)}));
  std::string_view name = rest.substr(0, dot);
  std::string_view value = rest.substr(dot + 1);
  std::optional<FilterOp> op = OpOf(name);
  if (!op) return FilterError(InspectStrings({std::string(name), std::string(value)}));
  if (*op == FilterOp::kIn && !IsParenthesized(value)) {
    return FilterError("`in` filter value must be wrapped by parentheses");
  }
  FilterClause clause;
  clause.column = segment.substr(0, equals);
  clause.op = *op;
  clause.negated = negated;
  clause.value = *op == FilterOp::kIn ? std::string(value) : Unquote(value);
  return clause;
}

// The one-dimensional part of PostgreSQL's array input (array_in): quoting, escapes, NULL, blanks.
class ArrayLiteral {
 public:
  explicit ArrayLiteral(std::string_view inside) : rest_(inside) {}

  // False when the literal is malformed.
  bool Parse(FilterClause* clause) {
    SkipBlanks();
    if (rest_.empty()) return true;
    while (true) {
      if (!Element(clause)) return false;
      if (rest_.empty()) return true;
      rest_.remove_prefix(1);  // the comma
      if (clause->elements.size() > kMaxInElements) return true;
    }
  }

 private:
  void SkipBlanks() {
    while (!rest_.empty() && IsBlank(rest_.front())) rest_.remove_prefix(1);
  }

  bool Element(FilterClause* clause) {
    SkipBlanks();
    std::string text;
    bool quoted = !rest_.empty() && rest_.front() == '"';
    bool escaped = false;
    if (!(quoted ? Quoted(&text) : Unquoted(&text, &escaped))) return false;
    bool null = !quoted && !escaped && IsNull(text);
    clause->elements.push_back(null ? std::string() : std::move(text));
    clause->is_null.push_back(null);
    return true;
  }

  bool Quoted(std::string* text) {
    rest_.remove_prefix(1);
    while (!rest_.empty() && rest_.front() != '"') {
      if (rest_.front() == '\\') rest_.remove_prefix(1);
      if (rest_.empty()) return false;
      text->push_back(rest_.front());
      rest_.remove_prefix(1);
    }
    if (rest_.empty()) return false;
    rest_.remove_prefix(1);
    SkipBlanks();
    return rest_.empty() || rest_.front() == ',';
  }

  bool Unquoted(std::string* text, bool* escaped) {
    bool any = false;
    size_t keep = 0;  // length up to the last character that is no trailing blank
    while (!rest_.empty() && rest_.front() != ',') {
      char c = rest_.front();
      if (c == '"' || c == '{' || c == '}') return false;
      rest_.remove_prefix(1);
      bool literal = c == '\\';
      if (literal) {
        if (rest_.empty()) return false;
        c = rest_.front();
        rest_.remove_prefix(1);
        *escaped = true;
      }
      text->push_back(c);
      any = true;
      if (literal || !IsBlank(c)) keep = text->size();
    }
    text->resize(keep);
    return any && keep > 0;
  }

  static bool IsNull(std::string_view text) {
    constexpr std::string_view kNull = "null";
    return text.size() == kNull.size() &&
           std::equal(text.begin(), text.end(), kNull.begin(), [](char a, char b) { return (a | 0x20) == b; });
  }

  std::string_view rest_;
};

// As the reference stores it: the list becomes an array literal.
std::string Braced(const std::string& value) { return "{" + value.substr(1, value.size() - 2) + "}"; }

}  // namespace

std::string_view FilterOpName(FilterOp op) { return kOpNames[static_cast<size_t>(op)]; }

Result<std::vector<FilterClause>> ParseFilterClauses(std::string_view text) {
  std::vector<FilterClause> clauses;
  text = Trim(text);
  if (text.empty()) return clauses;
  std::vector<std::string_view> segments = SplitTopLevel(text, kMaxFilterClauses + 1);
  if (segments.size() > kMaxFilterClauses) return FilterError("too many filters. Maximum 100");
  for (std::string_view segment : segments) {
    Result<FilterClause> clause = ParseSegment(segment);
    if (!clause.ok()) return clause.status;
    clauses.push_back(std::move(clause.value));
  }
  return clauses;
}

Status ParseInElements(std::vector<FilterClause>* clauses) {
  for (FilterClause& clause : *clauses) {
    if (clause.op != FilterOp::kIn) continue;
    std::string_view inside = std::string_view(clause.value).substr(1, clause.value.size() - 2);
    if (!ArrayLiteral(inside).Parse(&clause)) {
      std::string literal = Braced(clause.value);
      return Status(Code::kMalformed, std::string("malformed array literal: \"").append(Shorten(literal)).append("\""));
    }
    if (clause.elements.size() > kMaxInElements) {
      return Status(Code::kTooLarge, "too many values for `in` filter. Maximum 100");
    }
  }
  return Status::Ok();
}

Result<std::vector<FilterClause>> ParseFilter(std::string_view text) {
  Result<std::vector<FilterClause>> clauses = ParseFilterClauses(text);
  if (!clauses.ok()) return clauses.status;
  Status status = ParseInElements(&clauses.value);
  if (!status.ok()) return status;
  return clauses;
}

std::string DescribeFilters(const std::vector<FilterClause>& clauses) {
  std::string out = "[";
  for (const FilterClause& clause : clauses) {
    if (out.size() > 1) out.append(", ");
    if (out.size() > kMaxDescription) {
      out.append("...");
      break;
    }
    out.append("{").append(InspectString(clause.column)).append(", ");
    out.append(InspectString(FilterOpName(clause.op))).append(", ");
    out.append(InspectString(clause.op == FilterOp::kIn ? Braced(clause.value) : clause.value));
    out.append(clause.negated ? ", true}" : ", false}");
  }
  return out + "]";
}

}  // namespace realtime
