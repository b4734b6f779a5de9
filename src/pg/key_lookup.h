// Questions that only the table itself can answer, asked by primary key.
// Database thread only, inside a batch; may raise, so inside PgTry.
#ifndef REALTIME_PG_KEY_LOOKUP_H_
#define REALTIME_PG_KEY_LOOKUP_H_

#include "pg/table_row.h"

namespace realtime {

// Whether the table has a primary key and the row carries all of it.
bool HasKey(const TableRow& row);

// Whether the current user sees the row with this key: policies are applied by PostgreSQL itself.
bool VisibleByKey(TableRow* row);

}  // namespace realtime

#endif  // REALTIME_PG_KEY_LOOKUP_H_
