// When memory is worth giving back to the system: malloc keeps what lies between pieces in use, and after a time in which much
// has waited for clients that is nearly all of it, for good. Any one thread.
#ifndef REALTIME_CORE_BURST_H_
#define REALTIME_CORE_BURST_H_

#include "core/pure.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace realtime {

class Burst {
 public:
  static constexpr size_t kWorthwhile = 32u << 20;
  // What comes in waves is needed again, and to give back 250 MB takes some tens of milliseconds.
  static constexpr int64_t kQuietMs = 10000;

  // Bytes that are in use now: to be told whenever they may have changed.
  void Note(size_t bytes, int64_t mono_ms) {
    peak_ = std::max(peak_, bytes);
    if (bytes > peak_ / kFraction) busy_ms_ = mono_ms;
  }

  // True once after each burst: there was much, and for a while there has been little.
  bool TakeEnd(int64_t mono_ms) {
    if (mono_ms < Deadline()) return false;
    peak_ = 0;
    return true;
  }

  // When to ask for its end, if nothing else happens.
  int64_t Deadline() const { return peak_ < kWorthwhile ? INT64_MAX : busy_ms_ + kQuietMs; }

 private:
  static constexpr size_t kFraction = 4;

  size_t peak_ = 0;
  int64_t busy_ms_ = 0;
};

}  // namespace realtime

#endif  // REALTIME_CORE_BURST_H_
