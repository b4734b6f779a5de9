// Subscriptions that wait for the stream. SUBSCRIBED means subscribed, so nobody is answered before the stream is live; but
// nobody waits for ever either.
#ifndef REALTIME_WORKER_JOINS_H_
#define REALTIME_WORKER_JOINS_H_

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

  // The stream is live: hands them over in the order of their arrival, as long as it may.
  void Serve(const std::function<void(const Subscribe&)>& serve, const std::function<bool()>& may_go_on);
  // Refuses those who have waited too long (as long as they wish, else a default), with the cause in the text.
  void Expire(int64_t now_ms, const std::string& cause, const std::function<void(ToNetwork)>& output);
  void RefuseAll(const std::string& cause, const std::function<void(ToNetwork)>& output);

  bool empty() const { return waiting_.empty(); }
  int64_t next_deadline_ms() const { return next_deadline_ms_; }  // INT64_MAX: none; may be too early

 private:
  struct Waiting {
    Subscribe request;
    int64_t deadline_ms;
  };
  std::deque<Waiting> waiting_;  // in the order of their arrival
  int64_t next_deadline_ms_ = INT64_MAX;
};

// The answer to a subscription that cannot be served for lack of a stream.
SubscribeResult RefusalOf(const Subscribe& request, const std::string& cause);

}  // namespace realtime

#endif  // REALTIME_WORKER_JOINS_H_
