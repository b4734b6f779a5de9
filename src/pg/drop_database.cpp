#include "pg/drop_database.h"

#include <atomic>
#include <csignal>
#include <new>

#include "pg/settings.h"

#include "pg/pg.h"

extern "C" {
#include "commands/dbcommands.h"
#include "nodes/parsenodes.h"
#include "portability/instr_time.h"
#include "replication/slot.h"
#include "storage/ipc.h"
#include "tcop/utility.h"
#include "utils/wait_event.h"
}

namespace realtime::drop_database {

namespace {

constexpr double kPatienceMs = 5000;  // as long as DROP DATABASE itself waits for other sessions
constexpr long kLookMs = 20;

struct Shared {
  std::atomic<int> dropping;     // backends that are dropping the served database, or trying to
  std::atomic<int> worker_pid;   // zero: no worker is connected to a database
  std::atomic<Oid> database;     // the one that it is connected to
};

static_assert(std::atomic<int>::is_always_lock_free && std::atomic<Oid>::is_always_lock_free);

Shared* shared;
ProcessUtility_hook_type previous_hook;

void OnWorkerExit(int /*code*/, Datum /*argument*/) noexcept { shared->worker_pid = 0; }

void OnEnd(int /*code*/, Datum /*argument*/) noexcept { shared->dropping--; }

// Also while no worker is connected: one may be about to. Raises nothing that DROP DATABASE itself would not.
bool IsServed(const DropdbStmt* statement, Oid* database) {
  *database = get_database_oid(statement->dbname, true);
  // Who may not drop it, or sits in it, must not be able to end the worker.
  if (!OidIsValid(*database) || *database == MyDatabaseId) return false;
  if (!compat::OwnsDatabase(*database, GetUserId())) return false;
  if (shared->worker_pid != 0) return shared->database == *database;
  return strcmp(statement->dbname, guc::Database()) == 0;
}

bool HasActiveSlot(Oid database) {
  int slots = 0;
  int active = 0;
  return ReplicationSlotsCountDBSlots(database, &slots, &active) && active > 0;
}

// Returns when the worker and its slot are gone, or after a while in which case DROP DATABASE says what is in its way.
void EndWorker(Oid database) {
  instr_time start, now;
  INSTR_TIME_SET_CURRENT(start);
  int told = 0;
  for (;;) {
    const int pid = shared->worker_pid;
    if (pid == 0 && !HasActiveSlot(database)) return;
    // One that was starting meanwhile is told as well.
    if (pid != 0 && pid != told) kill(pid, SIGTERM);
    told = pid;
    INSTR_TIME_SET_CURRENT(now);
    INSTR_TIME_SUBTRACT(now, start);
    if (INSTR_TIME_GET_MILLISEC(now) > kPatienceMs) return;
    // The exit of another process sets no latch of ours: look again soon.
    (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, kLookMs, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
  }
}

void CallNext(PlannedStmt* planned, const char* query, bool read_only_tree, ProcessUtilityContext context,
              ParamListInfo params, QueryEnvironment* environment, DestReceiver* receiver, QueryCompletion* completion) {
  ProcessUtility_hook_type next = previous_hook != nullptr ? previous_hook : standard_ProcessUtility;
  next(planned, query, read_only_tree, context, params, environment, receiver, completion);
}

// Raises past its own frame and those below: nothing here has a destructor.
void OnUtility(PlannedStmt* planned, const char* query, bool read_only_tree, ProcessUtilityContext context,
               ParamListInfo params, QueryEnvironment* environment, DestReceiver* receiver, QueryCompletion* completion) {
  Oid database = InvalidOid;
  if (!IsA(planned->utilityStmt, DropdbStmt) ||
      !IsServed(reinterpret_cast<DropdbStmt*>(planned->utilityStmt), &database)) {
    return CallNext(planned, query, read_only_tree, context, params, environment, receiver, completion);
  }
  PreventInTransactionBlock(context == PROCESS_UTILITY_TOPLEVEL, "DROP DATABASE");
  shared->dropping++;
  PG_ENSURE_ERROR_CLEANUP(OnEnd, Datum{0});
  {
    EndWorker(database);
    CallNext(planned, query, read_only_tree, context, params, environment, receiver, completion);
  }
  PG_END_ENSURE_ERROR_CLEANUP(OnEnd, Datum{0});
  OnEnd(0, Datum{0});
}

}  // namespace

size_t SharedSize() { return sizeof(Shared); }

void Attach(void* memory, bool initialized) {
  if (!initialized) new (memory) Shared{};
  shared = static_cast<Shared*>(memory);
}

void InstallHook() {
  previous_hook = ProcessUtility_hook;
  ProcessUtility_hook = OnUtility;
}

void Arrive() {
  shared->database = MyDatabaseId;
  shared->worker_pid = MyProcPid;
  // After the callbacks that say good-bye to clients and drop the slot.
  on_shmem_exit(OnWorkerExit, Datum{0});
}

bool InProgress() { return shared->dropping > 0; }

}  // namespace realtime::drop_database
