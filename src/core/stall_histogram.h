// How long turns of a loop took, of the last one to two minutes, by a resolution of a quarter.
#ifndef REALTIME_CORE_STALL_HISTOGRAM_H_
#define REALTIME_CORE_STALL_HISTOGRAM_H_

#include "core/pure.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace realtime {

class StallHistogram {
 public:
  static constexpr int64_t kPeriodMs = 60000;

  void Add(int64_t us, int64_t now_ms) {
    Age(now_ms);
    ++now_[BucketOf(us)];
    ++count_;
  }

  // The duration that `share` of the turns did not exceed, rounded up to the bucket's end; 0: there were none.
  int64_t Quantile(double share, int64_t now_ms) {
    Age(now_ms);
    if (count_ + before_count_ == 0) return 0;
    const double wanted = share * static_cast<double>(count_ + before_count_);
    double seen = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
      seen += now_[i] + before_[i];
      if (seen >= wanted) return EndOf(i);
    }
    return EndOf(kBuckets - 1);
  }

 private:
  // Four to each power of two: 2^32 us and more share the last.
  static constexpr size_t kBuckets = 128;
  using Counts = std::array<uint32_t, kBuckets>;

  static size_t BucketOf(int64_t us) {
    if (us < 4) return static_cast<size_t>(std::max<int64_t>(us, 0));
    const auto value = static_cast<uint64_t>(us);
    const auto power = static_cast<size_t>(std::bit_width(value)) - 1;
    return std::min(power * 4 - 4 + (value >> (power - 2) & 3), kBuckets - 1);
  }
  static int64_t EndOf(size_t bucket) {
    if (bucket < 4) return static_cast<int64_t>(bucket);
    const size_t power = bucket / 4 + 1;
    return static_cast<int64_t>(((4 + bucket % 4 + 1) << (power - 2)) - 1);
  }

  void Age(int64_t now_ms) {
    if (now_ms < until_ms_) return;
    const bool just_over = now_ms < until_ms_ + kPeriodMs;
    before_ = just_over ? now_ : Counts{};
    before_count_ = just_over ? count_ : 0;
    now_ = {};
    count_ = 0;
    until_ms_ = now_ms + kPeriodMs;
  }

  Counts now_{};
  Counts before_{};
  uint64_t count_ = 0;
  uint64_t before_count_ = 0;
  int64_t until_ms_ = 0;
};

}  // namespace realtime

#endif  // REALTIME_CORE_STALL_HISTOGRAM_H_
