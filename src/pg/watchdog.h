// The statement time-out of one evaluation.
//
// statement_timeout does not act in a background worker, and arming a timer for each check would cost more than the check.
// So one periodic timer runs while a batch is open, and counts how long the same check has been running. A check that
// passes its limit is cancelled, and cancelled again at every tick, because PL/pgSQL may catch query_canceled (design.md
// section 8, trap 4). A shutdown request cancels at the next tick too.
// Database thread only.
#ifndef REALTIME_PG_WATCHDOG_H_
#define REALTIME_PG_WATCHDOG_H_

namespace realtime::watchdog {

// Once, at worker start, after the signal handlers are in place.
void Register();

// A batch opens (the timer starts, with realtime.policy_timeout as limit) and closes. Cheap when already open.
void OpenBatch();
void CloseBatch();

// Around each evaluation. Finish also clears a cancel that came too late to matter; call it on the error path as well.
void StartCheck();
void FinishCheck();

}  // namespace realtime::watchdog

#endif  // REALTIME_PG_WATCHDOG_H_
