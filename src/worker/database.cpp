#include "worker/database.h"

#include <string>

#include "pg/drop_database.h"
#include "pg/guard.h"
#include "pg/interrupts.h"
#include "pg/log.h"
#include "pg/settings.h"
#include "pg/stat.h"
#include "worker/shared.h"

#include "pg/pg.h"

extern "C" {
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_database.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "utils/guc.h"
}

namespace realtime {

namespace {

constexpr long kLookMs = 5000;
constexpr long kDropLookMs = 100;  // while the database is being dropped, which may fail

enum class Found : int { kNo, kYes, kRefusesConnections };

// A plain scan, as the autovacuum launcher does it: without a database, indexes and system caches may not be usable.
Found LookUp(const char* name) {
  Found found = Found::kNo;
  Relation relation = table_open(DatabaseRelationId, AccessShareLock);
  TableScanDesc scan = table_beginscan_catalog(relation, 0, nullptr);
  HeapTuple tuple;
  while (found == Found::kNo && HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection))) {
    auto* database = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple));
    if (strcmp(NameStr(database->datname), name) != 0) continue;
    found = database->datallowconn ? Found::kYes : Found::kRefusesConnections;
  }
  table_endscan(scan);
  table_close(relation, AccessShareLock);
  return found;
}

// The name as it is now; true when the database can be connected to.
bool Look(Condition* missing) {
  Found found = Found::kNo;
  PgError error;
  if (!InTransaction([&] { found = LookUp(guc::Database()); }, &error)) {
    missing->Set("could not look for the database of the realtime worker: " + error.Text());
    return false;
  }
  const std::string name = std::string("database \"") + guc::Database() + "\"";
  if (found == Found::kNo) {
    missing->Set(name + " does not exist, so the realtime worker serves nothing",
                 "Create it, or set realtime.database to the database that has the extension.");
  } else if (found == Found::kRefusesConnections) {
    missing->Set(name + " does not accept connections", "Allow connections, or set realtime.database to another one.");
  }
  return found == Found::kYes;
}

[[noreturn]] void WaitForDatabase() {
  BackgroundWorkerInitializeConnection(nullptr, nullptr, 0);
  pgstat_report_activity(STATE_IDLE, "waiting for realtime.database");
  stat::SetState("waiting for realtime.database");
  Condition missing;
  for (;;) {
    const bool dropping = drop_database::InProgress();
    if (shutdown_requested || (!dropping && Look(&missing))) break;
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, dropping ? kDropLookMs : kLookMs, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    if (!shutdown_requested) CHECK_FOR_INTERRUPTS();
    if (ConfigReloadPending) {
      ConfigReloadPending = false;
      ProcessConfigFile(PGC_SIGHUP);
    }
  }
  if (!shutdown_requested) SetDatabaseExpected(true);
  proc_exit(1);
}

}  // namespace

void ConnectToDatabase() {
  if (!DatabaseExpected() || drop_database::InProgress()) WaitForDatabase();
  SetDatabaseExpected(false);
  BackgroundWorkerInitializeConnection(guc::Database(), nullptr, 0);
  drop_database::Arrive();
  // One that began just before was not told of us.
  if (drop_database::InProgress()) proc_exit(1);
  SetDatabaseExpected(true);
}

}  // namespace realtime
