// Measures the network thread once in a while: for realtime.stat_worker, which reads NetworkCounts, and for GET /metrics.
#ifndef REALTIME_NET_GAUGES_H_
#define REALTIME_NET_GAUGES_H_

#include <cstdint>
#include <string>

#include "core/clock.h"
#include "core/figures.h"
#include "core/settings.h"
#include "core/stall_histogram.h"
#include "net/network_thread.h"
#include "net/parts.h"

namespace realtime {

// Network thread only.
class Gauges {
 public:
  // Neither is owned; `figures` may be null.
  Gauges(NetworkCounts* counts, const stat::Figures* figures) : counts_(counts), figures_(figures) {}

  // At every turn of the loop, which has been at work for busy_us since the last.
  void Measure(const Parts& parts, int64_t busy_us, Now now);
  // Mono ms; so that what was waiting is not reported as waiting when nothing happens any more.
  int64_t NextLook() const { return waiting_ ? next_look_ms_ : INT64_MAX; }

  // What GET /metrics answers.
  std::string Page(const Parts& parts, const Settings& settings) const;

 private:
  NetworkCounts* const counts_;
  const stat::Figures* const figures_;
  StallHistogram stalls_;
  int64_t next_look_ms_ = 0;
  bool waiting_ = false;  // something was, at the last look
};

}  // namespace realtime

#endif  // REALTIME_NET_GAUGES_H_
