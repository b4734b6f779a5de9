// DROP DATABASE of the served database, by any backend. It would fail at once, also WITH (FORCE), because the worker's
// replication slot is active in it; so a ProcessUtility hook asks the worker to leave first and waits for that. Nothing
// else of ours acts in backends that do not call it.
//
//   backend: begins (counted in shared memory) - ends the worker - waits until it and its slot are gone - DROP DATABASE - ends
//   worker:  started again by the postmaster, it waits without a database while any backend is in between
#ifndef REALTIME_PG_DROP_DATABASE_H_
#define REALTIME_PG_DROP_DATABASE_H_

#include <cstddef>

namespace realtime::drop_database {

// In the postmaster, while it loads the library.
size_t SharedSize();
void Attach(void* memory, bool initialized);
void InstallHook();

// In the worker, once it is connected to its database, and until it exits.
void Arrive();
// In the worker: somebody drops the configured database right now, so do not connect to it.
bool InProgress();

}  // namespace realtime::drop_database

#endif  // REALTIME_PG_DROP_DATABASE_H_
