#include "pg/start_point.h"

#include "pg/failure_log.h"
#include "pg/guard.h"
#include "pg/log.h"

#include "pg/pg.h"

extern "C" {
#include "access/xlog.h"
#include "utils/snapmgr.h"
}

namespace realtime {

// The snapshot first, the LSN after it: a commit record at or behind the LSN cannot have been visible in the snapshot.
std::shared_ptr<const StartPoint> TakeStartPoint() {
  auto start = std::make_shared<StartPoint>();
  StartPoint* raw = start.get();
  PgError error;
  bool done = InTransaction(
      [raw] {
        Snapshot snapshot = GetActiveSnapshot();
        raw->xmin = snapshot->xmin;
        raw->xmax = snapshot->xmax;
        raw->in_progress.assign(snapshot->xip, snapshot->xip + snapshot->xcnt);
        raw->lsn = GetXLogInsertRecPtr();
      },
      &error);
  if (done) return start;
  if (failure_log::Due("start point")) {
    LogError("realtime could not take a snapshot for a subscription, and tries again: " + error.Text());
  }
  return nullptr;
}

}  // namespace realtime
