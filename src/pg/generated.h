// Stored generated columns: pgoutput of PostgreSQL 15 leaves them out, so they are computed from the row with the table's
// own expressions, as the table's owner. Database thread only, inside a batch.
#ifndef REALTIME_PG_GENERATED_H_
#define REALTIME_PG_GENERATED_H_

#include "pg/batch.h"
#include "pg/table_row.h"

namespace realtime {

// Fills the generated columns that the row lacks and whose inputs it has; texts live in the batch's text context.
// May raise (inside PgTry).
void ComputeGenerated(TableRow* row, Batch* batch);

}  // namespace realtime

#endif  // REALTIME_PG_GENERATED_H_
