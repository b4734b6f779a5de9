// The replication slot, looked at and dropped from inside the server. (It is created through the walsender, because
// creation may wait for old transactions.) Database thread only; nothing here raises.
#ifndef REALTIME_PG_SLOT_H_
#define REALTIME_PG_SLOT_H_

#include <cstdint>
#include <string>

#include "pg/guard.h"

namespace realtime {

struct SlotView {
  bool exists = false;
  bool ours = false;         // logical, plugin pgoutput, of this database: what a worker of this extension makes
  bool invalidated = false;  // its WAL was removed (max_slot_wal_keep_size)
  int active_pid = 0;
  uint64_t confirmed_lsn = 0;
};

SlotView LookAtSlot(const std::string& name);

// Drops it if nobody uses it; *error says why not. Outside a transaction only.
bool DropSlot(const std::string& name, PgError* error);

// Whether this process, which uses a slot, is of another application than ours.
bool IsForeignUser(int pid);

// Whether this process is a walsender now.
bool IsWalsender(int pid);

struct SlotExit {
  int walsender_pid = 0;  // whose connection must have been closed
  int maker_pid = 0;      // one that may still make the slot, and has been signalled; zero: none
  int quiet_ms = 0;
  int timeout_ms = 0;
};

// The way out of a stopping process: waits up to timeout_ms for the slot to be made and released, then drops it if it is ours.
// The walsender gets quiet_ms to leave by itself before it is signalled. A slot that is left is told.
// Works in exit callbacks, where an error would be fatal.
void DropSlotAtExit(const std::string& name, const SlotExit& exit);

// End of the WAL that is safe on disk.
uint64_t FlushedLsn();

// Whether commits wait for this walsender (synchronous_standby_names matches it).
bool IsSynchronousStandby(int walsender_pid);

}  // namespace realtime

#endif  // REALTIME_PG_SLOT_H_
