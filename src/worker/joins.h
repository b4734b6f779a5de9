// Subscriptions that wait for the stream. SUBSCRIBED means subscribed, so nobody is answered before the stream is live; but
// nobody waits for ever either.
#ifndef REALTIME_WORKER_JOINS_H_
#define REALTIME_WORKER_JOINS_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>

#include "core/door.h"

namespace realtime {

class Joins {
 public:
  void Add(Subscribe request, int64_t now_ms);
  void Remove(ChannelId channel);

  // The stream is live: hands them over in the order of their arrival, as long as it may. One that `serve` cannot serve now
  // (false) waits behind the others, and all of them for a moment: most likely the same lock is in their way.
  void Serve(const std::function<bool(const Subscribe&)>& serve, const std::function<bool()>& may_go_on, int64_t now_ms);
  // Looking at one was in vain: each costs time that the stream waits.
  void Pause(int64_t now_ms) { paused_until_ms_ = now_ms + kPauseMs; }
  bool IsPaused(int64_t now_ms) const { return now_ms < paused_until_ms_; }
  // Refuses those who have waited too long (as long as they wish, else a default), with the cause in the text.
  void Expire(int64_t now_ms, const std::string& cause, const std::function<void(ToNetwork)>& output);
  void RefuseAll(const std::string& cause, const std::function<void(ToNetwork)>& output);

  bool empty() const { return waiting_.empty(); }
  // When there is something to do; INT64_MAX: never; may be too early. `serving`: the stream is live.
  int64_t next_step_ms(bool serving) const {
    return serving && !waiting_.empty() ? std::min(next_deadline_ms_, paused_until_ms_) : next_deadline_ms_;
  }

 private:
  struct Waiting {
    Subscribe request;
    int64_t deadline_ms;
  };
  static constexpr int64_t kPauseMs = 100;

  std::deque<Waiting> waiting_;  // those of one channel in the order of their arrival
  int64_t paused_until_ms_ = 0;
  int64_t next_deadline_ms_ = INT64_MAX;
};

// The answer to a subscription that cannot be served for lack of a stream.
SubscribeResult RefusalOf(const Subscribe& request, const std::string& cause);

}  // namespace realtime

#endif  // REALTIME_WORKER_JOINS_H_
