// What a REST call says. The texts and statuses are the reference's wherever it has one: clients and their tests compare them.
#include "core/rest.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include "core/ascii.h"
#include "core/json.h"
#include "core/payloads.h"

namespace realtime {
namespace {

constexpr std::string_view kPrefix = "/realtime/v1";
constexpr std::string_view kBatchPath = "/api/broadcast";
constexpr std::string_view kEvents = "/events/";

constexpr size_t kMaxNameBytes = 8192;  // as in a frame
constexpr int kMaxMessages = 10000;     // of one batch
constexpr int kMaxMembers = 1000;       // of what has a handful of known ones

constexpr std::string_view kBlank = "can't be blank";
constexpr std::string_view kWrong = "is invalid";
constexpr std::string_view kTooLong = "is too long";
constexpr std::string_view kOversize = "Payload size exceeds tenant limit";

// Topic and event of a path of the single route, still encoded. False: it is not one.
bool SplitSingle(std::string_view path, std::string_view* topic, std::string_view* event) {
  if (path.starts_with(kPrefix)) path.remove_prefix(kPrefix.size());
  if (!path.starts_with(kBatchPath) || path.size() <= kBatchPath.size() || path[kBatchPath.size()] != '/') return false;
  path.remove_prefix(kBatchPath.size() + 1);
  size_t slash = path.find('/');
  if (slash == std::string_view::npos || !path.substr(slash).starts_with(kEvents)) return false;
  *topic = path.substr(0, slash);
  *event = path.substr(slash + kEvents.size());
  return !topic->empty() && !event->empty() && event->find('/') == std::string_view::npos;
}

enum class Content : uint8_t { kJson, kBytes, kOther };

Content ContentOf(const std::optional<std::string>& content_type) {
  if (!content_type) return Content::kJson;
  std::string_view type = std::string_view(*content_type).substr(0, content_type->find(';'));
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.remove_suffix(1);
  if (type.empty() || EqualsIgnoringCase(type, "application/json")) return Content::kJson;
  return EqualsIgnoringCase(type, "application/octet-stream") ? Content::kBytes : Content::kOther;
}

bool Fail(RestAnswer* answer, int status, std::string body) {
  answer->status = status;
  answer->body = std::move(body);
  return false;
}

bool Fail(RestAnswer* answer, RestAnswer with) {
  *answer = std::move(with);
  return false;
}

// {"errors":{"name":["text"]}}
std::string FieldError(std::string_view name, std::string_view text) {
  return std::string(R"({"errors":{")").append(name).append(R"(":[")").append(text).append("\"]}}");
}

bool IsBlank(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); });
}

// What is wrong with a name; empty: nothing. The database cannot hold a NUL.
std::string_view NameError(std::string_view name) {
  if (IsBlank(name)) return kBlank;
  if (name.size() > kMaxNameBytes) return kTooLong;
  return name.find('\0') == std::string_view::npos ? std::string_view() : kWrong;
}

// ---- the batch route ----

class MessageReader {
 public:
  MessageReader(const json::Value& object, size_t max_payload_size) : object_(object), max_payload_size_(max_payload_size) {}

  // Null when something is wrong: errors() says what.
  BroadcastPtr Read() {
    auto message = std::make_shared<Broadcast>();
    message->form = Broadcast::Form::kWhole;
    std::string id;
    ReadName("topic", &message->topic);
    std::string_view payload = ReadPayload();
    ReadName("event", &message->event);
    ReadPrivate(&message->is_private);
    ReadId(&id);
    if (!errors_.empty()) return nullptr;
    message->payload = std::make_shared<const std::string>(WholePayload(message->event, payload, id));
    return message;
  }

  // Members of an object: "payload":["can't be blank"],"event":["can't be blank"]
  const std::string& errors() const { return errors_; }

 private:
  void Note(std::string_view name, std::string_view text) {
    if (!errors_.empty()) errors_.push_back(',');
    errors_.append("\"").append(name).append("\":[\"").append(text).append("\"]");
  }

  // Null when it is absent, which may be an error.
  const json::Value* Member(std::string_view name, bool required) {
    const json::Value* value = object_.Find(name);
    if (value != nullptr && !value->IsNull()) return value;
    if (required) Note(name, kBlank);
    return nullptr;
  }

  void ReadName(std::string_view name, std::string* out) {
    const json::Value* value = Member(name, true);
    if (value == nullptr) return;
    std::string_view error = value->IsString() ? NameError(value->string) : kWrong;
    if (!error.empty()) return Note(name, error);
    *out = value->string;
  }

