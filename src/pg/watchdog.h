// The limits of one evaluation: of its time, and of the memory that it takes meanwhile.
//
// statement_timeout does not act in a background worker, and arming a timer for each check would cost more than the check.
// So one periodic timer runs while a batch is open, and counts how long the same check has been running. A check that
// passes its limit is cancelled, and cancelled again at every tick, because PL/pgSQL may catch query_canceled; what it
// then returns does not count. Code that catches every cancel would hold the worker for ever: after kPatienceTicks more the
// worker ends with FATAL, which cannot be caught, and is restarted. A shutdown request cancels at the next tick too, and is
// less patient. With each tick it is also looked whether the process has grown by more than an evaluation may take: what took
// all of the machine's memory would end the server.
// Database thread only.
#ifndef REALTIME_PG_WATCHDOG_H_
#define REALTIME_PG_WATCHDOG_H_

namespace realtime::watchdog {

// Once, at worker start, after the signal handlers are in place.
void Register();

// A batch opens (the timer starts, with realtime.policy_timeout as limit, or another one) and closes. Cheap when already open.
void OpenBatch();
void OpenBatch(int limit_ms);
void CloseBatch();

// Around each evaluation. Finish also clears a cancel that came too late to matter; call it on the error path as well.
// It says whether the evaluation was cancelled: if it returned all the same, its result must not be used.
void StartCheck();
bool FinishCheck();

// Whether what was watched last was cancelled for the memory that it took.
bool OutgrewMemory();

// One evaluation, inside PgTry. Raises query_canceled when it caught its cancellation; may raise what fn raises, after
// which Finish is the error path's business (Batch::Abort).
void RaiseTimeout();
template <typename F>
void Watched(const F& fn) {
  StartCheck();
  fn();
  if (FinishCheck()) RaiseTimeout();
}

}  // namespace realtime::watchdog

#endif  // REALTIME_PG_WATCHDOG_H_
