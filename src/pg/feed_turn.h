// A turn of what the feed does beside the stream. Database thread only.
#ifndef REALTIME_PG_FEED_TURN_H_
#define REALTIME_PG_FEED_TURN_H_

#include <cstdint>
#include <functional>

namespace realtime {

struct FeedTurn {
  std::function<bool()> may_go_on;  // false: the turn is over
  bool stream_idle = false;         // nothing else waits for the thread: slow tables need not yield
  int64_t now_ms = 0;               // when it began
};

}  // namespace realtime

#endif  // REALTIME_PG_FEED_TURN_H_
