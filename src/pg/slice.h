// How long one change may be judged before others have their turn. Database thread only.
#ifndef REALTIME_PG_SLICE_H_
#define REALTIME_PG_SLICE_H_

#include <ctime>

#include <algorithm>
#include <cstdint>

namespace realtime {

// A clock with steps of some milliseconds, which is enough to tell what is slow, and costs less than a check of a policy.
inline int64_t CoarseMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

class Slice {
 public:
  static constexpr int64_t kMs = 100;

  Slice() : Slice(CoarseMs()) {}
  // What was begun before, and would have to be done again: it lasts as long once more at least.
  explicit Slice(int64_t began_ms) {
    const int64_t now_ms = CoarseMs();
    end_ms_ = now_ms + std::max(kMs, now_ms - began_ms);
  }
  bool ended() const { return CoarseMs() >= end_ms_; }

 private:
  int64_t end_ms_;
};

}  // namespace realtime

#endif  // REALTIME_PG_SLICE_H_
