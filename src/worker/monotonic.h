// The database thread's clock for intervals and time-outs.
#ifndef REALTIME_WORKER_MONOTONIC_H_
#define REALTIME_WORKER_MONOTONIC_H_

#include <chrono>
#include <cstdint>

namespace realtime {

inline int64_t MonotonicUs() {
  auto since_start = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(since_start).count();
}

inline int64_t MonotonicMs() { return MonotonicUs() / 1000; }

}  // namespace realtime

#endif  // REALTIME_WORKER_MONOTONIC_H_
