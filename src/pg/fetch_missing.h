// The columns that a change came without, read from the table as it is now.
#ifndef REALTIME_PG_FETCH_MISSING_H_
#define REALTIME_PG_FETCH_MISSING_H_

#include "pg/table_row.h"

namespace realtime {

// Reads the columns that the row lacks (unchanged TOAST, absent generated columns) into cells that last as long as `memory`.
// Nothing is read when the row is gone or the table is no longer the one that the row was mapped to. The row is then for
// judging only: what clients get stays without these columns.
//
// The index is scanned by hand: a SELECT would be planned, which runs functions of the table's index expressions and
// predicates, would look the table up by a name that may be somebody's view by now, and would apply policies. Inside the
// owner's role scope, because converting values of his types may run his code. Database thread only; may raise.
void FetchMissing(TableRow* row, MemoryContext memory);

}  // namespace realtime

#endif  // REALTIME_PG_FETCH_MISSING_H_
