// What waits for one socket: whole WebSocket frames, shared with other sockets' queues.
#ifndef REALTIME_NET_SEND_QUEUE_H_
#define REALTIME_NET_SEND_QUEUE_H_

#include <cstddef>
#include <string_view>
#include <vector>

#include "core/bytes.h"

namespace realtime {

// Network thread only. An empty queue owns no memory worth mentioning, because idle sockets are many.
class SendQueue {
 public:
  void Push(SharedBytes frame);
  void Clear();

  bool empty() const { return head_ == frames_.size(); }
  size_t bytes() const { return bytes_; }
  // Memory of its own, which it shares with no other queue.
  size_t own_memory() const { return frames_.capacity() * sizeof(SharedBytes); }

  // The bytes for one write, copied into buffer[0, capacity): as many whole frames as fit; or a fragment (RFC 6455 5.4) of
  // the first frame when it alone is larger. Control frames may stand between fragments, so whatever else writes to the
  // socket does no harm. Valid until Pop. Empty when the queue is.
  std::string_view Peek(char* buffer, size_t capacity);
  // Drops what the last Peek returned.
  void Pop();

 private:
  std::string_view PeekFragment(const std::string& frame, char* buffer, size_t capacity);

  std::vector<SharedBytes> frames_;  // [head_, end) wait
  size_t head_ = 0;
  size_t peeked_ = 0;           // frames that the last Peek ended
  size_t peeked_fragment_ = 0;  // bytes of the first frame's payload in the last Peek, if it was a fragment
  size_t sent_ = 0;             // bytes of the first frame's payload that have gone in fragments
  size_t bytes_ = 0;
};

}  // namespace realtime

#endif  // REALTIME_NET_SEND_QUEUE_H_