  std::string_view ReadPayload() {
    const json::Value* value = Member("payload", true);
    if (value == nullptr) return {};
    if (!value->IsObject()) {
      Note("payload", kWrong);
    } else if (value->raw.size() > max_payload_size_) {
      Note("payload", kOversize);
    }
    return value->raw;
  }

  void ReadPrivate(bool* is_private) {
    const json::Value* value = Member("private", false);
    if (value == nullptr) return;
    bool yes = value->IsString() && (value->string == "true" || value->string == "1");
    bool no = value->IsString() && (value->string == "false" || value->string == "0");
    if (value->type != json::Type::kBool && !yes && !no) return Note("private", kWrong);
    *is_private = yes || (value->type == json::Type::kBool && value->boolean);
  }

  // A UUID, in lower case as the database would print it.
  void ReadId(std::string* id) {
    const json::Value* value = Member("id", false);
    if (value == nullptr) return;
    if (!value->IsString() || value->string.size() != 36) return Note("id", kWrong);
    for (size_t i = 0; i < 36; i++) {
      char c = value->string[i];
      if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
      bool dash = i == 8 || i == 13 || i == 18 || i == 23;
      bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
      if (dash ? c != '-' : !digit) return Note("id", kWrong);
      id->push_back(c);
    }
  }

  const json::Value& object_;
  const size_t max_payload_size_;
  std::string errors_;
};

bool ReadMessages(const json::Value& list, size_t max_payload_size, const json::Limits& limits, RestRequest* request,
                  RestAnswer* answer) {
  std::string errors;
  bool failed = false;
  for (const json::Value& element : list.elements) {
    if (!element.IsObject()) return Fail(answer, 422, FieldError("messages", kWrong));
    Result<json::Value> object = json::ParseShallow(element.raw, limits);
    if (!object.ok()) return Fail(answer, 422, FieldError("messages", kWrong));
    MessageReader reader(object.value, max_payload_size);
    if (BroadcastPtr message = reader.Read()) request->messages.push_back(std::move(message));
    failed = failed || !reader.errors().empty();
    errors.append(errors.empty() ? "{" : ",{").append(reader.errors()).append("}");
  }
  if (!failed) return true;
  return Fail(answer, 422, R"({"errors":{"messages":[)" + errors + "]}}");
}

bool ReadBatch(const RestCall& call, size_t max_payload_size, int max_json_depth, RestRequest* request, RestAnswer* answer) {
  // The payload is three levels down, and may be as deep as one that comes in a frame.
  json::Limits limits{.max_depth = std::min(max_json_depth, 100000) + 3, .max_values = kMaxMembers};
  if (IsBlank(call.body)) return Fail(answer, 422, FieldError("messages", kBlank));
  Result<json::Value> body = json::ParseShallow(call.body, limits);
  if (!body.ok()) return Fail(answer, ErrorAnswer(400, "The body cannot be read: " + body.status.message()));
  const json::Value* messages = body.value.Find("messages");
  if (messages == nullptr || messages->IsNull()) return Fail(answer, 422, FieldError("messages", kBlank));
  if (!messages->IsArray()) return Fail(answer, 422, FieldError("messages", kWrong));
  json::Limits list_limits{.max_depth = limits.max_depth, .max_values = kMaxMessages + 1};
  Result<json::Value> list = json::ParseShallow(messages->raw, list_limits);
  // The whole body has been validated, so this can only be their number.
  if (!list.ok()) return Fail(answer, TooManyMessagesAnswer());
  if (list.value.elements.empty()) return Fail(answer, 422, FieldError("messages", kBlank));
  return ReadMessages(list.value, max_payload_size, limits, request, answer);
}

// ---- the single route ----

// `persist=true` or `persist[ttl]=60`.
bool ReadPersistence(const RestCall& call, bool is_private, RestRequest* request, RestAnswer* answer) {
  std::optional<std::string> persist = QueryValue(call.query, "persist");
  std::optional<std::string> ttl = QueryValue(call.query, "persist[ttl]");
  if (persist && *persist != "true" && *persist != "false") return Fail(answer, ErrorAnswer(422, kPersistUsage));
  request->persist = ttl.has_value() || persist == "true";
  if (!request->persist) return true;
  if (!is_private) return Fail(answer, ErrorAnswer(422, kPersistNeedsPrivate));
  if (!ttl) return true;
  const char* end = ttl->data() + ttl->size();
  auto parsed = std::from_chars(ttl->data(), end, request->ttl_s);
  bool usable = parsed.ec == std::errc() && parsed.ptr == end && request->ttl_s > 0;
  request->ttl_s = std::min(request->ttl_s, kMaxTtlS);
  return usable || Fail(answer, ErrorAnswer(422, kPersistUsage));
}

