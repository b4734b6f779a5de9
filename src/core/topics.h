// The topics that somebody is joined to, and their members. A public and a private topic of one name are two topics.
#ifndef REALTIME_CORE_TOPICS_H_
#define REALTIME_CORE_TOPICS_H_

#include "core/pure.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/presence.h"

namespace realtime {

struct Channel;

// The presence_state of a large room, kept until the next diff: many may join at once.
struct PresenceState {
  std::string payload;   // empty: not made yet
  SharedBytes frame[2];  // the last one of each version
  std::string join_ref;  // in that of version 2
};

struct Topic {
  std::string key;
  std::vector<Channel*> members;  // in no order
  Presence presence;
  bool diff_due = false;          // changes of presence wait to be told together
  PresenceState state;
  uint64_t broadcasts = 0;        // messages to it
  uint64_t deliveries = 0;        // of them, one for each member that got one
};

class Topics {
 public:
  // The channel becomes a member (channel->room, channel->seat). Harmless when it is one.
  void Join(Channel* channel);
  // No member any more; the topic ends with its last member. Harmless when it is none.
  void Leave(Channel* channel);
  // `subtopic` is without "realtime:". Null: nobody is there.
  Topic* Find(bool is_private, std::string_view subtopic);
  Topic* Find(const std::string& key);  // a Topic's
  void List(std::vector<std::string>* keys) const;

 private:
  // Ordered: names are the clients' to choose, and those that share one hash are easily made.
  std::map<std::string, std::unique_ptr<Topic>> topics_;
  std::string key_;  // scratch of Find
};

}  // namespace realtime

#endif  // REALTIME_CORE_TOPICS_H_
