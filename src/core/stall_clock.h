// Tells a stalled reader of a log from one that has much to read. A stall is time without a confirmed position while there
// is something to confirm. A large transaction confirms nothing before its end either, so each message that is read buys
// some time: what is read fast enough may take as long as it is large, what trickles may not.
#ifndef REALTIME_CORE_STALL_CLOCK_H_
#define REALTIME_CORE_STALL_CLOCK_H_

#include "core/pure.h"

#include <cstdint>

namespace realtime {

class StallClock {
 public:
  // 100 messages a second are never a stall.
  static constexpr int64_t kPerMessageMs = 10;

  void Restart() { running_ = false; }
  void OnMessage() { messages_++; }

  // One look at the positions; whether the stall has lasted longer than limit_ms (0: there is no limit).
  bool Expired(uint64_t confirmed, uint64_t end_of_log, int64_t now_ms, int64_t limit_ms) {
    if (!running_ || confirmed != confirmed_ || end_of_log <= confirmed) {
      running_ = true;
      confirmed_ = confirmed;
      since_ms_ = now_ms;
      messages_ = 0;
    }
    return limit_ms > 0 && now_ms - since_ms_ - messages_ * kPerMessageMs > limit_ms;
  }

 private:
  bool running_ = false;
  uint64_t confirmed_ = 0;
  int64_t since_ms_ = 0;
  int64_t messages_ = 0;
};

}  // namespace realtime

#endif  // REALTIME_CORE_STALL_CLOCK_H_
