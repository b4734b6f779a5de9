// How long one change may be judged before others have their turn. Database thread only.
#ifndef REALTIME_PG_SLICE_H_
#define REALTIME_PG_SLICE_H_

#include <algorithm>
#include <cstdint>

#include "pg/monotonic.h"

namespace realtime {

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
