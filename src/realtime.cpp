// The library's entry: settings, shared memory, the worker's registration, the two hooks.
#include "pg/drop_database.h"
#include "pg/secret_log.h"
#include "pg/settings.h"
#include "worker/shared.h"

#include "pg/pg.h"

extern "C" {
#include "postmaster/bgworker.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);
}

namespace realtime {
namespace {

constexpr int kRestartSeconds = 1;

void RegisterWorker() {
  BackgroundWorker worker{};
  worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
  worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
  worker.bgw_restart_time = kRestartSeconds;
  strlcpy(worker.bgw_library_name, "realtime", BGW_MAXLEN);
  strlcpy(worker.bgw_function_name, "realtime_worker_main", BGW_MAXLEN);
  strlcpy(worker.bgw_name, "realtime worker", BGW_MAXLEN);
  strlcpy(worker.bgw_type, "realtime worker", BGW_MAXLEN);
  RegisterBackgroundWorker(&worker);
}

}  // namespace
}  // namespace realtime

void _PG_init(void) {
  realtime::guc::Define();
  if (process_shared_preload_libraries_in_progress) {
    realtime::RequestSharedState();
    // pg_upgrade runs both servers itself, and must meet neither our slot nor our listener.
    if (!IsBinaryUpgrade) realtime::RegisterWorker();
    realtime::drop_database::InstallHook();
    realtime::secret_log::InstallHook();
    return;
  }
  if (!IsUnderPostmaster || IsBackgroundWorker) return;
  ereport(WARNING, (errmsg("realtime is not in shared_preload_libraries, so nothing is served"),
                    errhint("Add realtime to shared_preload_libraries and restart the server.")));
}
