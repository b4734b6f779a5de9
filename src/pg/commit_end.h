// Whether a transaction of the stream has ended for this backend too. Database thread only.
#ifndef REALTIME_PG_COMMIT_END_H_
#define REALTIME_PG_COMMIT_END_H_

#include <cstdint>

namespace realtime {

// A walsender sees a commit when its record is flushed. The committing backend then does three things, in this order: it
// leaves the running transactions, so that snapshots show its rows; it sends its invalidations; it releases its locks, the
// one on its own transaction id among them. Only after the last do AcceptInvalidationMessages and a new snapshot know all
// of it: a transaction that enables row-level security and then inserts must be judged with it enabled.
// May raise (out of shared memory). Works outside a transaction too.
bool CommitHasEnded(uint32_t xid);

}  // namespace realtime

#endif  // REALTIME_PG_COMMIT_END_H_
