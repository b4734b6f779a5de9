// The payload of phx_join and the bindings in it.
#ifndef REALTIME_CORE_JOIN_H_
#define REALTIME_CORE_JOIN_H_

#include "core/pure.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/change.h"
#include "core/filter.h"
#include "core/rights.h"
#include "core/status.h"

namespace realtime {

// Which operations a binding wants; bit i stands for ChangeKind i.
using EventMask = uint8_t;
inline constexpr EventMask kAllEvents = 0x7;
inline EventMask MaskOf(ChangeKind kind) { return static_cast<EventMask>(1u << static_cast<unsigned>(kind)); }

// Where a client left off: the last change it has seen, as the events carry it. It wants the rows that follow: those of later
// commits, and of this commit those after its `row`th.
struct ResumePoint {
  uint64_t commit_lsn = 0;
  uint64_t row = UINT64_MAX;  // counted from 1, 0 is before the first; this default: it has seen the whole commit

  bool operator==(const ResumePoint&) const = default;
};

// One postgres_changes binding. "*" in schema or table matches all; only a schema means table "*"; only a table means
// schema "public". Names are compared literally.
struct Binding {
  uint32_t id = 0;  // non-zero, a hash of the requested object, unique within the channel unless the objects are equal
  EventMask events = kAllEvents;
  std::string schema;
  std::string table;
  std::vector<FilterClause> filters;
  std::vector<std::string> columns;  // `select`; empty means all
  // Beyond the reference's protocol:
  bool old = false;                  // an UPDATE is for it too when only the old row passes the filters
  std::optional<ResumePoint> since;  // begin with what has been missed

  bool wildcard() const { return schema == "*" || table == "*"; }
  // "event: INSERT, schema: public, table: todos, filters: [...], select: nil", as the reference renders it in messages.
  std::string Describe() const;
};

struct JoinRequest {
  bool modern = true;           // the payload has `config`; without it the topic itself is the filter
  bool is_private = false;
  bool broadcast_ack = false;
  bool broadcast_self = false;
  bool presence_enabled = false;
  std::string presence_key;
  std::optional<ReplayRequest> replay;
  // Set when a replay is asked for and cannot be: the reason the join is refused with.
  std::optional<std::string> replay_error;
  bool replication_ready = false;    // wants to hear when messages sent from SQL arrive
  bool wait = false;                 // the answer waits for the subscription, and a failure of it refuses the join ...
  int64_t wait_timeout_ms = 15000;   // ... so long at most
  std::optional<std::string> token;  // user_token, else access_token, unless it is an opaque key; none: the connection's
  std::vector<Binding> bindings;
  // JSON text of the array for the join reply: every requested object verbatim, with "id" added.
  std::string bindings_echo = "[]";
  // Set when a binding cannot be used (bad filter, no table ...): the text of the `system` error that says so.
  // The join itself succeeds; none of the channel's bindings is served.
  std::optional<std::string> binding_error;
};

inline constexpr size_t kMaxBindings = 1000;  // per channel; more is kTooLarge

// `subtopic` is the topic without "realtime:". Fails only on payloads that are not a JSON object or pass a bound; wrong
// types inside are tolerated as the reference does.
Result<JoinRequest> ParseJoin(std::string_view subtopic, std::string_view payload, int max_depth);

}  // namespace realtime

#endif  // REALTIME_CORE_JOIN_H_
