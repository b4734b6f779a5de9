// The engine's records: one Session per socket, one Channel per joined (or joining) topic of it. Plain data; the rules
// are in engine_impl.h and the files behind it.
#ifndef REALTIME_CORE_SESSION_H_
#define REALTIME_CORE_SESSION_H_

#include "core/pure.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/deadlines.h"
#include "core/door.h"
#include "core/engine.h"
#include "core/frame.h"
#include "core/join.h"
#include "core/token.h"

namespace realtime {

inline constexpr std::string_view kTopicPrefix = "realtime:";

struct Session;

// One instance of a topic on one socket, from the phx_join that passed all checks to its end.
//
//   joining ──kLive / kFailed──> joined ──leave, re-join, expiry, refusal──> gone
//      └──kRefused, leave, re-join, expiry──> gone
//
// A channel without bindings is joined at once. Nothing but the join's answer is sent while it is joining.
struct Channel {
  ChannelId id = 0;
  Session* session = nullptr;  // owns this channel
  std::string topic;
  std::string quoted_topic;    // JSON text, made once for all changes of the channel's life
  size_t topic_hash = 0;
  std::string join_ref;        // JSON text
  std::string ref;             // of the phx_join, for its answer
  // join_ref of the instance that this one displaced; its phx_close follows our answer.
  std::optional<std::string> displaced;

  bool modern = true;
  bool joining = true;
  bool live = false;           // the database serves our bindings: changes may be delivered
  bool registered = false;     // the database may know us: our end needs an Unsubscribe
  bool awaiting = false;       // Subscribe `sequence` has not been answered
  uint32_t sequence = 0;

  std::vector<Binding> bindings;
  std::string bindings_echo;   // for the answer; empty afterwards
  std::shared_ptr<const std::string> token;
  std::shared_ptr<const Identity> identity;
  int64_t token_deadline = Deadlines::kNever;
  size_t cost = 0;             // bytes of the join, counted against the session

  std::string_view subtopic() const { return std::string_view(topic).substr(kTopicPrefix.size()); }
};

struct Session {
  SessionId id = 0;
  Vsn vsn = Vsn::kV1;
  std::shared_ptr<const std::string> token;   // of the handshake: the token of channels that bring none
  std::shared_ptr<const Identity> identity;   // the last one made, shared by the channels that have the same
  std::string headers_json;
  std::string peer;
  int64_t last_frame_ms = 0;
  int64_t idle_deadline = Deadlines::kNever;
  int64_t next_malformed_log_ms = 0;
  size_t join_cost = 0;
  uint64_t visited = 0;                       // number of the last walk that met this session
  std::unordered_map<std::string, std::unique_ptr<Channel>> channels;  // by topic
};

}  // namespace realtime

#endif  // REALTIME_CORE_SESSION_H_
