#include "pg/batch.h"

#include <algorithm>
#include <utility>

#include "pg/failure_log.h"
#include "pg/invalidation.h"
#include "pg/log.h"
#include "pg/watchdog.h"

extern "C" {
#include "access/xact.h"
#include "pgstat.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
}

namespace realtime {

bool Batch::HasWaited() {
  const int64_t last_wait = get_timeout_finish_time(LOCK_TIMEOUT);
  return std::exchange(lock_wait_, last_wait) != last_wait;
}

bool Batch::SnapshotIsDated() const { return relation_news_ != invalidation::RelationNews(); }

bool Batch::LockedOut(const PgError& error) {
  return HasWaited() && lock_patience_ms_ > 0 && error.Is(kLockNotAvailable);
}

void Batch::Begin() {
  if (text_context_ == nullptr) {
    text_context_ = AllocSetContextCreate(TopMemoryContext, "realtime row text", ALLOCSET_DEFAULT_SIZES);
  }
  SetCurrentStatementStartTimestamp();  // policies ask for now(), which else is when the worker started
  StartTransactionCommand();
  XactReadOnly = true;
  XactIsoLevel = XACT_READ_COMMITTED;  // whatever the defaults are: each commit needs a snapshot of its own
  row_context_ = AllocSetContextCreate(TopTransactionContext, "realtime row", ALLOCSET_DEFAULT_SIZES);
  PushSnapshot();
}

// Right after invalidations were accepted.
void Batch::PushSnapshot() {
  relation_news_ = invalidation::RelationNews();
  PushActiveSnapshot(GetTransactionSnapshot());
}

void Batch::TakeSnapshot() {
  scope_.Leave();
  AcceptInvalidationMessages();
  PopActiveSnapshot();
  PushSnapshot();
}

void Batch::ResetRow() {
  if (open_) MemoryContextReset(row_context_);
  if (text_context_) MemoryContextReset(text_context_);
}

bool Batch::Open(bool fresh_snapshot) {
  if (open_ && !fresh_snapshot) return true;
  bool begin = !open_;
  PgError error;
  bool done = PgTry([&] { begin ? Begin() : TakeSnapshot(); }, &error);
  ++epoch_;
  if (!done) {
    Abort();
    if (failure_log::Due("transaction")) LogError("realtime could not start a transaction: " + error.Text());
    return false;
  }
  if (begin) ++transaction_;
  if (lock_patience_ms_ > 0 && !patience_) patience_.emplace(lock_patience_ms_);
  open_ = true;
  watchdog::OpenBatch();
  return true;
}

// Nothing is written here: what code has written all the same (large objects, which a read-only transaction did not refuse
// before PostgreSQL 16) is taken back. Nor is a standby waited for, which a notice that code has sent would do: it may be the
// walsender that waits for this process.
bool Batch::EndTransaction(PgError* error) {
  const int configured = std::exchange(synchronous_commit, std::min<int>(synchronous_commit, SYNCHRONOUS_COMMIT_LOCAL_FLUSH));
  const bool wrote = TransactionIdIsValid(GetTopTransactionIdIfAny());
  const bool done = PgTry([wrote] { wrote ? AbortCurrentTransaction() : CommitTransactionCommand(); }, error);
  synchronous_commit = configured;
  return done;
}

void Batch::Close() {
  if (!open_) return;
  watchdog::CloseBatch();
  PgError error;
  bool done = PgTry(
      [&] {
        scope_.Leave();
        PopActiveSnapshot();
      },
      &error);
  done = done && EndTransaction(&error) &&
         PgTry([this] { if (user_code_) LockReleaseSession(USER_LOCKMETHOD); }, &error);
  if (!done) {
    Abort();
    LogError("realtime could not end a transaction: " + error.Text());
    return;
  }
  patience_.reset();
  open_ = false;
  user_code_ = false;
  ++epoch_;
}

void Batch::Abort() {
  watchdog::FinishCheck();
  watchdog::CloseBatch();
  scope_.Forget();
  AbortCurrentTransaction();
  patience_.reset();  // not before: what user code has set is undone to the limit
  // What raised may have been user code that had not been noted yet.
  LockReleaseSession(USER_LOCKMETHOD);
  user_code_ = false;
  open_ = false;
  ++epoch_;
}

}  // namespace realtime
