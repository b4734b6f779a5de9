#include "pg/commit_end.h"

#include "pg/pg.h"

extern "C" {
#include "storage/lock.h"
#include "storage/procarray.h"
}

namespace realtime {

bool CommitHasEnded(uint32_t xid) {
  if (TransactionIdIsInProgress(xid)) return false;
  LOCKTAG tag;
  SET_LOCKTAG_TRANSACTION(tag, xid);
  // As a session's lock it needs no resource owner.
  if (LockAcquire(&tag, ShareLock, true, true) == LOCKACQUIRE_NOT_AVAIL) return false;
  LockRelease(&tag, ShareLock, true);
  return true;
}

}  // namespace realtime
