// Which function of the database stands for a filter's operator on a column's type. Only operators of pg_catalog, or of the
// schema of a text-like type (citext), count: a search_path, or an operator that somebody else made, decides nothing.
// Database thread only; may raise and belongs inside PgTry, in the role scope.
#ifndef REALTIME_PG_FILTER_OPERATOR_H_
#define REALTIME_PG_FILTER_OPERATOR_H_

#include "core/filter.h"
#include "pg/catalog.h"
#include "pg/pg.h"

namespace realtime {

struct FilterOperator {
  Oid function = InvalidOid;
  Oid value_type = InvalidOid;  // of the filter's value: the column's base type, or text (patterns for char and name)
  bool three_way = false;       // the function compares (less than 0, 0, greater than 0); else it answers
};

// like, ilike, match, imatch.
bool IsPattern(FilterOp op);

// Raises with the reference's text when the column's type has no such operator. Not for `is`, which is no operator.
FilterOperator FindFilterOperator(const Column& column, const FilterClause& clause);

// Raises unless the clause's value is a regular expression that compiles.
void CheckRegularExpression(const Column& column, const FilterClause& clause);

// Raises unless the clause's value is a keyword that `is` knows, and fits the column's type.
void CheckIsKeyword(const Column& column, const FilterClause& clause);

}  // namespace realtime

#endif  // REALTIME_PG_FILTER_OPERATOR_H_
