// The network thread: libuv loop, libwebsockets, sockets, and the Engine that owns the clients' state.
// Needs nothing of PostgreSQL: the test harness in test/net runs it alone.
#ifndef REALTIME_NET_NETWORK_THREAD_H_
#define REALTIME_NET_NETWORK_THREAD_H_

#include <atomic>
#include <cstddef>
#include <memory>

#include "core/door.h"
#include "core/figures.h"

namespace realtime {

// As of the network thread's last turn; may be read by any thread.
struct NetworkCounts {
  std::atomic<size_t> connections{0};
  std::atomic<size_t> channels{0};
  std::atomic<size_t> listeners{0};  // addresses on which clients can connect
  std::atomic<size_t> client_queue_bytes{0};
  std::atomic<int64_t> loop_stall_us{0};  // 99th percentile of the last minute or two
};

class NetworkThread {
 public:
  // Neither mailbox is owned; both outlive this object. The constructor starts nothing, but registers itself as `inbox`'s
  // wake (uv_async_send); `outbox`'s wake belongs to the caller. `figures` are the database thread's, for GET /metrics; they
  // outlive this object, or are null.
  NetworkThread(SettingsPtr settings, NetworkMailbox* inbox, DatabaseMailbox* outbox,
                const stat::Figures* figures = nullptr);
  ~NetworkThread();  // after Join, if Start has succeeded

  // Starts the thread with every signal blocked. Returns a status with a text for the log when the loop or libwebsockets
  // could not be set up: this object can only be destroyed then. A port that cannot be bound is no failure: it is logged through the outbox, once per change of
  // reason, and tried again at most every 5 s.
  Status Start();

  // Call after pushing Drain: waits at most timeout_ms for the thread to end, then detaches it if it has not (the
  // process is about to exit). Returns whether it ended. Idempotent.
  bool Join(int timeout_ms);

  // Not after Join.
  const NetworkCounts& counts() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace realtime

#endif  // REALTIME_NET_NETWORK_THREAD_H_
