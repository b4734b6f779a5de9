// Time as a value: core has no clock, callers say what time it is.
#ifndef REALTIME_CORE_CLOCK_H_
#define REALTIME_CORE_CLOCK_H_

#include "core/pure.h"

#include <cstdint>

namespace realtime {

struct Now {
  int64_t unix_ms = 0;  // wall clock, milliseconds since 1970: token expiry
  int64_t mono_ms = 0;  // monotonic clock, milliseconds: intervals and time-outs
};

}  // namespace realtime

#endif  // REALTIME_CORE_CLOCK_H_
