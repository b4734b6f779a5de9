// What the views realtime.stat_channels, stat_connections and stat_subscriptions, and realtime.disconnect(), ask the network
// thread, and its answer. One at a time: a newer one takes an unfinished one's place.
#ifndef REALTIME_CORE_INQUIRY_H_
#define REALTIME_CORE_INQUIRY_H_

#include "core/pure.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/view_rows.h"

namespace realtime {

enum class InquiryKind : uint8_t { kChannels, kConnections, kSubscriptions, kDisconnect };

// Answered by one or more Findings, of which the last says so; not at all when a newer one comes first.
struct Inquiry {
  uint64_t ticket = 0;
  InquiryKind kind = InquiryKind::kChannels;
  uint64_t connection = 0;  // kDisconnect: whom
};

// A channel that is subscribed to changes; the database thread knows to which.
struct Subscriber {
  uint64_t connection = 0;
  uint64_t channel = 0;
  std::string topic;
  uint64_t delivered = 0;  // changes
};

struct Findings {
  uint64_t ticket = 0;
  bool last = false;
  bool found = false;                   // kDisconnect: there was such a connection
  bool more = false;                    // there would have been more than the bounds allow
  ViewRows rows;                        // kChannels, kConnections
  std::vector<Subscriber> subscribers;  // kSubscriptions
};

}  // namespace realtime

#endif  // REALTIME_CORE_INQUIRY_H_
