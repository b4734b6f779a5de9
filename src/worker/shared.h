// What survives the worker process, in shared memory: a word, and the statistics (pg/stat.h). Reset when the server restarts.
#ifndef REALTIME_WORKER_SHARED_H_
#define REALTIME_WORKER_SHARED_H_

namespace realtime {

// In the postmaster, while it loads the library.
void RequestSharedState();

// Whether the configured database may be connected to. A connection to a missing one ends the process, so the worker
// clears this before it tries and sets it afterwards; the next process sees what happened. True at first.
bool DatabaseExpected();
void SetDatabaseExpected(bool expected);

}  // namespace realtime

#endif  // REALTIME_WORKER_SHARED_H_
