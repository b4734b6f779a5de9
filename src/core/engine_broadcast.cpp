// Messages between clients: from a push to the members of its topic, straight or by way of realtime.messages.
#include "core/engine_impl.h"

#include <algorithm>
#include <utility>

#include "core/json.h"

namespace realtime {

namespace {

// What the sender wants to become of its message.
struct Persistence {
  bool wanted = false;
  int64_t ttl_s = 0;
};

// {"persist":true} or {"persist":{"ttl":60}}; the parser has seen to it that metadata is an object, and short.
Result<Persistence> ReadPersistence(std::string_view metadata, bool is_private, int max_depth) {
  if (metadata.empty()) return Persistence();
  Result<json::Value> parsed = json::Parse(metadata, {.max_depth = max_depth});
  if (!parsed.ok()) return parsed.status;
  const json::Value* persist = parsed.value.Find("persist");
  if (persist == nullptr || persist->IsNull()) return Persistence();
  bool is_switch = persist->type == json::Type::kBool;
  if (is_switch && !persist->boolean) return Persistence();
  if (!is_private) return Status(Code::kInvalid, std::string(kPersistNeedsPrivate));
  if (is_switch) return Persistence{true, 0};
  const json::Value* ttl = persist->Find("ttl");
  bool usable = persist->IsObject() && (ttl == nullptr || (ttl->is_integer && ttl->integer > 0));
  if (!usable) return Status(Code::kInvalid, std::string(kPersistUsage));
  return Persistence{true, ttl == nullptr ? 0 : std::min(ttl->integer, kMaxTtlS)};
}

// The bare string is the reference's; a text under `error` is what the newest client's send() resolves with.
std::string AnswerPayload(const Status& status) {
  if (status.ok()) return OkPayload();
  if (status.code() == Code::kTooLarge) return R"({"status":"error","response":"payload_size_exceeded"})";
  return status.code() == Code::kInvalid ? RejectionPayload(status.message()) : ErrorPayload(status.message());
}

Status MayNotWrite(const Channel& channel) {
  return {Code::kUnauthorized, std::string(kMayNotWrite).append(channel.subtopic())};
}

}  // namespace

void Engine::Impl::OnBroadcast(Channel& channel, const ClientMessage& message, Now now) {
  Session& session = *channel.session;
  int64_t debt_ms = session.events.Charge(settings_->events, now.mono_ms);
  if (debt_ms > 0) sink_->SlowDown(session.id, debt_ms, now);

  auto broadcast = std::make_shared<Broadcast>();
  Status status = ReadBroadcast(channel, message, broadcast.get());
  Result<Persistence> persistence = ReadPersistence(message.metadata, channel.is_private, settings_->max_json_depth);
  if (status.ok()) status = persistence.status;
  if (!status.ok()) {
    if (persistence.value.wanted) status = Status(Code::kInvalid, status.message());
    if (!channel.ack) LogMalformed(session, "broadcast to " + channel.topic + ": " + status.message(), now);
    AnswerBroadcast(channel, message.ref, status);
    return;
  }
  // Once one message is on its way through the database, those behind it must not overtake it; nor may one overtake the
  // answer to a new token.
  if (persistence.value.wanted || channel.storing > 0 || channel.new_token) {
    StoreBroadcast(channel, std::move(broadcast), persistence.value.wanted, persistence.value.ttl_s, message.ref);
    return;
  }
  Publish(std::move(broadcast), channel.self ? 0 : channel.id);
  AnswerBroadcast(channel, message.ref, status);
}

Status Engine::Impl::ReadBroadcast(const Channel& channel, const ClientMessage& message, Broadcast* out) const {
  // Clients hold back what they send until the join is answered.
  if (channel.joining) return {Code::kMalformed, "The channel is not joined yet"};
  if (!channel.new_token && !channel.rights.write_broadcast) return MayNotWrite(channel);
  bool whole = !message.is_user_broadcast;
  std::string_view payload = whole ? message.payload : message.user_payload;
  if (payload.size() > settings_->max_payload_size) return {Code::kTooLarge, "Payload size exceeded"};
  if (whole) {
    // The parser has validated it. A binary push of another kind than a broadcast's has bytes instead of an object.
    if (payload.empty() || payload.front() != '{' || !message.user_payload.empty()) {
      return {Code::kMalformed, "The payload of a broadcast must be an object"};
    }
    out->form = Broadcast::Form::kWhole;
  } else if (message.user_payload_is_json) {
    if (!json::Check(payload, settings_->max_json_depth).ok()) {
      return {Code::kMalformed, "The payload of the broadcast is not valid JSON, or nested too deeply"};
    }
    out->form = Broadcast::Form::kJson;
  } else {
    out->form = Broadcast::Form::kBinary;
  }
  out->topic = channel.subtopic();
  out->is_private = channel.is_private;
  out->event = message.user_event;
  out->payload = std::make_shared<const std::string>(payload);
  return Status::Ok();
}

// The hot path: whatever is the same for all members is made before the loop, or once in it.
void Engine::Impl::Publish(const BroadcastPtr& message, ChannelId except) {
  ++traffic_.broadcasts;
  Topic* room = topics_.Find(message->is_private, message->topic);
  if (room == nullptr) return;
  ++room->broadcasts;
  const uint64_t deliveries_before = room->deliveries;
  BroadcastFrames frames(message.get());
  bool stored = !message->id.empty();
  for (Channel* member : room->members) {
    if (!member->rights.read_broadcast || member->id == except) continue;
    if (stored && !member->replayed.empty() && member->replayed.contains(message->id)) continue;
    const SharedBytes& frame = frames.For(member->session->vsn);
    if (frame == nullptr) continue;
    Deliver(*member, frame);
    ++room->deliveries;
  }
  traffic_.broadcast_deliveries += room->deliveries - deliveries_before;
}

void Engine::Impl::StoreBroadcast(Channel& channel, BroadcastPtr message, bool store, int64_t ttl_s, std::string ref) {
  ++channel.storing;
  // What is really stored is judged by the database, by the new token's rights.
  const bool needs_right = channel.new_token && !store;
  sink_->ToDatabase(
      Store{channel.id, channel.identity, std::move(message), store, ttl_s, std::move(ref), needs_right});
}

// The sender may have gone meanwhile; a message that was stored is delivered all the same.
void Engine::Impl::OnStored(const Stored& stored) {
  if (calls_.contains(stored.channel)) {
    OnCallStored(stored.channel, stored);
    return;
  }
  auto found = channels_.find(stored.channel);
  Channel* sender = found == channels_.end() ? nullptr : found->second;
  const bool denied = stored.needs_right && (sender == nullptr || !sender->rights.write_broadcast);
  if (stored.error.empty() && stored.message != nullptr && !denied) {
    Publish(stored.message, sender == nullptr || sender->self ? 0 : sender->id);
  }
  if (sender == nullptr) return;
  if (sender->storing > 0) --sender->storing;
  Status status = stored.error.empty() ? Status::Ok() : Status(Code::kInvalid, stored.error);
  if (denied) status = MayNotWrite(*sender);
  AnswerBroadcast(*sender, stored.ref, status);
}

void Engine::Impl::AnswerBroadcast(Channel& channel, std::string_view ref, const Status& status) {
  if (!channel.ack) return;
  Send(*channel.session, channel.join_ref, ref, channel.topic, "phx_reply", AnswerPayload(status));
}

}  // namespace realtime
