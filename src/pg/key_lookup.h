// Questions that only the table itself can answer, asked by primary key (design.md section 8, trap 6).
// Database thread only, inside a batch; may raise, so inside PgTry.
#ifndef REALTIME_PG_KEY_LOOKUP_H_
#define REALTIME_PG_KEY_LOOKUP_H_

#include "pg/table_row.h"

namespace realtime {

// Whether the table has a primary key and the row carries all of it.
bool HasKey(const TableRow& row);

// Reads the columns that the row lacks (unchanged TOAST, absent generated columns) from the table as it is now, as
// superuser without running user code, into cells that last as long as `memory`. False when the row is gone. The row is
// then for judging only: what clients get stays without these columns.
bool FetchMissing(TableRow* row, MemoryContext memory);

// Whether the current user sees the row with this key: policies are applied by PostgreSQL itself.
bool VisibleByKey(TableRow* row);

}  // namespace realtime

#endif  // REALTIME_PG_KEY_LOOKUP_H_
