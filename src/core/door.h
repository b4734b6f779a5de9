// The values that pass between the database thread and the network thread. Plain data, no pointers into either side.
#ifndef REALTIME_CORE_DOOR_H_
#define REALTIME_CORE_DOOR_H_

#include "core/pure.h"

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "core/bytes.h"
#include "core/change.h"
#include "core/join.h"
#include "core/mailbox.h"
#include "core/settings.h"
#include "core/token.h"

namespace realtime {

// One joined channel instance; unique for the life of the process, never zero.
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
};

struct Unsubscribe {
  ChannelId channel = 0;
};

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning };  // become DEBUG1, LOG, WARNING

// Something for the server log: what happened, and what a DBA can do about it (may be empty).
struct LogLine {
  LogLevel level = LogLevel::kInfo;
  std::string message;
  std::string hint;
};

using ToDatabase = std::variant<Subscribe, Unsubscribe, LogLine>;

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

struct Target {
  ChannelId channel = 0;
  uint32_t binding_id = 0;
};
// Sorted by channel. Shared between deliveries, immutable.
using TargetList = std::shared_ptr<const std::vector<Target>>;

// One change, encoded once, and whom it goes to. `data` is the JSON text of the `data` object.
struct Delivery {
  SharedBytes data;
  ChangeKind kind = ChangeKind::kInsert;
  std::vector<TargetList> targets;
};

// A `system` message, extension "postgres_changes", to every channel with live bindings.
struct SystemNotice {
  bool is_error = true;
  std::string message;
};

struct Reload {
  SettingsPtr settings;
};

// Say goodbye to every client (system "Server requested disconnect", close 1012), flush for at most
// settings.drain_timeout_ms, then end the network thread's loop.
struct Drain {};

using ToNetwork = std::variant<SubscribeResult, Delivery, SystemNotice, Reload, Drain>;

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
