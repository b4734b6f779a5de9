#include "core/join.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/ascii.h"
#include "core/inspect.h"
#include "core/json.h"
#include "core/wal_position.h"

namespace realtime {
namespace {

constexpr uint32_t kIdMask = 0x7FFFFFFF;  // positive in every client's integer type
constexpr size_t kMaxSelectColumns = 1664;  // no table can have more
constexpr int64_t kMaxSinceMs = 253402300799999;  // the end of the year 9999; every timestamp type holds it
constexpr int64_t kMaxReplayed = 25;
constexpr double kMaxWaitMs = 20000;
constexpr std::string_view kNoParams =
    "No subscription params provided. Please provide at least a `schema` or `table` to subscribe to: ";

// A boolean, or its name in any case; anything else is false.
bool FlexibleBoolean(const json::Value* value) {
  if (value == nullptr) return false;
  if (value->type == json::Type::kBool) return value->boolean;
  return value->IsString() && EqualsIgnoringCase(value->string, "true");
}

const json::Value* FindString(const json::Value& object, std::string_view name) {
  const json::Value* value = object.Find(name);
  return value != nullptr && value->IsString() ? value : nullptr;
}

std::string PresenceKey(const json::Value* value) {
  if (value == nullptr) return "";
  if (value->IsString()) return value->string;
  bool printable = value->type == json::Type::kNumber || value->type == json::Type::kBool;
  return printable ? std::string(value->raw) : "";
}

// The older name wins; opaque API keys stand for the connection's token.
std::optional<std::string> ChannelToken(const json::Value& payload) {
  const json::Value* token = FindString(payload, "user_token");
  if (token == nullptr) token = FindString(payload, "access_token");
  if (token == nullptr || token->string.starts_with("sb_")) return std::nullopt;
  return token->string;
}

EventMask EventsOf(const json::Value& object) {
  const json::Value* event = FindString(object, "event");
  if (event == nullptr) return kAllEvents;
  if (EqualsIgnoringCase(event->string, "insert")) return MaskOf(ChangeKind::kInsert);
  if (EqualsIgnoringCase(event->string, "update")) return MaskOf(ChangeKind::kUpdate);
  if (EqualsIgnoringCase(event->string, "delete")) return MaskOf(ChangeKind::kDelete);
  return kAllEvents;
}

Status NoParams(const json::Value& object) {
  bool secret = object.Find("user_token") != nullptr || object.Find("auth_token") != nullptr;
  return Status(Code::kInvalid, std::string(kNoParams).append(secret ? "<redacted>" : InspectJson(object)));
}

Status SubscribeException(const Binding& binding, std::string_view exception) {
  std::string text =
      "Unable to subscribe to changes with given parameters. An exception happened so please check your connect "
      "parameters: [";
  return Status(Code::kInvalid, text.append(binding.Describe()).append("]. Exception: ERROR ").append(exception));
}

Status ReadSelect(const json::Value& object, Binding* binding) {
  const json::Value* select = object.Find("select");
  if (select == nullptr) return Status::Ok();
  if (select->IsString()) {
    return Status(Code::kInvalid,
                  "Error parsing `select` params: expected a list of column name strings, e.g. select: [\"col1\", "
                  "\"col2\"]");
  }
  for (const json::Value& column : select->elements) {
    if (column.IsString()) binding->columns.push_back(column.string);
  }
  if (binding->columns.size() > kMaxSelectColumns) {
    return Status(Code::kInvalid, "Error parsing `select` params: too many columns. Maximum 1664");
  }
  return Status::Ok();
}

// A key that is present but no string counts as wrong, not as absent: {"table": null} is refused.
Status ReadNames(const json::Value& object, Binding* binding) {
  const json::Value* schema = object.Find("schema");
  const json::Value* table = object.Find("table");
  const json::Value* filter = object.Find("filter");
  for (const json::Value* name : {schema, table, filter}) {
    if (name != nullptr && !name->IsString()) return NoParams(object);
  }
  bool complete = schema != nullptr && table != nullptr;
  bool nothing = schema == nullptr && table == nullptr;
  if (nothing || (filter != nullptr && !complete)) return NoParams(object);
  binding->schema = schema != nullptr ? schema->string : "public";
  binding->table = table != nullptr ? table->string : "*";
  if (filter == nullptr) return Status::Ok();
  Result<std::vector<FilterClause>> clauses = ParseFilterClauses(filter->string);
  if (!clauses.ok()) return clauses.status;
  binding->filters = std::move(clauses.value);
  return Status::Ok();
}

// {"since": "0/16B3748", "since_row": 3}, as the events say it.
Status ReadSince(const json::Value& object, Binding* binding) {
  const json::Value* since = object.Find("since");
  const json::Value* row = object.Find("since_row");
  bool has_since = since != nullptr && !since->IsNull();
  bool has_row = row != nullptr && !row->IsNull();
  if (!has_since && !has_row) return Status::Ok();
  std::optional<uint64_t> position;
  if (has_since && since->IsString()) position = ParseWalPosition(since->string);
  if (!position) {
    return Status(Code::kInvalid,
                  "Error parsing `since` params: expected a WAL position, e.g. since: \"0/16B3748\"");
  }
  if (has_row && (!row->is_integer || row->integer < 0)) {
    return Status(Code::kInvalid, "Error parsing `since_row` params: expected the number of a row, e.g. since_row: 3");
  }
  binding->since = ResumePoint{*position};
  if (has_row) binding->since->row = static_cast<uint64_t>(row->integer);
  return Status::Ok();
}

bool HasNul(const std::string& text) { return text.find('\0') != std::string::npos; }

// PostgreSQL's text cannot hold NUL, and a C string would end at it and name something else.
bool HasNul(const Binding& binding) {
  if (HasNul(binding.schema) || HasNul(binding.table)) return true;
  for (const std::string& column : binding.columns) {
    if (HasNul(column)) return true;
  }
  for (const FilterClause& clause : binding.filters) {
    if (HasNul(clause.column) || HasNul(clause.value)) return true;
  }
  return false;
}

Status ReadBinding(const json::Value& object, Binding* binding) {
  if (!object.IsObject()) return NoParams(object);
  binding->events = EventsOf(object);
  binding->old = FlexibleBoolean(object.Find("old"));
  Status status = ReadSelect(object, binding);
  if (!status.ok()) return status;
  status = ReadNames(object, binding);
  if (!status.ok()) return status;
  status = ReadSince(object, binding);
  if (!status.ok()) return status;
  if (!binding->columns.empty() && binding->wildcard()) {
    return Status(Code::kInvalid,
                  "Column selection is not supported for wildcard subscriptions. Provide an explicit schema and table "
                  "name.");
  }
  if (HasNul(*binding)) {
    return SubscribeException(*binding,
                              "22021 (character_not_in_repertoire) invalid byte sequence for encoding \"UTF8\": 0x00");
  }
  status = ParseInElements(&binding->filters);
  if (status.ok()) return status;
  bool malformed = status.code() == Code::kMalformed;
  std::string state = malformed ? "22P02 (invalid_text_representation) " : "P0001 (raise_exception) ";
  return SubscribeException(*binding, state + status.message());
}

// FNV-1a, folded to 31 bits.
uint32_t HashOf(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3u;
  return static_cast<uint32_t>(hash ^ (hash >> 32)) & kIdMask;
}

// Gives each distinct object text of a channel its own id, equal texts the same one.
class IdGiver {
 public:
  uint32_t IdOf(std::string_view raw) {
    auto known = ids_.find(raw);
    if (known != ids_.end()) return known->second;
    uint32_t id = HashOf(raw);
    while (id == 0 || taken_.contains(id)) id = (id + 1) & kIdMask;
    taken_.insert(id);
    ids_.emplace(raw, id);
    return id;
  }

