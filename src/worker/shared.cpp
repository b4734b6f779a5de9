#include "worker/shared.h"

#include "pg/drop_database.h"
#include "pg/inquiry_desk.h"
#include "pg/stat.h"

#include "pg/pg.h"

extern "C" {
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
}

namespace realtime {

namespace {

struct SharedState {
  volatile bool database_expected;  // one writer: the worker
};

SharedState* shared_state;
shmem_request_hook_type previous_request_hook;
shmem_startup_hook_type previous_startup_hook;

void OnRequest() {
  if (previous_request_hook) previous_request_hook();
  RequestAddinShmemSpace(sizeof(SharedState));
  RequestAddinShmemSpace(stat::SharedSize());
  RequestAddinShmemSpace(drop_database::SharedSize());
  RequestAddinShmemSpace(desk::SharedSize());
}

void OnStartup() {
  if (previous_startup_hook) previous_startup_hook();
  bool found = false;
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  shared_state = static_cast<SharedState*>(ShmemInitStruct("realtime", sizeof(SharedState), &found));
  if (!found) shared_state->database_expected = true;
  void* figures = ShmemInitStruct("realtime statistics", stat::SharedSize(), &found);
  stat::Attach(figures, found);
  void* drops = ShmemInitStruct("realtime drop database", drop_database::SharedSize(), &found);
  drop_database::Attach(drops, found);
  void* desk = ShmemInitStruct("realtime inquiries", desk::SharedSize(), &found);
  desk::Attach(desk, found);
  LWLockRelease(AddinShmemInitLock);
}

}  // namespace

void RequestSharedState() {
  previous_request_hook = shmem_request_hook;
  shmem_request_hook = OnRequest;
  previous_startup_hook = shmem_startup_hook;
  shmem_startup_hook = OnStartup;
}

bool DatabaseExpected() { return shared_state->database_expected; }
void SetDatabaseExpected(bool expected) { shared_state->database_expected = expected; }

}  // namespace realtime
