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

  // The bytes for one write: as many whole frames as fit into buffer[0, capacity), copied there; or the first frame in
  // place when it alone is larger. Valid until Pop. Empty when the queue is.
  std::string_view Peek(char* buffer, size_t capacity);
  // Drops what the last Peek returned.
  void Pop();

 private:
  std::vector<SharedBytes> frames_;  // [head_, end) wait
  size_t head_ = 0;
  size_t peeked_ = 0;  // frames in the last Peek
  size_t bytes_ = 0;
};

}  // namespace realtime

#endif  // REALTIME_NET_SEND_QUEUE_H_
