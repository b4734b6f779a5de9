#include "core/engine.h"

#include <algorithm>
#include <utility>

#include "core/engine_impl.h"

namespace realtime {

namespace {

// Malformed frames are logged at most this often per session, or a client could fill the log's mailbox.
constexpr int64_t kMalformedLogIntervalMs = 1000;

// Lines about slow clients, which may be thousands at once.
constexpr Rate kSlowLines{1, 1000, 10};

constexpr std::string_view kPrivateOnly = "This project only allows private channels";

}  // namespace

ConnectResult Engine::Impl::Connect(const ConnectRequest& request, Now now) {
  now_ = now;
  Result<Vsn> vsn = ParseVsn(request.vsn);
  if (!vsn.ok()) return Refuse({0, 403, ""});
  if (request.api_key == nullptr) return Refuse({0, 401, "API key is missing"});
  Token token = Verify(*request.api_key, now);
  if (!token.ok()) return Refuse({0, HandshakeErrorStatus(token), HandshakeErrorText(token)});
  if (sessions_.size() >= static_cast<size_t>(std::max(settings_->max_connections, 0))) {
    return Refuse({0, 429, "Too many connected users"});
  }
  if (settings_->joins.limited() && joins_.Level(settings_->joins, now.mono_ms) < 1) {
    return Refuse({0, 429, "Too many joins per second"});
  }

  Session& session = sessions_[++last_session_];
  session.id = last_session_;
  session.vsn = vsn.value;
  session.token = std::make_shared<const std::string>(*request.api_key);
  session.headers_json = request.headers_json;
  session.peer = request.peer;
  session.role = std::move(token.role);
  session.token_exp_s = token.exp_s;
  session.connected_ms = now.unix_ms;
  session.last_frame_ms = now.mono_ms;
  ArmIdle(session);
  ++traffic_.connections;
  return {session.id, 0, ""};
}

ConnectResult Engine::Impl::Refuse(ConnectResult result) {
  ++traffic_.refused;
  return result;
}

void Engine::Impl::Receive(SessionId id, std::string_view bytes, bool is_binary, Now now) {
  Session* session = FindSession(id);
  if (session == nullptr) return;
  now_ = now;
  session->last_frame_ms = now.mono_ms;
  Result<ClientMessage> message = is_binary ? ParseBinary(session->vsn, bytes)
                                            : ParseText(session->vsn, bytes, settings_->max_json_depth);
  if (!message.ok()) {
    LogMalformed(*session, message.status.message(), now);
    return;
  }
  Dispatch(*session, message.value, bytes.size(), now);
}

void Engine::Impl::Dispatch(Session& session, const ClientMessage& message, size_t size, Now now) {
  if (message.topic == "phoenix" && message.event == "heartbeat") {
    Send(session, "null", message.ref, message.topic, "phx_reply", OkPayload());
    return;
  }
  if (message.event == "phx_join" && message.topic.starts_with(kTopicPrefix)) {
    Join(session, message, size, now);
    return;
  }
  if (message.event == "phx_leave") {
    Leave(session, message);
    return;
  }
  auto found = session.channels.find(message.topic);
  if (found == session.channels.end()) {
    Send(session, "null", message.ref, message.topic, "phx_reply", ErrorPayload("unmatched topic"));
    return;
  }
  // Pushes count whatever their join_ref, and an event we do not know has no answer.
  Channel& channel = *found->second;
  if (message.event == "broadcast") {
    OnBroadcast(channel, message, now);
  } else if (message.event == "presence") {
    OnPresence(channel, message, now);
  } else if (message.event == "access_token") {
    AccessToken(channel, message.payload, now);
  }
}

void Engine::Impl::LogMalformed(Session& session, const std::string& why, Now now) {
  if (now.mono_ms < session.next_malformed_log_ms) return;
  session.next_malformed_log_ms = now.mono_ms + kMalformedLogIntervalMs;
  sink_->ToDatabase(LogLine{LogLevel::kDebug, "dropped a message from " + session.peer + ": " + why, ""});
}

void Engine::Impl::Alive(SessionId id, Now now) {
  Session* session = FindSession(id);
  if (session != nullptr) session->last_frame_ms = now.mono_ms;
}

void Engine::Impl::Disconnected(SessionId id) {
  Session* session = FindSession(id);
  if (session != nullptr) EndSession(*session);
}

void Engine::Impl::CloseIfKnown(SessionId id, CloseCode code, std::string_view reason) {
  Session* session = FindSession(id);
  if (session != nullptr) CloseSession(*session, code, reason);
}

void Engine::Impl::CutSlow(SessionId id, std::string_view why) {
  Session* session = FindSession(id);
  if (session == nullptr) return;
  if (slow_lines_.Take(kSlowLines, now_.mono_ms)) {
    std::string message = "closed the slow client " + session->peer + ": ";
    message += why;
    if (slow_unsaid_ > 0) message += " (and " + std::to_string(slow_unsaid_) + " more clients since the last such line)";
    slow_unsaid_ = 0;
    sink_->ToDatabase(LogLine{LogLevel::kInfo, std::move(message),
                              "If such clients should be waited for, raise realtime.max_client_queue, "
                              "realtime.max_queue_memory or realtime.slow_client_grace."});
  } else {
    ++slow_unsaid_;
  }
  CloseSession(*session, CloseCode::kPolicyViolation, "slow client");
}

void Engine::Impl::Reload(SettingsPtr settings) {
  bool idle_changed = settings->idle_timeout_ms != settings_->idle_timeout_ms;
  settings_ = std::move(settings);
  if (!idle_changed) return;
  for (auto& [id, session] : sessions_) ArmIdle(session);
}

void Engine::Impl::BeginDrain() {
  draining_ = true;
  FailCalls();
}

void Engine::Impl::DrainAll() {
  // Also when memory runs out in between.
  struct Draining {
    explicit Draining(bool* on) : flag(on) {}
    ~Draining() { *flag = false; }
    bool* flag;
  } draining(&draining_);
  BeginDrain();
  DrainSome(sessions_.size());
}

void Engine::Impl::DrainSome(size_t count) {
  for (; count > 0 && !sessions_.empty(); --count) SayGoodbye(sessions_.begin()->second, "service restart");
}

void Engine::Impl::SayGoodbye(Session& session, std::string_view reason) {
  for (const auto& [topic, channel] : session.channels) {
    if (channel->joining) {
      Send(session, channel->join_ref, channel->ref, topic, "phx_reply", ErrorPayload(kRestarting));
    } else {
      Send(session, "null", "null", topic, "system", DrainPayload());
    }
  }
  CloseSession(session, CloseCode::kServiceRestart, reason);
}

void Engine::Impl::Tick(Now now) {
  now_ = now;
  // Whoever stays alive gets a deadline later than now, so this ends.
  while (deadlines_.Next() <= now.mono_ms) {
    Deadline due = deadlines_.First();
    switch (due.kind) {
      case Deadline::Kind::kIdle: OnIdleDeadline(due.id, now); break;
      case Deadline::Kind::kNoChannel: OnNoChannelDeadline(due.id); break;
      case Deadline::Kind::kToken: OnTokenDeadline(due.id, now); break;
      case Deadline::Kind::kRights: OnRightsDeadline(due.id); break;
      case Deadline::Kind::kReady: OnReadyDeadline(due.id); break;
      case Deadline::Kind::kPresence: OnPresenceDeadline(); break;
    }
  }
}

// Who has left all channels and stays has forgotten to disconnect.
void Engine::Impl::OnNoChannelDeadline(SessionId id) {
  Session* session = FindSession(id);
  if (session == nullptr) {
    deadlines_.DropFirst();
  } else {
    CloseSession(*session, CloseCode::kNormal, "no channels");
  }
}

void Engine::Impl::OnIdleDeadline(SessionId id, Now now) {
  Session* session = FindSession(id);
  if (session == nullptr) {
    deadlines_.DropFirst();
    return;
  }
  if (session->last_frame_ms + settings_->idle_timeout_ms <= now.mono_ms) {
    session->last_frame_ms = std::max(session->last_frame_ms, sink_->LastReceived(id, now));
  }
  // Frames only note their time; the deadline catches up here.
  if (session->last_frame_ms + settings_->idle_timeout_ms > now.mono_ms) {
    ArmIdle(*session);
  } else {
    CloseSession(*session, CloseCode::kNormal, "idle");
  }
}

void Engine::Impl::OnTokenDeadline(ChannelId id, Now now) {
  auto found = channels_.find(id);
  if (found == channels_.end()) {
    deadlines_.DropFirst();
    return;
  }
  Channel& channel = *found->second;
  // Who joined before the setting came is public still.
  if (settings_->private_only && !channel.is_private && !channel.joining) return EndWithError(channel, kPrivateOnly);
  Token token = Verify(channel.late_token ? *channel.late_token : *channel.token, now);
  if (token.ok()) {
    ArmToken(channel, token.exp_s, now);
  } else {
    EndForToken(channel, token);
  }
}

void Engine::Impl::ArmIdle(Session& session) {
  int64_t at = session.last_frame_ms + settings_->idle_timeout_ms;
  deadlines_.Set(Deadline::Kind::kIdle, session.id, at, &session.idle_deadline);
}

Session* Engine::Impl::FindSession(SessionId id) {
  auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : &found->second;
}

void Engine::Impl::EndSession(Session& session) {
  while (!session.channels.empty()) EndChannel(*session.channels.begin()->second);
  deadlines_.Cancel(Deadline::Kind::kIdle, session.id, &session.idle_deadline);
  deadlines_.Cancel(Deadline::Kind::kNoChannel, session.id, &session.channel_deadline);
  sessions_.erase(session.id);
}

void Engine::Impl::CloseSession(Session& session, CloseCode code, std::string_view reason) {
  SessionId id = session.id;
  EndSession(session);
  sink_->Close(id, code, reason);
}

void Engine::Impl::Send(const Session& session, std::string_view join_ref, std::string_view ref,
                        std::string_view topic, std::string_view event, std::string_view payload) {
  sink_->Send(session.id, MakeFrame(Opcode::kText, EncodeText(session.vsn, join_ref, ref, topic, event, payload)));
}

Token Engine::Impl::Verify(std::string_view token, Now now) const {
  return VerifyToken(token, settings_->tokens, now.unix_ms);
}

// ---- the public face ----

Engine::Engine(SettingsPtr settings, EngineSink* sink, uint64_t seed)
    : impl_(std::make_unique<Impl>(std::move(settings), sink, seed)) {}
Engine::~Engine() = default;

ConnectResult Engine::Connect(const ConnectRequest& request, Now now) { return impl_->Connect(request, now); }
void Engine::Receive(SessionId session, std::string_view message, bool is_binary, Now now) {
  impl_->Receive(session, message, is_binary, now);
}
void Engine::Alive(SessionId session, Now now) { impl_->Alive(session, now); }
void Engine::Oversize(SessionId session, Now) {
  impl_->CloseIfKnown(session, CloseCode::kTooBig, "message too big");
}
void Engine::Disconnected(SessionId session) { impl_->Disconnected(session); }
bool Engine::Knows(const RestCall& request, Now now) const { return impl_->Knows(request, now); }
void Engine::Call(CallId call, RestCall request, Now now) { impl_->Call(call, std::move(request), now); }
void Engine::CutSlow(SessionId session, std::string_view why) { impl_->CutSlow(session, why); }
void Engine::FromDatabase(const SubscribeResult& result, Now now) { impl_->OnResult(result, now); }
void Engine::FromDatabase(const RightsResult& result, Now now) { impl_->OnRights(result, now); }
void Engine::FromDatabase(const Stored& stored) { impl_->OnStored(stored); }
void Engine::FromDatabase(const DatabaseBroadcast& broadcast) { impl_->OnDatabaseBroadcast(broadcast); }
void Engine::FromDatabase(const StreamState& state) { impl_->OnStreamState(state); }
void Engine::FromDatabase(const SystemNotice& notice) { impl_->OnNotice(notice); }
size_t Engine::HandOut(const Delivery& delivery, size_t from, const std::function<bool()>& pause) {
  return impl_->OnDelivery(delivery, from, pause);
}
void Engine::DropHeld() { impl_->DropHeld(); }
void Engine::Foresee(const Delivery& delivery, int step) const { impl_->Foresee(delivery, step); }

void Engine::SessionsOf(const Delivery& delivery, std::vector<SessionId>* sessions) const {
  impl_->SessionsOf(delivery, sessions);
}
void Engine::SessionsOf(const DatabaseBroadcast& broadcast, std::vector<SessionId>* sessions) const {
  impl_->SessionsOf(broadcast, sessions);
}
void Engine::Reload(SettingsPtr settings, Now) { impl_->Reload(std::move(settings)); }
void Engine::DrainAll() { impl_->DrainAll(); }
void Engine::BeginDrain() { impl_->BeginDrain(); }
void Engine::DrainSome(size_t count) { impl_->DrainSome(count); }
void Engine::Tick(Now now) { impl_->Tick(now); }
int64_t Engine::NextDeadline() const { return impl_->NextDeadline(); }
size_t Engine::session_count() const { return impl_->session_count(); }
size_t Engine::channel_count() const { return impl_->channel_count(); }

}  // namespace realtime
