// The transaction in which changes are judged: opened lazily, one snapshot per commit of the stream, read-only, closed
// before the worker sleeps. Database thread only.
#ifndef REALTIME_PG_BATCH_H_
#define REALTIME_PG_BATCH_H_

#include <cstdint>
#include <optional>

#include "pg/guard.h"
#include "pg/role_scope.h"
#include "pg/pg.h"

namespace realtime {

class Batch {
 public:
  // With lock_patience_ms statements in it wait for locks so long at most, and then fail (LockedOut); zero: as the server's
  // lock_timeout says.
  explicit Batch(int lock_patience_ms = 0) : lock_patience_ms_(lock_patience_ms) {}

  // Opens the transaction when there is none. With fresh_snapshot (a new commit of the stream begins) invalidations are
  // accepted and a new snapshot is taken, so rows of that commit are visible to sub-queries of policies. False when the
  // backend refused (logged); the batch is closed then.
  bool Open(bool fresh_snapshot);
  // Commits. Executor states of this epoch must have been ended by their owner (see epoch).
  void Close();
  // After a caught error: rolls back and forgets everything that lived in the transaction.
  void Abort();

  // Whether the error, which was raised in this transaction, says that a lock was not to be had in time. Not so when user
  // code raises the same SQLSTATE without having waited.
  bool LockedOut(const PgError& error);
  // Whether anything has waited for a lock since the last call of either. What held it may have ended since the snapshot.
  bool HasWaited();
  // Whether a relation may have changed behind the snapshot: whoever changed it may have ended between the snapshot and the
  // lock that was taken then, without a wait. A table that was rewritten so looks empty.
  bool SnapshotIsDated() const;

  bool is_open() const { return open_; }
  // Changes with every snapshot and every abort: what was made under another epoch must not be used, and after an abort not
  // be freed either.
  uint64_t epoch() const { return epoch_; }
  uint64_t transaction() const { return transaction_; }

  RoleScope* scope() { return &scope_; }
  // Scratch memory for one row: datums, which an abort frees, and texts, which survive it.
  MemoryContext row_context() const { return row_context_; }
  MemoryContext text_context() const { return text_context_; }
  void ResetRow();
  // User code ran: session-level advisory locks it may have taken are released at the end.
  void NoteUserCode() { user_code_ = true; }

 private:
  void Begin();
  void TakeSnapshot();
  void PushSnapshot();
  bool EndTransaction(PgError* error);

  const int lock_patience_ms_;
  std::optional<LockPatience> patience_;
  int64_t lock_wait_ = 0;  // the last that was timed, by when it had to end
  bool open_ = false;
  bool user_code_ = false;
  uint64_t epoch_ = 0;
  uint64_t transaction_ = 0;
  uint64_t relation_news_ = 0;  // when the snapshot was taken
  RoleScope scope_;
  MemoryContext row_context_ = nullptr;
  MemoryContext text_context_ = nullptr;
};

}  // namespace realtime

#endif  // REALTIME_PG_BATCH_H_