 private:
  std::unordered_map<std::string_view, uint32_t> ids_;
  std::unordered_set<uint32_t> taken_;
};

// The object as it came with our "id" in the end. An "id" of the client's would make two: it is left out.
void AppendEcho(const json::Value& object, uint32_t id, std::string* out) {
  if (out->size() > 1) out->push_back(',');
  if (object.Find("id") == nullptr) {
    out->append(object.raw.substr(0, object.raw.size() - 1));
    if (!object.members.empty()) out->push_back(',');
  } else {
    out->push_back('{');
    for (const auto& [name, value] : object.members) {
      if (name == "id") continue;
      json::AppendString(name, out);
      out->append(":").append(value.raw).append(",");
    }
  }
  out->append("\"id\":").append(std::to_string(id)).append("}");
}

Status ReadBindings(const std::vector<json::Value>& elements, JoinRequest* join) {
  IdGiver ids;
  std::string echo = "[";
  for (const json::Value& element : elements) {
    if (element.IsNull()) continue;
    if (join->bindings.size() == kMaxBindings) {
      return Status(Code::kTooLarge, "UnknownErrorOnChannel: Too many postgres_changes. Maximum 1000");
    }
    Binding binding;
    Status status = ReadBinding(element, &binding);
    if (!status.ok() && !join->binding_error) join->binding_error = status.message();
    if (!element.IsObject()) continue;  // nothing to echo; the error above says why
    binding.id = ids.IdOf(element.raw);
    AppendEcho(element, binding.id, &echo);
    join->bindings.push_back(std::move(binding));
  }
  join->bindings_echo = echo + "]";
  return Status::Ok();
}

// SCHEMA[:TABLE[:FILTER]]
std::string LegacyBinding(std::string_view subtopic) {
  std::string object = "{";
  for (std::string_view name : {"schema", "table", "filter"}) {
    bool last = name == "filter";
    size_t colon = last ? std::string_view::npos : subtopic.find(':');
    if (object.size() > 1) object.push_back(',');
    json::AppendString(name, &object);
    object.push_back(':');
    json::AppendString(subtopic.substr(0, colon), &object);
    if (colon == std::string_view::npos) break;
    subtopic.remove_prefix(colon + 1);
  }
  return object + "}";
}

Status ReadLegacy(std::string_view subtopic, JoinRequest* join) {
  join->modern = false;
  std::string array = "[" + LegacyBinding(subtopic) + "]";
  Result<json::Value> parsed = json::Parse(array);
  if (!parsed.ok()) return Status(Code::kMalformed, "UnknownErrorOnChannel: The topic is not valid UTF-8");
  return ReadBindings(parsed.value.elements, join);
}

// Null and other things that are no object ask for nothing.
void ReadReplay(const json::Value& replay, JoinRequest* join) {
  if (!replay.IsObject()) return;
  if (!join->is_private) {
    join->replay_error = "UnableToReplayMessages: Replay is not allowed for public channels";
    return;
  }
  const json::Value* since = replay.Find("since");
  const json::Value* limit = replay.Find("limit");
  bool has_limit = limit != nullptr && !limit->IsNull();
  if (since == nullptr || !since->is_integer || since->integer < 0 || since->integer > kMaxSinceMs ||
      (has_limit && !limit->is_integer)) {
    join->replay_error = "UnableToReplayMessages: Replay params are not valid";
    return;
  }
  ReplayRequest request;
  request.since_ms = since->integer;
  if (has_limit) request.limit = static_cast<int>(std::clamp<int64_t>(limit->integer, 1, kMaxReplayed));
  join->replay = request;
}

void ReadBroadcastConfig(const json::Value& broadcast, JoinRequest* join) {
  join->broadcast_ack = FlexibleBoolean(broadcast.Find("ack"));
  join->broadcast_self = FlexibleBoolean(broadcast.Find("self"));
  // Anything but null and false says yes, as with the reference: even "false".
  const json::Value* ready = broadcast.Find("replication_ready");
  join->replication_ready =
      ready != nullptr && !ready->IsNull() && (ready->type != json::Type::kBool || ready->boolean);
  if (const json::Value* replay = broadcast.Find("replay")) ReadReplay(*replay, join);
}

void ReadChangesOptions(const json::Value& options, JoinRequest* join) {
  join->wait = FlexibleBoolean(options.Find("wait"));
  const json::Value* timeout = options.Find("timeout");
  if (timeout == nullptr || timeout->type != json::Type::kNumber || std::isnan(timeout->number)) return;
  join->wait_timeout_ms = static_cast<int64_t>(std::clamp(timeout->number, 0.0, kMaxWaitMs));
}

Status ReadConfig(const json::Value& config, JoinRequest* join) {
  join->is_private = FlexibleBoolean(config.Find("private"));
  if (const json::Value* broadcast = config.Find("broadcast")) ReadBroadcastConfig(*broadcast, join);
  if (const json::Value* options = config.Find("postgres_changes_options")) ReadChangesOptions(*options, join);
  if (const json::Value* presence = config.Find("presence")) {
    join->presence_enabled = FlexibleBoolean(presence->Find("enabled"));
    join->presence_key = PresenceKey(presence->Find("key"));
  }
  const json::Value* changes = config.Find("postgres_changes");
  return changes == nullptr ? Status::Ok() : ReadBindings(changes->elements, join);
}

}  // namespace

std::string Binding::Describe() const {
  std::string event = "*";
  for (ChangeKind kind : {ChangeKind::kInsert, ChangeKind::kUpdate, ChangeKind::kDelete}) {
    if (events == MaskOf(kind)) event = ChangeKindName(kind);
  }
  std::string text = "event: " + event;
  text.append(", schema: ").append(Shorten(schema)).append(", table: ").append(Shorten(table));
  text.append(", filters: ").append(DescribeFilters(filters));
  return text.append(", select: ").append(columns.empty() ? "nil" : InspectStrings(columns));
}

Result<JoinRequest> ParseJoin(std::string_view subtopic, std::string_view payload, int max_depth) {
  json::Limits limits;
  limits.max_depth = max_depth;
  Result<json::Value> parsed = json::Parse(payload, limits);
  if (!parsed.ok()) return Status(parsed.status.code(), "UnknownErrorOnChannel: " + parsed.status.message());
  if (!parsed.value.IsObject()) return Status(Code::kMalformed, "UnknownErrorOnChannel: The payload is not an object");
  JoinRequest join;
  join.token = ChannelToken(parsed.value);
  const json::Value* config = parsed.value.Find("config");
  Status status = config == nullptr ? ReadLegacy(subtopic, &join) : ReadConfig(*config, &join);
  if (!status.ok()) return status;
  return join;
}

}  // namespace realtime
