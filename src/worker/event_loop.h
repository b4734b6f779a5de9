// What the database thread waits on: its latch, the mailbox's eventfd, the postmaster's death and the replication socket.
#ifndef REALTIME_WORKER_EVENT_LOOP_H_
#define REALTIME_WORKER_EVENT_LOOP_H_

#include <cstdint>

#include "pg/replication.h"

struct WaitEventSet;

namespace realtime {

class EventLoop {
 public:
  // False: no eventfd, or no wait set; the text has been logged.
  bool Init();

  // From any thread, without blocking: ends a wait.
  void Wake();

  // Waits at most timeout_ms, and ends the process when the postmaster is gone. with_stream: for the replication socket as
  // well. Returns whether that socket is ready.
  bool Wait(const Replication& stream, bool with_stream, int64_t timeout_ms);

 private:
  bool Rebuild(const Replication& stream);
  bool WaitFor(WaitEventSet* set, int64_t timeout_ms);

  int wake_fd_ = -1;
  // A socket cannot leave a wait set, so there is one without it, and one that is made anew when the socket changes.
  WaitEventSet* base_set_ = nullptr;
  WaitEventSet* stream_set_ = nullptr;
  uint64_t stream_generation_ = 0;
  int socket_position_ = 0;
};

}  // namespace realtime

#endif  // REALTIME_WORKER_EVENT_LOOP_H_
