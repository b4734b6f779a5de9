// The values that pass between the database thread and the network thread. Plain data, no pointers into either side.
#ifndef REALTIME_CORE_DOOR_H_
#define REALTIME_CORE_DOOR_H_

#include "core/pure.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/broadcast.h"
#include "core/bytes.h"
#include "core/change.h"
#include "core/inquiry.h"
#include "core/join.h"
#include "core/mailbox.h"
#include "core/rights.h"
#include "core/settings.h"
#include "core/token.h"

namespace realtime {

// One joined channel instance, or one REST call; unique for the life of the process, never zero.
using ChannelId = uint64_t;

// ---- to the database thread ----

// Serve these bindings to the channel under the identity. A second Subscribe for the same channel (a refreshed token)
// replaces the identity and keeps the position in the stream. Answered by exactly one SubscribeResult with the same
// sequence, unless an Unsubscribe for the channel follows.
struct Subscribe {
  ChannelId channel = 0;
  uint32_t sequence = 0;
  std::shared_ptr<const Identity> identity;
  std::vector<Binding> bindings;
  int64_t patience_ms = 0;  // how long it may wait for the stream; zero: the default
};

struct Unsubscribe {
  ChannelId channel = 0;
};

// What may the identity do on these topics? Answered by exactly one RightsResult, also after the channel has ended. With
// `join` the answer waits (a second at most) for the stream, so that what is sent from SQL after it is not missed.
struct CheckRights {
  ChannelId channel = 0;
  uint32_t sequence = 0;
  std::shared_ptr<const Identity> identity;
  std::vector<std::string> topics;  // without "realtime:"
  bool join = false;
  std::optional<ReplayRequest> replay;  // of the one topic, if broadcasts may be read there
};

// A message on its way through the database: inserted into realtime.messages under the identity when `store` is set, else
// only passed on, behind those that are. Answered by one Stored, in order.
struct Store {
  ChannelId channel = 0;
  std::shared_ptr<const Identity> identity;
  BroadcastPtr message;
  bool store = true;
  int64_t ttl_s = 0;  // life of the stored message; zero: until realtime.message_retention ends it
  std::string ref;    // comes back as it is
  bool needs_right = false;  // comes back: a new token is being judged, and its answer will be there first
};

// Somebody is (nobody is any more) joined to a channel, so messages that are sent from SQL have a reader.
struct Listening {
  bool any = false;
};

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning };  // become DEBUG1, LOG, WARNING

// Something for the server log: what happened, and what a DBA can do about it (may be empty).
struct LogLine {
  LogLevel level = LogLevel::kInfo;
  std::string message;
  std::string hint;
};

using ToDatabase = std::variant<Subscribe, Unsubscribe, CheckRights, Store, Listening, LogLine, Findings>;

// ---- to the network thread ----

struct SubscribeResult {
  enum class Outcome : uint8_t {
    kLive,     // in the registry: every commit that becomes visible from now on is delivered
    kRefused,  // no right: the join gets an error reply with `message` as reason
    kFailed,   // cannot be served: the join succeeds, then a `system` error with `message`
  };
  ChannelId channel = 0;
  uint32_t sequence = 0;
  Outcome outcome = Outcome::kLive;
  std::string message;
};

struct RightsResult {
  ChannelId channel = 0;
  uint32_t sequence = 0;
  std::string error;           // not empty: could not be evaluated; the reason, as a join's answer gives it ("Code: text")
  std::vector<Rights> granted;  // by topic, when there is no error
  std::string replay_error;    // as a join's answer gives it
  std::vector<BroadcastPtr> replayed;  // oldest first
};

struct Stored {
  ChannelId channel = 0;
  BroadcastPtr message;  // with its id when it was stored; null: it comes from the stream, as a trigger may have changed it
  std::string ref;
  std::string error;     // not empty: it was not stored, and must not be delivered; for the sender
  bool denied = false;   // ... because a policy or a privilege says so
  bool needs_right = false;
};

// A row inserted into realtime.messages, after its commit.
struct DatabaseBroadcast {
  BroadcastPtr message;
};

// Whether messages that are sent from SQL arrive.
struct StreamState {
  bool live = false;
};

struct Target {
  ChannelId channel = 0;
  uint32_t binding_id = 0;

  friend auto operator<=>(const Target&, const Target&) = default;
};
// Sorted by channel. Shared between deliveries, immutable.
using TargetList = std::shared_ptr<const std::vector<Target>>;

// One change, encoded once, and whom it goes to. `data` is the JSON text of the `data` object.
struct Delivery {
  SharedBytes data;
  ChangeKind kind = ChangeKind::kInsert;
  std::vector<TargetList> targets;
};

// A `system` message, extension "postgres_changes", to the channel, or to every one with live bindings. If it is about
// messages from SQL too, the others that hear of those get it as well, extension "system".
struct SystemNotice {
  bool is_error = true;
  std::string message;
  ChannelId channel = 0;  // zero: every one
  bool messages = false;
};

struct Reload {
  SettingsPtr settings;
};

// Say goodbye to every client (system "Server requested disconnect", close 1012), flush for at most
// settings.drain_timeout_ms, then end the network thread's loop.
struct Drain {};

using ToNetwork = std::variant<SubscribeResult, Delivery, RightsResult, Stored, DatabaseBroadcast, StreamState,
                               SystemNotice, Reload, Inquiry, Drain>;

using DatabaseMailbox = Mailbox<ToDatabase>;
using NetworkMailbox = Mailbox<ToNetwork>;

// What a message counts for in its mailbox.
size_t SizeOf(const ToDatabase& message);
size_t SizeOf(const ToNetwork& message);

// Pushes a message with its size.
template <typename T>
void Post(T message, Mailbox<T>* mailbox) {
  size_t bytes = SizeOf(message);
  mailbox->Push(std::move(message), bytes);
}

}  // namespace realtime

#endif  // REALTIME_CORE_DOOR_H_
