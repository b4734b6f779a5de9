// What somebody may do on a private channel: the answer of the row-level security policies of realtime.messages, SELECT for
// receiving and INSERT for sending, per value of the column `extension`.
#ifndef REALTIME_CORE_RIGHTS_H_
#define REALTIME_CORE_RIGHTS_H_

#include "core/pure.h"

#include <cstdint>
#include <string_view>

namespace realtime {

// What a sender without the right is told, before the topic.
inline constexpr std::string_view kMayNotWrite =
    "Unauthorized: You do not have permissions to write to this Channel topic: ";

struct Rights {
  bool read_broadcast = false;
  bool read_presence = false;
  bool write_broadcast = false;
  bool write_presence = false;

  static constexpr Rights All() { return {true, true, true, true}; }  // of a public channel
  bool can_read() const { return read_broadcast || read_presence; }
  bool operator==(const Rights&) const = default;
};

// config.broadcast.replay of a join: stored messages since a time, the newest `limit` of them.
struct ReplayRequest {
  int64_t since_ms = 0;  // wall clock, milliseconds since 1970
  int limit = 25;        // 1 to 25
};

}  // namespace realtime

#endif  // REALTIME_CORE_RIGHTS_H_
