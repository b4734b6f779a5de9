// Questions of private channels that would hold up all others: those of identities whose last answer took as long as one
// policy may take. They wait behind everybody else's, and are answered one by one when there is nothing else to do.
//
// A channel has one question here at most: a newer one takes the older one's place, whose answer nobody expects any more.
// What its channel passes on or stores waits behind it. Bounded in number, bytes and time.
#ifndef REALTIME_WORKER_SLOW_RIGHTS_H_
#define REALTIME_WORKER_SLOW_RIGHTS_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

#include "core/door.h"

namespace realtime {

class SlowRights {
 public:
  struct Waiting {
    CheckRights question;
    std::vector<Store> behind;  // in the order of their arrival
    int64_t deadline_ms = 0;    // beyond it the question is not worth an evaluation
    size_t bytes = 0;
  };

  // Remembers how the last evaluation for the identity went.
  void Note(const Identity& identity, bool slow, int64_t now_ms);
  // Whether the question has to wait here: its identity is slow, or its channel waits already.
  bool Concerns(const CheckRights& question, int64_t now_ms);
  bool Has(ChannelId channel) const { return waiting_.contains(channel); }

  // What cannot wait, or need not any more, and is to be refused: the given question, when too much waits here; or the older
  // of two of one channel. Null: none.
  std::optional<CheckRights> Add(CheckRights question, int64_t now_ms);
  // For a channel that waits. False: too much waits here, and the message is to be refused.
  bool Add(const Store& message);

  bool empty() const { return order_.empty(); }
  int64_t first_deadline_ms() const { return waiting_.at(order_.front()).deadline_ms; }  // not when empty
  Waiting Take();  // the oldest; not when empty

 private:
  struct SlowIdentity {
    size_t hash;
    int64_t until_ms;
  };
  std::deque<SlowIdentity> identities_;  // by time
  std::deque<ChannelId> order_;          // of arrival
  std::unordered_map<ChannelId, Waiting> waiting_;
  size_t count_ = 0;  // of questions and messages
  size_t bytes_ = 0;
};

}  // namespace realtime

#endif  // REALTIME_WORKER_SLOW_RIGHTS_H_
