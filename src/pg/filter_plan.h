// Filters with the column type's own operators and SQL's three-valued logic: NULL satisfies nothing but `is`, `isdistinct`
// and the negation of an empty list. Values are converted by the type's input function.
// Database thread only; all functions may raise and belong inside PgTry.
#ifndef REALTIME_PG_FILTER_PLAN_H_
#define REALTIME_PG_FILTER_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/filter.h"
#include "pg/catalog.h"
#include "pg/pattern_budget.h"
#include "pg/table_row.h"
#include "pg/pg.h"

namespace realtime {

// One clause: (column value) op (any of the values). Trivially copyable; memory belongs to the plan's context.
struct FilterTest {
  AttrNumber attno;
  FilterOp op;
  bool negated;
  enum class Keyword : uint8_t { kNone, kNull, kTrue, kFalse, kUnknown } keyword;  // for `is`
  bool by_fields;    // `is null` of a row looks at the row's fields
  bool three_way;    // the function compares, instead of answering
  size_t like_work;  // steps per byte of the column that LIKE may take
  Oid collation;
  FmgrInfo function;
  int count;
  Datum* values;
  bool* nulls;
};

class FilterPlan {
 public:
  FilterPlan() = default;
  ~FilterPlan();
  FilterPlan(const FilterPlan&) = delete;
  FilterPlan& operator=(const FilterPlan&) = delete;

  // Inside the audience's role scope. Raises raise_exception with the reference's text when there is no such column or the
  // privileges hide it, when a pattern is asked of a type that is no text, when a regular expression does not compile, and
  // for an unknown keyword of `is`; undefined_function when the type has no such operator, and the type's own error when a
  // value is not one of its values. Patterns are tried only when `is_new`, and there is
  // time for it.
  void Compile(const Table& table, const TablePrivileges& privileges, const std::vector<FilterClause>& clauses, bool is_new);

  const std::vector<AttrNumber>& columns() const { return columns_; }
  // A column's value or operator may run user code: evaluate inside the role scope.
  bool needs_scope() const { return needs_scope_; }
  // Errors, or the time it takes, could tell something about the row: only rows that the policies show may be asked.
  bool after_policy() const { return has_patterns_ || needs_scope_; }
  bool has_patterns() const { return has_patterns_; }
  bool empty() const { return tests_.empty(); }
  // A clause `column = value`; null when there is none.
  const FilterTest* FindEquality() const;

  // All columns() must be there (TableRow::Has). Where there are patterns, ask MayTry before, and call NoteError when this or
  // Compile has raised.
  bool Matches(TableRow* row);
  bool MayTry() const { return !has_patterns_ || timer_.MayTry(); }
  void NoteError() { timer_.Stop(); }
  // The clause, by its number, that Matches came to last: the one that raised, if it did.
  size_t last_clause() const { return last_clause_; }

 private:
  void Add(const Column& column, const FilterClause& clause, FilterTest* test);
  void AddIs(const Column& column, const FilterClause& clause, FilterTest* test);
  void AddOperator(const Column& column, const FilterClause& clause, FilterTest* test);
  void AddPattern(const Column& column, const FilterClause& clause, FilterTest* test);
  bool MatchesAll(TableRow* row);

  MemoryContext context_ = nullptr;
  std::vector<FilterTest> tests_;
  std::vector<AttrNumber> columns_;
  size_t last_clause_ = 0;
  bool needs_scope_ = false;
  bool has_patterns_ = false;
  bool is_new_ = false;
  PatternTimer timer_;
};

}  // namespace realtime

#endif  // REALTIME_PG_FILTER_PLAN_H_
