// The worker process: its entry, its signals and its exits.
//
// The Worker lives on the heap and is never destroyed: a FATAL leaves through proc_exit past every C++ frame, so the ends
// that matter are made in exit callbacks instead of destructors.
#include <stdlib.h>
#include <unistd.h>

#include <exception>

#include "pg/drop_database.h"
#include "pg/guard.h"
#include "pg/inquiry_desk.h"
#include "pg/interrupts.h"
#include "pg/stat.h"
#include "pg/text_encoding.h"
#include "pg/watchdog.h"
#include "worker/database.h"
#include "worker/shared.h"
#include "worker/worker.h"

#include "pg/pg.h"

extern "C" {
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "utils/guc.h"

PGDLLEXPORT void realtime_worker_main(Datum argument);
}

namespace realtime {
namespace {

Worker* worker;

void OnExit(int /*code*/, Datum /*argument*/) noexcept {
  if (worker == nullptr) return;
  // Nobody is left to leave anything tidy for, and the other thread must not run into the C library's exit.
  if (!PostmasterIsAlive()) _exit(1);
  if (drop_database::InProgress()) SetDatabaseExpected(false);  // the next process looks before it connects
  try {
    AbortOutOfAnyTransaction();
    worker->Shutdown();
  } catch (...) {
    ereport(WARNING, (errmsg_internal("the realtime worker could not end in an orderly way")));
  }
}

// After this the C library would run destructors of libraries that a network thread which did not end still uses.
void OnProcessExit(int code, Datum /*argument*/) noexcept { _exit(code); }

// Output formats as in the walsender's session, so that policies see the same text that clients get; and what ALTER DATABASE
// may have set to values that a judge cannot work with: row_security = off makes every policy an error, and compiling a
// policy's query to machine code costs more than its evaluations.
void FixSession() {
  const char* const settings[][2] = {{"row_security", "on"},      {"jit", "off"},
                                    {"datestyle", "ISO"},        {"intervalstyle", "postgres"},
                                    {"extra_float_digits", "1"}, {"bytea_output", "hex"},
                                    {"timezone", "UTC"},         {"application_name", "realtime"}};
  for (const auto& setting : settings) SetConfigOption(setting[0], setting[1], PGC_SUSET, PGC_S_OVERRIDE);
  // Only then can text be converted outside transactions, where errors end up. A SQL_ASCII database converts nothing.
  if (DatabaseConverts()) {
    InTransaction([] { SetConfigOption("client_encoding", "UTF8", PGC_SUSET, PGC_S_OVERRIDE); }, nullptr, kOwnLockLimits);
  }
}

// Policies may read foreign tables (postgres_fdw) or call dblink. While libpq connects in PostgreSQL 15, nothing can interrupt
// it, no time limit and no shutdown: a host that takes the connection and is silent would hold the worker for ever. Two
// seconds is the least that libpq knows; a server's own connect_timeout counts instead.
void LimitConnecting() { setenv("PGCONNECT_TIMEOUT", "2", 0); }

void Main() {
  worker = new Worker;
  // Only now: the callback must find a worker that is whole.
  before_shmem_exit(OnExit, Datum{0});
  on_proc_exit(OnProcessExit, Datum{0});
  worker->Run();
  worker->Shutdown();
}

}  // namespace
}  // namespace realtime

void realtime_worker_main(Datum /*argument*/) {
  pqsignal(SIGTERM, realtime::HandleTerminate);
  pqsignal(SIGHUP, SignalHandlerForConfigReload);
  BackgroundWorkerUnblockSignals();
  realtime::stat::Begin();
  realtime::desk::Open();
  realtime::ConnectToDatabase();
  realtime::watchdog::Register();
  realtime::FixSession();
  realtime::LimitConnecting();  // before there is another thread
  try {
    realtime::Main();
  } catch (const std::exception& e) {
    // Without a std::string: memory may be what is missing.
    ereport(WARNING, (errmsg_internal("the realtime worker ends: %s", e.what())));
  } catch (...) {
    ereport(WARNING, (errmsg_internal("the realtime worker ends: unknown C++ exception")));
  }
  // Zero would unregister the worker.
  proc_exit(1);
}
