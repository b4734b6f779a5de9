// Token buckets: a rate, and a burst that is not punished once it is over.
#ifndef REALTIME_CORE_RATE_LIMIT_H_
#define REALTIME_CORE_RATE_LIMIT_H_

#include "core/pure.h"

#include <algorithm>
#include <cstdint>

namespace realtime {

// `amount` per `period_ms`, saved up to `burst`. Zero amount: no limit.
struct Rate {
  double amount = 0;
  double period_ms = 1000;
  double burst = 0;

  bool limited() const { return amount > 0; }
};

// Starts full. The rate is given with each call, so that a reload takes effect at once.
class TokenBucket {
 public:
  // Takes n tokens if they are there.
  bool Take(const Rate& rate, int64_t now_ms, double n = 1) {
    if (!rate.limited()) return true;
    Fill(rate, now_ms);
    if (tokens_ < n) return false;
    tokens_ -= n;
    return true;
  }

  // Takes n tokens in any case and says how many milliseconds it takes until the debt is paid; 0: there is none.
  int64_t Charge(const Rate& rate, int64_t now_ms, double n = 1) {
    if (!rate.limited()) return 0;
    Fill(rate, now_ms);
    tokens_ -= n;
    return tokens_ >= 0 ? 0 : static_cast<int64_t>(-tokens_ * rate.period_ms / rate.amount) + 1;
  }

  double Level(const Rate& rate, int64_t now_ms) {
    if (!rate.limited()) return 0;
    Fill(rate, now_ms);
    return tokens_;
  }

 private:
  void Fill(const Rate& rate, int64_t now_ms) {
    if (!started_) {
      started_ = true;
      tokens_ = rate.burst;
    } else {
      double elapsed = static_cast<double>(std::max<int64_t>(now_ms - filled_ms_, 0));
      tokens_ = std::min(rate.burst, tokens_ + elapsed * rate.amount / rate.period_ms);
    }
    filled_ms_ = now_ms;
  }

  double tokens_ = 0;
  int64_t filled_ms_ = 0;
  bool started_ = false;
};

}  // namespace realtime

#endif  // REALTIME_CORE_RATE_LIMIT_H_
