// The database thread's clocks for intervals and time-outs: not of the wall clock, which may be set back.
#ifndef REALTIME_PG_MONOTONIC_H_
#define REALTIME_PG_MONOTONIC_H_

#include <chrono>
#include <cstdint>
#include <ctime>

namespace realtime {

inline int64_t MonotonicUs() {
  auto since_start = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(since_start).count();
}

inline int64_t MonotonicMs() { return MonotonicUs() / 1000; }

// With steps of some milliseconds, which is enough to tell what is slow, and costs less than a check of a policy.
inline int64_t CoarseMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

}  // namespace realtime

#endif  // REALTIME_PG_MONOTONIC_H_
