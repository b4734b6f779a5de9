// The worker's answer to SIGTERM, visible to everything that runs SQL.
#ifndef REALTIME_PG_INTERRUPTS_H_
#define REALTIME_PG_INTERRUPTS_H_

#include <csignal>

namespace realtime {

// Set for good by the first SIGTERM. Code that catches query_canceled must look at it and not go on.
extern volatile sig_atomic_t shutdown_requested;

// The SIGTERM handler: raises the flag, cancels the statement that is running, sets the latch. The process does not die in
// the handler's wake: the main loop takes the ordered way out (worker/worker.cpp).
void HandleTerminate(int signal);

}  // namespace realtime

#endif  // REALTIME_PG_INTERRUPTS_H_
