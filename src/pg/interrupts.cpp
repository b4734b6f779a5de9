#include "pg/interrupts.h"

#include <cerrno>

#include "pg/pg.h"

namespace realtime {

volatile sig_atomic_t shutdown_requested = 0;

void HandleTerminate(int /*signal*/) {
  int saved_errno = errno;
  shutdown_requested = 1;
  InterruptPending = true;
  QueryCancelPending = true;
  SetLatch(MyLatch);
  errno = saved_errno;
}

}  // namespace realtime
