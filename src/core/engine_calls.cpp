// REST: who calls, how often, and what becomes of the messages. Public ones go out at once; as soon as one is private the
// whole call waits for the caller's rights, so that a batch keeps its order.
#include "core/engine_impl.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

#include "core/ascii.h"
#include "core/json.h"

namespace realtime {

namespace {

constexpr size_t kMaxPending = 10000;     // calls that wait for the database ...
constexpr size_t kMaxPendingBytes = 128u << 20;  // ... and their messages: a caller may hang up, its call waits on
constexpr size_t kMaxPrivateTopics = 100; // of one batch: each is a question to the policies
constexpr size_t kManyCallers = 10000;    // buckets from which on full ones are dropped ...
constexpr size_t kMostCallers = 100000;   // ... and all of them: too generous for a moment, but bounded
constexpr int64_t kSweepMs = 1000;
constexpr size_t kMaxCallerBytes = 200;
constexpr size_t kRefusedBytesPerMessage = 8192;

constexpr std::string_view kBearer = "bearer ";

// The token that a call brings; null when it brings none. An Authorization of another kind is somebody else's: a proxy's, say.
std::optional<std::string_view> TokenOf(const RestCall& call) {
  std::string_view text = call.authorization ? std::string_view(*call.authorization) : std::string_view();
  if (EqualsIgnoringCase(text.substr(0, kBearer.size()), kBearer)) return text.substr(kBearer.size());
  return call.api_key ? std::optional<std::string_view>(*call.api_key) : std::nullopt;
}

std::string CallerKey(const Identity& identity) {
  std::string key = identity.role + '\0' + identity.sub;
  if (key.size() <= kMaxCallerBytes) return key;
  return '\0' + std::to_string(std::hash<std::string>()(key));
}

// How full the bucket is, as the headers of the reference: what was used of the burst lately, its size, what is left.
void AddRateHeaders(const Rate& rate, double level, RestAnswer* answer) {
  if (!rate.limited()) return;
  auto text = [](double number) { return std::to_string(static_cast<int64_t>(std::max(number, 0.0))); };
  answer->headers.emplace_back("x-rate-rolling", text(rate.burst - level));
  answer->headers.emplace_back("x-rate-limit", text(rate.burst));
  answer->headers.emplace_back("x-rate-limit-remaining", text(level));
}

RestAnswer With(RestAnswer answer, const RestAnswer& headers) {
  answer.headers = headers.headers;
  return answer;
}

// The reason as a join is refused with ("Code: text") in the words that REST has for it.
std::string_view EvaluationError(std::string_view error) {
  if (error.starts_with("QueryCanceled")) return "Query canceled";
  if (error.starts_with("MissingPartition")) return "Missing messages partition";
  if (error.starts_with("DatabaseLackOfConnections")) return "Tenant database has too many connections";
  if (error.starts_with("Initializing")) return "Tenant database initializing";
  if (error.starts_with("UnableToConnect")) return "Tenant database unavailable";
  return "RLS policy error";
}

// Sorted, each once.
std::vector<std::string> PrivateTopics(const RestRequest& request) {
  std::vector<std::string> topics;
  for (const BroadcastPtr& message : request.messages) {
    if (message->is_private) topics.push_back(message->topic);
  }
  std::sort(topics.begin(), topics.end());
  topics.erase(std::unique(topics.begin(), topics.end()), topics.end());
  return topics;
}

bool MayWrite(const std::vector<std::string>& topics, const std::vector<Rights>& granted, const Broadcast& message) {
  if (!message.is_private) return true;
  auto found = std::lower_bound(topics.begin(), topics.end(), message.topic);
  size_t index = static_cast<size_t>(found - topics.begin());
  return index < granted.size() && found != topics.end() && *found == message.topic && granted[index].write_broadcast;
}

void AppendSkipped(size_t index, std::string_view topic, std::string_view reason, std::string* list) {
  list->append(list->empty() ? "" : ",").append(R"({"index":)").append(std::to_string(index)).append(R"(,"topic":)");
  json::AppendString(topic, list);
  list->append(R"(,"reason":)");
  json::AppendString(reason, list);
  list->push_back('}');
}

}  // namespace

bool Engine::Impl::Knows(const RestCall& request, Now now) const {
  std::optional<std::string_view> text = TokenOf(request);
  return text && Verify(*text, now).ok();
}

void Engine::Impl::Call(CallId call, RestCall request, Now now) {
  now_ = now;
  std::optional<std::string_view> text = TokenOf(request);
  Token token;
  if (text) token = Verify(*text, now);
  if (!text || !token.ok()) return sink_->Answer(call, MessageAnswer(401, "Unauthorized"));
  auto pending = std::make_unique<PendingCall>();
  pending->call = call;
  pending->identity = std::make_shared<const Identity>(
      Identity{std::move(token.role), std::move(token.claims), std::move(token.sub), std::move(request.headers_json)});
  TokenBucket& bucket = CallerBucket(*pending->identity, now);
  const Rate& rate = settings_->events;
  // Looked at before the body is read, which may be work.
  bool exhausted = rate.limited() && bucket.Level(rate, now.mono_ms) < 1;
  RestAnswer answer = MessageAnswer(429, "You have exceeded your rate limit");
  bool read = !exhausted && ReadRestCall(request, settings_->max_payload_size, settings_->max_json_depth,
                                         &pending->request, &answer);
  // To find out that a large body is no good takes as long as to deliver some messages.
  if (!read && !exhausted) {
    bucket.Charge(rate, now.mono_ms, static_cast<double>(request.body.size() / kRefusedBytesPerMessage));
  }
  if (read && !bucket.Take(rate, now.mono_ms, static_cast<double>(pending->request.messages.size()))) {
    answer = TooManyMessagesAnswer();
    read = false;
  }
  AddRateHeaders(rate, bucket.Level(rate, now.mono_ms), read ? &pending->answer : &answer);
  if (!read) return sink_->Answer(call, std::move(answer));
  StartCall(std::move(pending));
}

void Engine::Impl::StartCall(std::unique_ptr<PendingCall> pending) {
  pending->topics = PrivateTopics(pending->request);
  if (pending->topics.empty()) {
    for (const BroadcastPtr& message : pending->request.messages) Publish(message, 0);
    return sink_->Answer(pending->call, With({202, "", {}}, pending->answer));
  }
  if (pending->topics.size() > kMaxPrivateTopics) {
    return sink_->Answer(pending->call, With(TooManyMessagesAnswer(), pending->answer));
  }
  for (const BroadcastPtr& message : pending->request.messages) pending->bytes += sizeof(Broadcast) + message->payload->size();
  if (calls_.size() >= kMaxPending || calls_bytes_ + pending->bytes > kMaxPendingBytes) {
    return sink_->Answer(pending->call, With(ErrorAnswer(503, "Too many calls are waiting for the database"),
                                             pending->answer));
  }
  CheckRights question;
  question.channel = ++last_channel_;
  question.sequence = 1;
  question.identity = pending->identity;
  question.topics = pending->topics;
  const size_t bytes = pending->bytes;
  calls_.emplace(question.channel, std::move(pending));
  calls_bytes_ += bytes;
  sink_->ToDatabase(std::move(question));
}

TokenBucket& Engine::Impl::CallerBucket(const Identity& identity, Now now) {
  if (callers_.size() > kMostCallers) callers_.clear();
  if (callers_.size() > kManyCallers && now.mono_ms >= next_callers_sweep_ms_) {
    next_callers_sweep_ms_ = now.mono_ms + kSweepMs;
    for (auto caller = callers_.begin(); caller != callers_.end();) {
      bool full = caller->second.Level(settings_->events, now.mono_ms) >= settings_->events.burst;
      caller = full ? callers_.erase(caller) : std::next(caller);
    }
  }
  return callers_[CallerKey(identity)];
}

void Engine::Impl::OnCallRights(ChannelId id, const RightsResult& result) {
  auto found = calls_.find(id);
  if (found == calls_.end()) return;
  PendingCall& pending = *found->second;
  const RestRequest& request = pending.request;
  if (request.is_batch) return FinishBatch(id, result);
  const BroadcastPtr& message = request.messages.front();
  if (!result.error.empty()) return FinishCall(id, MessageAnswer(422, EvaluationError(result.error)));
  if (!MayWrite(pending.topics, result.granted, *message)) return FinishCall(id, MessageAnswer(403, "Unauthorized"));
  if (request.persist) {
    sink_->ToDatabase(Store{id, pending.identity, message, true, request.ttl_s, ""});
    return;
  }
  Publish(message, 0);
  FinishCall(id, {202, "", {}});
}

// What may not be written is left out and named: the rest of the batch is not to suffer.
void Engine::Impl::FinishBatch(ChannelId id, const RightsResult& result) {
  const PendingCall& pending = *calls_.at(id);
  const std::vector<BroadcastPtr>& messages = pending.request.messages;
  std::string_view reason = result.error.empty() ? "Unauthorized" : EvaluationError(result.error);
  std::string skipped;
  for (size_t i = 0; i < messages.size(); i++) {
    bool denied = messages[i]->is_private && !result.error.empty();
    if (!denied && MayWrite(pending.topics, result.granted, *messages[i])) {
      Publish(messages[i], 0);
    } else {
      AppendSkipped(i, messages[i]->topic, reason, &skipped);
    }
  }
  FinishCall(id, {202, skipped.empty() ? "" : R"({"skipped":[)" + skipped + "]}", {}});
}

void Engine::Impl::OnCallStored(ChannelId id, const Stored& stored) {
  if (!stored.error.empty()) return FinishCall(id, ErrorAnswer(stored.denied ? 403 : 422, stored.error));
  if (stored.message != nullptr) Publish(stored.message, 0);
  FinishCall(id, {202, "", {}});
}

void Engine::Impl::FinishCall(ChannelId id, RestAnswer answer) {
  auto found = calls_.find(id);
  if (found == calls_.end()) return;
  std::unique_ptr<PendingCall> pending = std::move(found->second);
  calls_.erase(found);
  calls_bytes_ -= pending->bytes;
  sink_->Answer(pending->call, With(std::move(answer), pending->answer));
}

void Engine::Impl::FailCalls() {
  while (!calls_.empty()) FinishCall(calls_.begin()->first, ErrorAnswer(503, "Realtime is restarting, please standby"));
}

}  // namespace realtime
