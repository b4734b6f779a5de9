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
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/deadlines.h"
#include "core/door.h"
#include "core/engine.h"
#include "core/frame.h"
#include "core/join.h"
#include "core/presence.h"
#include "core/rate_limit.h"
#include "core/rights.h"
#include "core/token.h"
#include "core/topics.h"

namespace realtime {

inline constexpr std::string_view kTopicPrefix = "realtime:";

struct Session;

// One instance of a topic on one socket, from the phx_join that passed all checks to its end.
//
//   joining ──(private: rights)──(bindings: subscription)──> joined ──leave, re-join, expiry, refusal, revocation──> gone
//      └──denied, refused, leave, re-join, expiry──> gone
//
// A public channel without bindings is joined at once. A private one asks for its rights first, and is a member of its topic
// from their arrival on: what it would get before the join's answer is held back and follows the answer, because nothing
// but the answer is sent while it is joining. A token that comes meanwhile counts from the answer on.
struct Channel {
  // What a change that comes by reads stands together: each may be for another channel, which no cache holds.
  ChannelId id = 0;
  Session* session = nullptr;  // owns this channel
  bool modern = true;
  bool joining = true;
  bool live = false;           // the database serves our bindings: changes may be delivered
  bool registered = false;     // the database may know us: our end needs an Unsubscribe
  bool awaiting = false;       // Subscribe `sequence` has not been answered
  uint32_t sequence = 0;
  uint64_t changes = 0;        // delivered
  Topic* room = nullptr;       // while it is a member; the Topic is the Topics'
  std::string quoted_topic;    // JSON text, made once for all changes of the channel's life

  std::string topic;
  std::string join_ref;        // JSON text
  std::string ref;             // of the phx_join, for its answer
  // join_ref of the instance that this one displaced; its phx_close follows our answer.
  std::optional<std::string> displaced;

  // config of the join
  bool is_private = false;
  bool ack = false;
  bool self = false;
  bool presence_enabled = false;
  bool wants_ready = false;    // replication_ready, not answered yet
  bool wait = false;           // postgres_changes_options.wait: a subscription that fails refuses the join
  int64_t patience_ms = 0;
  std::optional<ReplayRequest> replay;  // until it has been asked for

  std::vector<Binding> bindings;
  std::string bindings_echo;   // for the answer; empty afterwards
  std::optional<std::string> binding_error;  // follows the answer

  size_t seat = 0;
  Rights rights;
  bool checking = false;       // CheckRights `rights_sequence` has not been answered
  bool new_token = false;      // ... and it is for a token that the rights are not of
  uint32_t rights_sequence = 0;
  uint32_t rights_answered = 0;  // the question that `rights` are the answer to
  int64_t rights_deadline = Deadlines::kNever;  // to ask again, or while asking: to give up
  std::unique_ptr<std::string> late_token;      // came during the join
  std::vector<std::pair<std::string, std::string>> late_presence;  // ref and payload, behind a new token
  size_t late_bytes = 0;         // of these, as part of `cost`
  int64_t ready_deadline = Deadlines::kNever;
  std::vector<SharedBytes> held;
  size_t held_bytes = 0;
  bool held_too_much = false;  // the join will be refused
  std::unordered_set<std::string> replayed;  // ids that a live message must not repeat
  uint32_t storing = 0;        // messages of ours on their way through the database
  PresenceMeta meta;           // its key is ours from the join on
  bool has_tracked = false;    // asks for presence as presence_enabled does, but for the state
  TokenBucket presence_calls;

  std::shared_ptr<const std::string> token;
  std::shared_ptr<const Identity> identity;
  int64_t token_deadline = Deadlines::kNever;
  size_t cost = 0;             // bytes of the join and its bindings, counted against the session

  std::string_view subtopic() const { return std::string_view(topic).substr(kTopicPrefix.size()); }
};

struct Session {
  SessionId id = 0;
  Vsn vsn = Vsn::kV1;
  std::shared_ptr<const std::string> token;   // of the handshake: the token of channels that bring none
  std::shared_ptr<const Identity> identity;   // the last one made, shared by the channels that have the same
  std::string headers_json;
  std::string peer;
  std::string role;                           // of the handshake's token
  int64_t token_exp_s = 0;                    // of the token that came last
  int64_t connected_ms = 0;                   // since 1970
  int64_t last_frame_ms = 0;
  int64_t idle_deadline = Deadlines::kNever;
  int64_t next_malformed_log_ms = 0;
  int64_t channel_deadline = Deadlines::kNever;  // kNoChannel
  TokenBucket events;
  TokenBucket joins;
  size_t join_cost = 0;
  uint64_t visited = 0;                       // number of the last walk that met this session
  std::unordered_map<std::string, std::unique_ptr<Channel>> channels;  // by topic
};

}  // namespace realtime

#endif  // REALTIME_CORE_SESSION_H_
