// The engine's inside. engine.cpp: handshakes, frames, time and sessions. engine_channels.cpp: the life of a channel.
// engine_delivery.cpp: changes and notices on their way out.
//
// Invariants: channels_ holds exactly the channels that sessions own; a channel has a token deadline as long as it
// exists, a session an idle deadline; a phx_join is answered once, unless a leave, a re-join or the end of the socket
// comes first; the database hears an Unsubscribe for every channel it may still know when that channel ends.
// A Channel& or Session& is dead after any call whose name starts with End, Refuse or Close.
#ifndef REALTIME_CORE_ENGINE_IMPL_H_
#define REALTIME_CORE_ENGINE_IMPL_H_

#include "core/pure.h"

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/change_frames.h"
#include "core/deadlines.h"
#include "core/engine.h"
#include "core/payloads.h"
#include "core/session.h"

namespace realtime {

class Engine::Impl {
 public:
  Impl(SettingsPtr settings, EngineSink* sink) : settings_(std::move(settings)), sink_(sink) {}

  ConnectResult Connect(const ConnectRequest& request, Now now);
  void Receive(SessionId id, std::string_view message, bool is_binary, Now now);
  void Alive(SessionId id, Now now);
  void Disconnected(SessionId id);
  void CloseIfKnown(SessionId id, CloseCode code, std::string_view reason);
  void CutSlow(SessionId id, std::string_view why);
  void Reload(SettingsPtr settings);
  void DrainAll();
  void Tick(Now now);
  int64_t NextDeadline() const { return deadlines_.Next(); }

  void OnResult(const SubscribeResult& result);
  void OnNotice(const SystemNotice& notice);
  void OnDelivery(const Delivery& delivery);
  void SessionsOf(const Delivery& delivery, std::vector<SessionId>* sessions);

  size_t session_count() const { return sessions_.size(); }
  size_t channel_count() const { return channels_.size(); }

 private:
  // ---- engine.cpp ----
  void Dispatch(Session& session, const ClientMessage& message, size_t size, Now now);
  void LogMalformed(Session& session, const std::string& why, Now now);
  Session* FindSession(SessionId id);
  void ArmIdle(Session& session);
  void OnIdleDeadline(SessionId id, Now now);
  void OnTokenDeadline(ChannelId id, Now now);
  void EndSession(Session& session);
  void CloseSession(Session& session, CloseCode code, std::string_view reason);
  void Send(const Session& session, std::string_view join_ref, std::string_view ref, std::string_view topic,
            std::string_view event, std::string_view payload);
  Token Verify(std::string_view token, Now now) const;

  // ---- engine_channels.cpp ----
  void Join(Session& session, const ClientMessage& message, size_t size, Now now);
  Status CheckJoin(const Session& session, const ClientMessage& message, size_t size) const;
  Status Authorize(const ClientMessage& message, const JoinRequest& request,
                   std::string_view token_text, Now now, Token* token) const;
  Channel& AddChannel(Session& session, const ClientMessage& message, size_t size);
  std::optional<std::string> EndDisplaced(Session& session, const std::string& topic);
  void Leave(Session& session, const ClientMessage& message);
  void AccessToken(Channel& channel, std::string_view payload, Now now);
  void Adopt(Channel& channel, std::string_view token_text, Token token, Now now);
  void ArmToken(Channel& channel, int64_t exp_s, Now now);
  void AskDatabase(Channel& channel);
  void Withdraw(Channel& channel);
  void AnswerJoin(Channel& channel);
  void RefuseJoin(Channel& channel, std::string_view reason);
  void EndForToken(Channel& channel, const Token& token);
  void EndWithError(Channel& channel, std::string_view message);
  void EndChannel(Channel& channel);
  void SendSystem(const Channel& channel, SystemExtension extension, bool is_error, std::string_view message);
  void SendClosed(const Session& session, std::string_view topic, std::string_view join_ref);
  void SendDisplaced(Channel& channel);

  // ---- engine_delivery.cpp ----
  Channel* FindLive(ChannelId id);
  const std::vector<Target>& Merge(const Delivery& delivery);

  SettingsPtr settings_;
  EngineSink* const sink_;
  std::unordered_map<SessionId, Session> sessions_;
  std::unordered_map<ChannelId, Channel*> channels_;
  SessionId last_session_ = 0;
  ChannelId last_channel_ = 0;
  Deadlines deadlines_;

  // Scratch of deliveries, kept for its memory.
  ChangeFrames frames_;
  std::vector<Target> merged_;
  std::vector<uint32_t> ids_;
  uint64_t walk_ = 0;
};

}  // namespace realtime

#endif  // REALTIME_CORE_ENGINE_IMPL_H_
