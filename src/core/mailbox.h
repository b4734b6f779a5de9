// A bounded, ordered hand-over of values from one thread to another.
#ifndef REALTIME_CORE_MAILBOX_H_
#define REALTIME_CORE_MAILBOX_H_

#include "core/pure.h"

#include <atomic>
#include <cstddef>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace realtime {

// Writers Push, the one reader Takes everything at once and says Done(bytes) as it finishes each message, so bytes()
// covers what is queued and what is in the reader's hands. Push never blocks and never refuses: the writer looks at
// bytes() and stops producing above its cap. Thread-safe.
template <typename T>
class Mailbox {
 public:
  // `wake` is called (on the writer's thread, without the lock) when the mailbox turns from empty to non-empty.
  // `drained` is called (on the reader's thread) when bytes() falls to `low_water` or less from above.
  // Both must be set before the second thread starts, must not block and must not call back into the mailbox.
  void OnWake(std::function<void()> wake) { wake_ = std::move(wake); }
  void OnDrained(size_t low_water, std::function<void()> drained) {
    low_water_ = low_water;
    drained_ = std::move(drained);
  }

  void Push(T message, size_t bytes) {
    bool was_empty;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      was_empty = queue_.empty();
      queue_.push_back({std::move(message), bytes});
      bytes_.fetch_add(bytes, std::memory_order_relaxed);
    }
    if (was_empty && wake_) wake_();
  }

  struct Entry {
    T message;
    size_t bytes;
  };

  // Swaps the queued messages into *out, which must be empty; keeps both buffers' capacity.
  void Take(std::vector<Entry>* out) {
    std::lock_guard<std::mutex> lock(mutex_);
    out->swap(queue_);
  }

  void Done(size_t bytes) {
    size_t before = bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    if (before > low_water_ && before - bytes <= low_water_ && drained_) drained_();
  }

  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  std::mutex mutex_;
  std::vector<Entry> queue_;
  std::atomic<size_t> bytes_{0};
  size_t low_water_ = 0;
  std::function<void()> wake_;
  std::function<void()> drained_;
};

}  // namespace realtime

#endif  // REALTIME_CORE_MAILBOX_H_
