// How much of the database thread's time the patterns of clients' filters may take. A regular expression of twenty bytes can
// take seconds to compile, and again for each row; realtime.policy_timeout bounds one of them, but a client may bring hundreds,
// and nobody would get any change meanwhile.
//
// What a pattern takes beyond the time of a usual one is paid from one account, which gets half of the time that passes. When
// half of it is spent, patterns that were slow the last time are not tried, when all is, none that is not known to be fast, and
// deep in debt none at all: their audiences get an event with an error instead, and everybody else gets the row.
// Database thread only.
#ifndef REALTIME_PG_PATTERN_BUDGET_H_
#define REALTIME_PG_PATTERN_BUDGET_H_

#include <cstdint>

namespace realtime {

inline constexpr char kPatternsTooSlow[] = "the patterns of clients' filters take too much time at present";

// Of the patterns of one filter.
class PatternTimer {
 public:
  bool MayTry() const;
  void Start();
  // Harmless when it was not started, so that it can be called after an error, too.
  void Stop();

 private:
  int64_t started_us_ = 0;  // 0: is not running
  int64_t last_us_ = -1;    // what it took the last time; -1: it was never tried
};

}  // namespace realtime

#endif  // REALTIME_PG_PATTERN_BUDGET_H_
