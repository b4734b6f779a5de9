// The life of a channel: phx_join and its checks, the database's answer, new tokens, leave and every other end.
#include "core/engine_impl.h"

#include <algorithm>
#include <utility>

#include "core/json.h"

namespace realtime {

namespace {

// All joins that one connection holds, as bytes of their messages and what their bindings take here and on the database
// thread, where a short one takes many times its text: bounds what a client can make us keep.
constexpr size_t kMaxJoinBytesPerSession = 8u << 20;
constexpr size_t kBindingBytes = 512;

// A token is looked at again this often even when it has time left, as the reference does: a key may have been withdrawn,
// or the wall clock set.
constexpr int64_t kTokenCheckMs = 5 * 60 * 1000;

// A presence key is repeated in every diff.
constexpr size_t kMaxPresenceKey = 8192;

// Of the joins of all clients, what one connection may use before it is read more slowly: a tenth, but enough to join all its
// channels anew.
Rate ShareOf(const Rate& joins) {
  const double amount = std::max(joins.amount / 10, std::min(joins.amount, 10.0));
  return {amount, joins.period_ms, std::max(joins.burst / 10, std::min(joins.burst, 200.0))};
}

constexpr std::string_view kNotServed = "RealtimeDisabledForConfiguration: ";

// A version 1 client may leave join_ref out, and the parser then repeats ref; no real join_ref equals the ref of a leave.
bool LeavesThisInstance(const Session& session, const Channel& channel, const ClientMessage& message) {
  if (channel.join_ref == "null" || message.join_ref == channel.join_ref) return true;
  return session.vsn == Vsn::kV1 && message.join_ref == message.ref;
}

}  // namespace

void Engine::Impl::Join(Session& session, const ClientMessage& message, size_t size, Now now) {
  std::optional<std::string> displaced = EndDisplaced(session, message.topic);
  Status status = CheckJoin(session, message, size, now);
  Result<JoinRequest> request{JoinRequest()};
  Token token;
  std::string token_text;
  if (status.ok()) {
    request = ParseJoin(std::string_view(message.topic).substr(kTopicPrefix.size()), message.payload,
                        settings_->max_json_depth);
    token_text = request.value.token ? *request.value.token : *session.token;
    status = request.ok() ? Authorize(request.value, token_text, now, &token) : request.status;
    if (!request.value.binding_error) size += request.value.bindings.size() * kBindingBytes;
    if (status.ok()) status = CheckJoinBytes(session, size);
  }
  if (!status.ok()) {
    Send(session, message.join_ref, message.ref, message.topic, "phx_reply", ErrorPayload(status.message()));
    if (displaced) SendClosed(session, message.topic, *displaced);
    return;
  }

  Channel& channel = AddChannel(session, message, size);
  channel.displaced = std::move(displaced);
  Configure(channel, std::move(request.value));
  Adopt(channel, token_text, std::move(token), now);
  if (channel.is_private) {
    AskRights(channel);
  } else {
    ContinueJoin(channel);
  }
}

// What can be said before the payload is read.
Status Engine::Impl::CheckJoin(Session& session, const ClientMessage& message, size_t size, Now now) {
  int64_t debt_ms = session.joins.Charge(ShareOf(settings_->joins), now.mono_ms);
  if (debt_ms > 0) sink_->SlowDown(session.id, debt_ms, now);
  if (message.topic.size() == kTopicPrefix.size()) {
    return {Code::kInvalid, "TopicNameRequired: You must provide a topic name"};
  }
  if (draining_) return {Code::kInvalid, std::string(kRestarting)};
  if (!joins_.Take(settings_->joins, now.mono_ms)) {
    return {Code::kTooLarge, "ClientJoinRateLimitReached: Too many joins per second"};
  }
  if (session.channels.size() >= static_cast<size_t>(std::max(settings_->max_channels_per_client, 0))) {
    return {Code::kTooLarge, "ChannelRateLimitReached: Too many channels"};
  }
  return CheckJoinBytes(session, size);
}

Status Engine::Impl::CheckJoinBytes(const Session& session, size_t size) const {
  if (session.join_cost + size > kMaxJoinBytesPerSession) {
    return {Code::kTooLarge, "UnknownErrorOnChannel: the joins of this connection are too large"};
  }
  if (joins_bytes_ + size > settings_->max_queue_memory) {
    return {Code::kTooLarge, "UnknownErrorOnChannel: the joins of all connections are too large"};
  }
  return Status::Ok();
}

// What can be said without the database.
Status Engine::Impl::Authorize(const JoinRequest& request, std::string_view token_text, Now now, Token* token) const {
  if (settings_->private_only && !request.is_private) {
    return {Code::kUnauthorized, "PrivateOnly: This project only allows private channels"};
  }
  *token = Verify(token_text, now);
  if (!token->ok()) return {Code::kUnauthorized, JoinErrorText(*token)};
  if (request.replay_error) return {Code::kInvalid, *request.replay_error};
  if (request.presence_key.size() > kMaxPresenceKey) {
    return {Code::kTooLarge, "UnknownErrorOnChannel: the presence key is too long"};
  }
  if (request.wait && request.binding_error) {
    return {Code::kInvalid, std::string(kNotServed).append(*request.binding_error)};
  }
  return Status::Ok();
}

void Engine::Impl::Configure(Channel& channel, JoinRequest request) {
  channel.modern = request.modern;
  channel.is_private = request.is_private;
  channel.ack = request.broadcast_ack;
  channel.self = request.broadcast_self;
  channel.presence_enabled = request.presence_enabled;
  channel.meta.key = request.presence_key.empty() ? names_.Uuid() : std::move(request.presence_key);
  channel.wants_ready = request.replication_ready;
  channel.wait = request.wait;
  channel.patience_ms = request.wait ? request.wait_timeout_ms : 0;
  channel.replay = request.replay;
  channel.bindings_echo = std::move(request.bindings_echo);
  channel.binding_error = std::move(request.binding_error);
  if (!channel.binding_error) channel.bindings = std::move(request.bindings);
  if (!channel.is_private) channel.rights = Rights::All();
}

void Engine::Impl::ContinueJoin(Channel& channel) {
  if (!channel.bindings.empty()) {
    AskDatabase(channel);
  } else if (AnswerJoin(channel)) {
    TakeLateToken(channel);
  }
}

Channel& Engine::Impl::AddChannel(Session& session, const ClientMessage& message, size_t size) {
  auto owned = std::make_unique<Channel>();
  Channel& channel = *owned;
  channel.id = ++last_channel_;
  channel.session = &session;
  channel.topic = message.topic;
  channel.quoted_topic = json::Quote(message.topic);
  channel.join_ref = message.join_ref;
  channel.ref = message.ref;
  channel.cost = size;
  // The owner first: should memory run out in between, channels_ points to nothing that is gone.
  session.channels.emplace(message.topic, std::move(owned));
  session.join_cost += size;
  joins_bytes_ += size;
  channels_.emplace(channel.id, &channel);
  deadlines_.Cancel(Deadline::Kind::kNoChannel, session.id, &session.channel_deadline);
  NoteListeners();
  return channel;
}

// Ends the instance that a new phx_join displaces and returns its join_ref, whose phx_close is due after the new join's
// answer. An instance that is still joining is never answered; what it had itself displaced is closed now, so that a
// client which joins in a loop cannot pile up closes.
std::optional<std::string> Engine::Impl::EndDisplaced(Session& session, const std::string& topic) {
  auto found = session.channels.find(topic);
  if (found == session.channels.end()) return std::nullopt;
  Channel& old = *found->second;
  std::string join_ref = old.join_ref;
  SendDisplaced(old);
  EndChannel(old);
  return join_ref;
}

void Engine::Impl::Leave(Session& session, const ClientMessage& message) {
  auto found = session.channels.find(message.topic);
  if (found == session.channels.end()) {
    Send(session, message.join_ref, message.ref, message.topic, "phx_reply", OkPayload());
    return;
  }
  Channel& channel = *found->second;
  if (!LeavesThisInstance(session, channel, message)) return;
  Send(session, message.join_ref, message.ref, channel.topic, "phx_reply", OkPayload());
  SendDisplaced(channel);
  SendClosed(session, channel.topic, channel.join_ref);
  EndChannel(channel);
}

void Engine::Impl::AccessToken(Channel& channel, std::string_view payload, Now now) {
  Result<json::Value> parsed = json::ParseShallow(payload, {.max_depth = settings_->max_json_depth});
  if (!parsed.ok()) return;
  const json::Value* value = parsed.value.Find("access_token");
  if (value == nullptr || !value->IsString()) return;
  if (value->string.starts_with("sb_") || value->string == *channel.token) return;
  UseToken(channel, value->string, now);
}

void Engine::Impl::UseToken(Channel& channel, const std::string& text, Now now) {
  Token token = Verify(text, now);
  if (!token.ok()) return EndForToken(channel, token);
  if (channel.joining) {
    channel.late_token = std::make_unique<std::string>(text);
    return;
  }
  Adopt(channel, text, std::move(token), now);
  if (channel.is_private) AskRights(channel);
  channel.new_token = channel.is_private;
  if (!channel.bindings.empty()) AskDatabase(channel);
}

// The join is answered for the token it came with: else a client that sends tokens all the time would never be answered, and
// what it gets meanwhile be held for good.
void Engine::Impl::TakeLateToken(Channel& channel) {
  if (!channel.late_token) return;
  const std::unique_ptr<std::string> text = std::move(channel.late_token);
  UseToken(channel, *text, now_);
}

// Channels of one connection mostly share one token: it and the identity are kept once.
void Engine::Impl::Adopt(Channel& channel, std::string_view token_text, Token token, Now now) {
  Session& session = *channel.session;
  channel.token = token_text == *session.token ? session.token : std::make_shared<const std::string>(token_text);
  Identity identity{std::move(token.role), std::move(token.claims), std::move(token.sub), session.headers_json};
  if (session.identity == nullptr || !(*session.identity == identity)) {
    session.identity = std::make_shared<const Identity>(std::move(identity));
  }
  channel.identity = session.identity;
  session.token_exp_s = token.exp_s;
  ArmToken(channel, token.exp_s, now);
}

void Engine::Impl::ArmToken(Channel& channel, int64_t exp_s, Now now) {
  int64_t wait_ms = kTokenCheckMs;
  // Compared in seconds first: exp is the client's number, and milliseconds of it may not exist.
  if (exp_s <= (now.unix_ms + kTokenCheckMs) / 1000) wait_ms = exp_s * 1000 - now.unix_ms;
  int64_t at = now.mono_ms + std::clamp<int64_t>(wait_ms, 1, kTokenCheckMs);
  deadlines_.Set(Deadline::Kind::kToken, channel.id, at, &channel.token_deadline);
}

void Engine::Impl::AskDatabase(Channel& channel) {
  ++channel.sequence;
  channel.awaiting = true;
  channel.registered = true;
  sink_->ToDatabase(
      Subscribe{channel.id, channel.sequence, channel.identity, channel.bindings, channel.patience_ms});
}

void Engine::Impl::Withdraw(Channel& channel) {
  if (channel.registered) sink_->ToDatabase(Unsubscribe{channel.id});
  channel.registered = false;
  channel.live = false;
}

// Answers to an earlier Subscribe than the last, and to channels that have ended, arrive late and mean nothing.
void Engine::Impl::OnResult(const SubscribeResult& result, Now now) {
  now_ = now;
  auto found = channels_.find(result.channel);
  if (found == channels_.end()) return;
  Channel& channel = *found->second;
  if (!channel.awaiting || channel.sequence != result.sequence) return;
  channel.awaiting = false;

  if (result.outcome == SubscribeResult::Outcome::kLive) {
    channel.live = true;
    if (channel.joining && !AnswerJoin(channel)) return;
    SendSystem(channel, SystemExtension::kPostgresChanges, false, "Subscribed to PostgreSQL");
    return TakeLateToken(channel);
  }
  // A first Subscribe that came to nothing left nothing behind; a later one may have left the earlier identity there.
  if (channel.sequence == 1) channel.registered = false;
  Withdraw(channel);
  const bool failed = result.outcome == SubscribeResult::Outcome::kFailed;
  if (channel.joining && (!failed || channel.wait)) {
    RefuseJoin(channel, failed ? std::string(kNotServed) + result.message : result.message);
  } else if (failed) {
    if (channel.joining && !AnswerJoin(channel)) return;
    SendSystem(channel, SystemExtension::kPostgresChanges, true, result.message);
    TakeLateToken(channel);
  } else {
    EndWithError(channel, result.message);
  }
}

bool Engine::Impl::AnswerJoin(Channel& channel) {
  if (channel.held_too_much) {
    RefuseJoin(channel, "UnknownErrorOnChannel: too many messages arrived while the channel was being joined");
    return false;
  }
  Send(*channel.session, channel.join_ref, channel.ref, channel.topic, "phx_reply",
       JoinedPayload(channel.bindings_echo));
  channel.joining = false;
  ++traffic_.joins;
  std::string().swap(channel.bindings_echo);
  SendDisplaced(channel);
  topics_.Join(&channel);
  SendHeld(channel);
  if (channel.binding_error) SendSystem(channel, SystemExtension::kPostgresChanges, true, *channel.binding_error);
  channel.binding_error.reset();
  NoteReady(channel);
  if (channel.presence_enabled && channel.rights.read_presence) SendPresenceState(channel);
  return true;
}

void Engine::Impl::RefuseJoin(Channel& channel, std::string_view reason) {
  Send(*channel.session, channel.join_ref, channel.ref, channel.topic, "phx_reply", ErrorPayload(reason));
  SendDisplaced(channel);
  EndChannel(channel);
}

// A channel that is still joining can be told in its answer.
void Engine::Impl::EndForToken(Channel& channel, const Token& token) {
  if (channel.joining) {
    RefuseJoin(channel, JoinErrorText(token));
  } else {
    EndWithError(channel, SystemErrorText(token));
  }
}

void Engine::Impl::EndWithError(Channel& channel, std::string_view message) {
  SendSystem(channel, SystemExtension::kSystem, true, message);
  SendClosed(*channel.session, channel.topic, channel.join_ref);
  EndChannel(channel);
}

void Engine::Impl::EndChannel(Channel& channel) {
  EndPresence(channel);
  topics_.Leave(&channel);
  Withdraw(channel);
  deadlines_.Cancel(Deadline::Kind::kToken, channel.id, &channel.token_deadline);
  deadlines_.Cancel(Deadline::Kind::kRights, channel.id, &channel.rights_deadline);
  deadlines_.Cancel(Deadline::Kind::kReady, channel.id, &channel.ready_deadline);
  Session& session = *channel.session;
  session.join_cost -= channel.cost;
  joins_bytes_ -= channel.cost;
  channels_.erase(channel.id);
  session.channels.erase(session.channels.find(channel.topic));
  NoteListeners();
  if (!session.channels.empty() || settings_->no_channel_timeout_ms == 0) return;
  deadlines_.Set(Deadline::Kind::kNoChannel, session.id, now_.mono_ms + settings_->no_channel_timeout_ms,
                 &session.channel_deadline);
}

void Engine::Impl::SendSystem(const Channel& channel, SystemExtension extension, bool is_error,
                              std::string_view message) {
  Send(*channel.session, channel.join_ref, "null", channel.topic, "system",
       SystemPayload(extension, is_error, message, channel.subtopic()));
}

void Engine::Impl::SendClosed(const Session& session, std::string_view topic, std::string_view join_ref) {
  Send(session, join_ref, join_ref, topic, "phx_close", "{}");
}

void Engine::Impl::SendDisplaced(Channel& channel) {
  if (!channel.displaced) return;
  SendClosed(*channel.session, channel.topic, *channel.displaced);
  channel.displaced.reset();
}

}  // namespace realtime
