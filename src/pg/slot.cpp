#include "pg/slot.h"

#include <chrono>
#include <csignal>

#include "pg/log.h"

#include "pg/pg.h"

extern "C" {
#include "access/xlog.h"
#include "replication/slot.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/condition_variable.h"
#include "storage/spin.h"
#include "utils/backend_status.h"
#include "utils/wait_event.h"
}

namespace realtime {

namespace {

constexpr char kApplicationName[] = "realtime";  // as the walsender link gives it

// The slot array is fixed, so the pointer stays valid; the slot under it may be dropped and taken by another.
ReplicationSlot* Find(const char* name, ReplicationSlotPersistentData* data, int* active_pid) {
  ReplicationSlot* slot = SearchNamedReplicationSlot(name, true);
  if (slot == nullptr) return nullptr;
  SpinLockAcquire(&slot->mutex);
  *data = slot->data;
  *active_pid = slot->active_pid;
  SpinLockRelease(&slot->mutex);
  return slot;
}

bool IsOurs(const ReplicationSlotPersistentData& data) {
  return data.database == MyDatabaseId && strcmp(NameStr(data.plugin), "pgoutput") == 0;
}

// The slot may be gone afterwards: an unfinished one ends with its walsender.
void WaitForRelease(ReplicationSlot* slot, const char* name, int timeout_ms) {
  ReplicationSlotPersistentData data;
  int active_pid = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  ConditionVariablePrepareToSleep(&slot->active_cv);
  while (Find(name, &data, &active_pid) == slot && active_pid != 0) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0) break;
    ConditionVariableTimedSleep(&slot->active_cv, static_cast<long>(left), WAIT_EVENT_REPLICATION_SLOT_DROP);
  }
  ConditionVariableCancelSleep();
}

}  // namespace

SlotView LookAtSlot(const std::string& name) {
  SlotView view;
  ReplicationSlotPersistentData data;
  int active_pid = 0;
  if (Find(name.c_str(), &data, &active_pid) == nullptr) return view;
  view.exists = true;
  view.ours = IsOurs(data);
  view.invalidated = compat::IsInvalidated(data);
  view.active_pid = active_pid;
  view.confirmed_lsn = data.confirmed_flush;
  return view;
}

bool DropSlot(const std::string& name, PgError* error) {
  const char* text = name.c_str();
  return InTransaction([&] { ReplicationSlotDrop(text, true); }, error);
}

bool IsForeignUser(int pid) {
  bool foreign = false;
  PgTry(
      [&] {
        pgstat_clear_backend_activity_snapshot();  // outside transactions it would be kept
        const int count = pgstat_fetch_stat_numbackends();
        for (int i = 1; i <= count; i++) {
          const LocalPgBackendStatus* entry = compat::BackendStatusAt(i);
          if (entry == nullptr || entry->backendStatus.st_procpid != pid) continue;
          foreign = strcmp(entry->backendStatus.st_appname, kApplicationName) != 0;
        }
        pgstat_clear_backend_activity_snapshot();
      },
      nullptr);
  return foreign;
}

bool IsWalsender(int pid) {
  bool found = false;
  for (int i = 0; i < max_wal_senders && !found; i++) {
    WalSnd* walsender = &WalSndCtl->walsnds[i];
    SpinLockAcquire(&walsender->mutex);
    found = walsender->pid == pid;
    SpinLockRelease(&walsender->mutex);
  }
  return found;
}

namespace {

// It drops an unfinished slot itself before it is gone; a finished one it leaves.
void WaitForMaker(const SlotExit& exit) {
  constexpr long kLookUs = 2000;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(exit.timeout_ms);
  while (exit.maker_pid != 0 && IsWalsender(exit.maker_pid) && std::chrono::steady_clock::now() < deadline) pg_usleep(kLookUs);
}

void WarnOfSlotLeft(const std::string& name) {
  Log(LogLevel::kWarning, "replication slot \"" + name + "\" could not be dropped in time, and is left: it keeps WAL",
      "The next start of the realtime worker drops it; where none follows, use pg_drop_replication_slot().");
}

}  // namespace

void DropSlotAtExit(const std::string& name, const SlotExit& exit) {
  WaitForMaker(exit);
  ReplicationSlotPersistentData data;
  int active_pid = 0;
  ReplicationSlot* slot = Find(name.c_str(), &data, &active_pid);
  if (slot == nullptr && exit.maker_pid != 0 && IsWalsender(exit.maker_pid)) return WarnOfSlotLeft(name);
  if (slot == nullptr || !IsOurs(data)) return;
  if (active_pid != 0) {
    WaitForRelease(slot, name.c_str(), exit.quiet_ms);
    slot = Find(name.c_str(), &data, &active_pid);
    if (slot != nullptr && active_pid != 0 && active_pid == exit.walsender_pid) {
      kill(active_pid, SIGTERM);
      WaitForRelease(slot, name.c_str(), exit.timeout_ms - exit.quiet_ms);
      slot = Find(name.c_str(), &data, &active_pid);
    }
  }
  if (slot == nullptr || !IsOurs(data)) return;
  if (active_pid != 0) return WarnOfSlotLeft(name);
  ReplicationSlotDrop(name.c_str(), true);
}

uint64_t FlushedLsn() { return GetFlushRecPtr(nullptr); }

bool IsSynchronousStandby(int walsender_pid) {
  bool found = false;
  PgTry(
      [&] {
        SyncRepStandbyData* standbys = nullptr;
        int count = SyncRepGetCandidateStandbys(&standbys);
        for (int i = 0; i < count; i++) found |= standbys[i].pid == walsender_pid;
        if (standbys != nullptr) pfree(standbys);
      },
      nullptr);
  return found;
}

}  // namespace realtime
