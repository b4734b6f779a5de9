// The worker's connection to its database, which may not exist yet.
#ifndef REALTIME_WORKER_DATABASE_H_
#define REALTIME_WORKER_DATABASE_H_

namespace realtime {

// Returns connected to realtime.database. While it does not exist: says so once, waits for it, and ends the process so
// that the next one connects; ends the process on SIGTERM too.
void ConnectToDatabase();

}  // namespace realtime

#endif  // REALTIME_WORKER_DATABASE_H_
