// Filters with the column type's own operators: equality and order come from the type's default operator class, values are
// converted by the base type's input function. NULL satisfies nothing.
// Database thread only; all functions may raise and belong inside PgTry.
#ifndef REALTIME_PG_FILTER_PLAN_H_
#define REALTIME_PG_FILTER_PLAN_H_

#include <vector>

#include "core/filter.h"
#include "pg/catalog.h"
#include "pg/table_row.h"
#include "pg/pg.h"

namespace realtime {

// One clause: (column value) op (any of the values). Trivially copyable; memory belongs to the plan's context.
struct FilterTest {
  AttrNumber attno;
  FilterOp op;
  Oid collation;
  FmgrInfo function;  // equality for eq, neq, in; three-way comparison for the others
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

  // Inside the audience's role scope. Raises raise_exception (as the reference) with "invalid column for filter X" when
  // there is no such column or the privileges hide it, undefined_function when the type has no such operator, and the
  // type's own error when a value is not one of its values.
  void Compile(const Table& table, const TablePrivileges& privileges, const std::vector<FilterClause>& clauses);

  const std::vector<AttrNumber>& columns() const { return columns_; }
  // A column's value or operator may run user code: evaluate inside the role scope.
  bool needs_scope() const { return needs_scope_; }
  bool empty() const { return tests_.empty(); }

  // All columns() must be there (TableRow::Has).
  bool Matches(TableRow* row) const;

 private:
  void Add(const Column& column, const FilterClause& clause, FilterTest* test);

  MemoryContext context_ = nullptr;
  std::vector<FilterTest> tests_;
  std::vector<AttrNumber> columns_;
  bool needs_scope_ = false;
};

}  // namespace realtime

#endif  // REALTIME_PG_FILTER_PLAN_H_
