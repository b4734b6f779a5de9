#include "pg/messages_lock.h"

#include <chrono>

#include "pg/failure_log.h"
#include "pg/guard.h"
#include "pg/log.h"
#include "pg/messages_table.h"

extern "C" {
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
}

namespace realtime {
namespace {

constexpr int kPatienceMs = 100;     // the change streams wait meanwhile ...
constexpr std::chrono::seconds kImpatient(1);  // ... so there is none when it was in vain lately

// May raise; lock_not_available above all. Whether it had to wait.
bool Lock(bool patient) {
  const Oid table = FindMessagesTable();
  if (!OidIsValid(table) || ConditionalLockRelationOid(table, AccessShareLock)) return false;
  if (!patient) ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE), errmsg("the table is locked")));
  LockTimeout = kPatienceMs;
  LockRelationOid(table, AccessShareLock);
  CHECK_FOR_INTERRUPTS();  // a time-out that came with the lock must not meet the policies
  return true;
}

void LogFailure(const PgError& error, bool busy) {
  if (!failure_log::Due("realtime.messages\nlock\n" + error.sqlstate)) return;
  LogError(
      "UnableToSetPolicies: realtime could not lock table \"realtime.messages\" to evaluate its policies: " + error.Text() + " (SQLSTATE " +
          error.sqlstate + ")",
      busy ? "Somebody holds an ACCESS EXCLUSIVE lock on it, or waits for one: look into pg_locks. Private channels are "
             "refused meanwhile, and clients try again."
           : "");
}

}  // namespace

MessagesLock::Outcome MessagesLock::Take() {
  const bool patient = !last_busy_ || std::chrono::steady_clock::now() - *last_busy_ > kImpatient;
  const LockPatience patience(kCatalogPatienceMs);
  bool waited = false;
  PgError error;
  const bool done = PgTry([&] { waited = Lock(patient); }, &error);
  if (done) return waited ? Outcome::kTakenLate : Outcome::kTaken;
  const bool busy = error.Is(kLockNotAvailable);
  if (busy) last_busy_ = std::chrono::steady_clock::now();
  LogFailure(error, busy);
  return busy ? Outcome::kBusy : Outcome::kFailed;
}

}  // namespace realtime