bool ReadJsonPayload(const RestCall& call, int max_json_depth, Broadcast* message, RestAnswer* answer) {
  message->form = Broadcast::Form::kJson;
  if (IsBlank(call.body)) {
    message->payload = std::make_shared<const std::string>("{}");
    return true;
  }
  Status status = json::Check(call.body, max_json_depth);
  if (!status.ok()) return Fail(answer, ErrorAnswer(400, "The body cannot be read: " + status.message()));
  size_t first = call.body.find_first_not_of(" \t\r\n");
  if (call.body[first] != '{') {
    message->payload = std::make_shared<const std::string>(R"({"_json":)" + call.body + "}");
    return true;
  }
  // A key of the body overrides the query's.
  Result<json::Value> object = json::ParseShallow(call.body, {.max_depth = max_json_depth});
  if (!object.ok()) return Fail(answer, 422, FieldError("payload", "has too many members"));
  if (const json::Value* is_private = object.value.Find("private")) {
    message->is_private = (is_private->type == json::Type::kBool && is_private->boolean) ||
                          (is_private->IsString() && is_private->string == "true");
  }
  message->payload = std::make_shared<const std::string>(call.body);
  return true;
}

bool ReadSingle(const RestCall& call, size_t max_payload_size, int max_json_depth, RestRequest* request, RestAnswer* answer) {
  auto message = std::make_shared<Broadcast>();
  std::string_view raw_topic, raw_event;
  SplitSingle(call.path, &raw_topic, &raw_event);
  std::optional<std::string> topic = DecodeUrl(raw_topic, false);
  std::optional<std::string> event = DecodeUrl(raw_event, false);
  std::string_view topic_error = topic ? NameError(*topic) : kWrong;
  if (!topic_error.empty()) return Fail(answer, 422, FieldError("topic", topic_error));
  std::string_view event_error = event ? NameError(*event) : kWrong;
  if (!event_error.empty()) return Fail(answer, 422, FieldError("event", event_error));
  message->topic = std::move(*topic);
  message->event = std::move(*event);
  message->is_private = QueryValue(call.query, "private") == "true";
  if (call.body.size() > max_payload_size) return Fail(answer, 422, FieldError("payload", kOversize));
  if (ContentOf(call.content_type) == Content::kBytes) {
    if (!FitsBinaryFrame(message->topic, "")) return Fail(answer, 422, FieldError("topic", kTooLong));
    if (!FitsBinaryFrame("", message->event)) return Fail(answer, 422, FieldError("event", kTooLong));
    message->form = Broadcast::Form::kBinary;
    message->payload = std::make_shared<const std::string>(call.body);
  } else if (!ReadJsonPayload(call, max_json_depth, message.get(), answer)) {
    return false;
  }
  if (!ReadPersistence(call, message->is_private, request, answer)) return false;
  request->messages.push_back(std::move(message));
  return true;
}

std::string OneMember(std::string_view name, std::string_view text) {
  std::string body = std::string("{\"").append(name).append("\":");
  AppendMessage(text, &body);
  return body + "}";
}

}  // namespace

RestRoute RouteOf(std::string_view path) {
  std::string_view topic, event;
  if (SplitSingle(path, &topic, &event)) return RestRoute::kSingle;
  if (path.starts_with(kPrefix)) path.remove_prefix(kPrefix.size());
  return path == kBatchPath ? RestRoute::kBatch : RestRoute::kNone;
}

bool ReadRestCall(const RestCall& call, size_t max_payload_size, int max_json_depth, RestRequest* request, RestAnswer* answer) {
  RestRoute route = RouteOf(call.path);
  if (route == RestRoute::kNone) return Fail(answer, ErrorAnswer(404, "Not Found"));
  Content content = ContentOf(call.content_type);
  if (content == Content::kOther || (content == Content::kBytes && route == RestRoute::kBatch)) {
    return Fail(answer, ErrorAnswer(415, "Unsupported Media Type. Use application/json or application/octet-stream"));
  }
  request->is_batch = route == RestRoute::kBatch;
  return request->is_batch ? ReadBatch(call, max_payload_size, max_json_depth, request, answer)
                           : ReadSingle(call, max_payload_size, max_json_depth, request, answer);
}

RestAnswer MessageAnswer(int status, std::string_view message) { return {status, OneMember("message", message), {}}; }

RestAnswer ErrorAnswer(int status, std::string_view error) { return {status, OneMember("error", error), {}}; }

RestAnswer TooManyMessagesAnswer() {
  return MessageAnswer(429, "Too many messages to broadcast, please reduce the batch size");
}

}  // namespace realtime
