// The engine's inside. engine.cpp: handshakes, frames, time and sessions. engine_channels.cpp: the life of a channel.
// engine_rights.cpp: private channels' rights, and what waits for them. engine_broadcast.cpp, engine_presence.cpp: messages
// between clients. engine_calls.cpp: REST. engine_delivery.cpp: changes and notices on their way out. engine_views.cpp: what
// a DBA sees of it.
//
// Invariants: channels_ holds exactly the channels that sessions own; a channel has a token deadline as long as it
// exists, a session an idle deadline; a phx_join is answered once, unless a leave, a re-join or the end of the socket
// comes first; the database hears an Unsubscribe for every channel it may still know when that channel ends; a channel is
// in topics_ from AnswerJoin on, a private one from its rights on, to its end.
// A Channel& or Session& is dead after any call whose name starts with End, Refuse or Close.
#ifndef REALTIME_CORE_ENGINE_IMPL_H_
#define REALTIME_CORE_ENGINE_IMPL_H_

#include "core/pure.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/change_frames.h"
#include "core/deadlines.h"
#include "core/engine.h"
#include "core/id_map.h"
#include "core/payloads.h"
#include "core/rest.h"
#include "core/session.h"
#include "core/topics.h"

namespace realtime {

class Engine::Impl {
 public:
  Impl(SettingsPtr settings, EngineSink* sink, uint64_t seed)
      : settings_(std::move(settings)), sink_(sink), names_(seed) {}

  ConnectResult Connect(const ConnectRequest& request, Now now);
  void Receive(SessionId id, std::string_view message, bool is_binary, Now now);
  void Alive(SessionId id, Now now);
  void Disconnected(SessionId id);
  void CloseIfKnown(SessionId id, CloseCode code, std::string_view reason);
  void CutSlow(SessionId id, std::string_view why);
  void Reload(SettingsPtr settings);
  void BeginDrain();
  void DrainSome(size_t count);
  void DrainAll();
  void Tick(Now now);
  int64_t NextDeadline() const { return deadlines_.Next(); }

  bool Knows(const RestCall& request, Now now) const;
  void Call(CallId call, RestCall request, Now now);

  void OnResult(const SubscribeResult& result, Now now);
  void OnRights(const RightsResult& result, Now now);
  void OnStored(const Stored& stored);
  void OnDatabaseBroadcast(const DatabaseBroadcast& broadcast) { Publish(broadcast.message, 0); }
  void OnStreamState(const StreamState& state);
  void OnNotice(const SystemNotice& notice);
  void Foresee(const Delivery& delivery, int step) const;
  size_t OnDelivery(const Delivery& delivery, size_t from, const std::function<bool()>& pause);
  void DropHeld();
  void SessionsOf(const Delivery& delivery, std::vector<SessionId>* sessions);
  void SessionsOf(const DatabaseBroadcast& broadcast, std::vector<SessionId>* sessions);

  void ListSessions(std::vector<SessionId>* sessions) const;
  void ListTopics(std::vector<std::string>* keys) const { topics_.List(keys); }
  std::optional<SessionView> Describe(SessionId id);
  bool Describe(const std::string& topic_key, ViewRows* rows);
  void ListSubscribers(SessionId id, std::vector<Subscriber>* subscribers);
  bool Disconnect(SessionId id);
  const Traffic& traffic() const { return traffic_; }

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
  void OnNoChannelDeadline(SessionId id);
  void EndSession(Session& session);
  void CloseSession(Session& session, CloseCode code, std::string_view reason);
  ConnectResult Refuse(ConnectResult result);
  // Tells each channel, and closes.
  void SayGoodbye(Session& session, std::string_view reason);
  void Send(const Session& session, std::string_view join_ref, std::string_view ref, std::string_view topic,
            std::string_view event, std::string_view payload);
  Token Verify(std::string_view token, Now now) const;

  // ---- engine_channels.cpp ----
  void Join(Session& session, const ClientMessage& message, size_t size, Now now);
  Status CheckJoin(Session& session, const ClientMessage& message, size_t size, Now now);
  Status CheckJoinBytes(const Session& session, size_t size) const;
  Status Authorize(const JoinRequest& request, std::string_view token_text, Now now, Token* token) const;
  Channel& AddChannel(Session& session, const ClientMessage& message, size_t size);
  void Configure(Channel& channel, JoinRequest request);
  // The next thing that the join waits for, or its answer.
  void ContinueJoin(Channel& channel);
  std::optional<std::string> EndDisplaced(Session& session, const std::string& topic);
  void Leave(Session& session, const ClientMessage& message);
  void AccessToken(Channel& channel, std::string_view payload, Now now);
  // Or later, while the channel is joining. May end the channel; so may TakeLateToken.
  void UseToken(Channel& channel, const std::string& text, Now now);
  void TakeLateToken(Channel& channel);
  void Adopt(Channel& channel, std::string_view token_text, Token token, Now now);
  void ArmToken(Channel& channel, int64_t exp_s, Now now);
  void AskDatabase(Channel& channel);
  void Withdraw(Channel& channel);
  // False: it had to be refused instead, and has ended.
  bool AnswerJoin(Channel& channel);
  void RefuseJoin(Channel& channel, std::string_view reason);
  void EndForToken(Channel& channel, const Token& token);
  void EndWithError(Channel& channel, std::string_view message);
  void EndChannel(Channel& channel);
  void SendSystem(const Channel& channel, SystemExtension extension, bool is_error, std::string_view message);
  void SendClosed(const Session& session, std::string_view topic, std::string_view join_ref);
  void SendDisplaced(Channel& channel);

  // ---- engine_rights.cpp ----
  void AskRights(Channel& channel);
  void OnJoinRights(Channel& channel, const RightsResult& result, Now now);
  void OnNewRights(Channel& channel, const RightsResult& result, Now now);
  void ReplayStored(Channel& channel, const RightsResult& result);
  // For the next question, or while one is asked, for its answer.
  void ArmRights(Channel& channel, Now now);
  void OnRightsDeadline(ChannelId id);
  void OnReadyDeadline(ChannelId id);
  void NoteListeners();
  // Sends the notice that replication_ready asked for, or waits for the stream.
  void NoteReady(Channel& channel);
  // Sends to the channel, or holds it back until the join is answered. May be called for each member of a room in turn:
  // ends nothing.
  void Deliver(Channel& channel, const SharedBytes& frame);
  void SendHeld(Channel& channel);
  // Ends the channel so that the client joins again by itself (phx_error).
  void EndForRetry(Channel& channel, std::string_view message);

  // ---- engine_broadcast.cpp ----
  void OnBroadcast(Channel& channel, const ClientMessage& message, Now now);
  Status ReadBroadcast(const Channel& channel, const ClientMessage& message, Broadcast* out) const;
  // To all members that may read broadcasts but the channel `except` (zero: nobody is left out).
  void Publish(const BroadcastPtr& message, ChannelId except);
  void StoreBroadcast(Channel& channel, BroadcastPtr message, bool store, int64_t ttl_s, std::string ref);
  void AnswerBroadcast(Channel& channel, std::string_view ref, const Status& status);

  // ---- engine_presence.cpp ----
  void OnPresence(Channel& channel, const ClientMessage& message, Now now);
  void AnswerPresence(Channel& channel, std::string_view ref, std::string_view payload, Now now);
  // True: it waits for the answer to a new token.
  bool DeferPresence(Channel& channel, const ClientMessage& message);
  void TakeLatePresence(Channel& channel, Now now);
  Status ChangePresence(Channel& channel, std::string_view payload, Now now);
  Status TrackPresence(Channel& channel, std::string_view payload, Now now);
  Status CheckTrackedBytes(const Channel& channel, size_t size) const;
  bool ForgetTracked(Channel& channel);
  // Everybody hears of it, the channel itself too.
  void UntrackPresence(Channel& channel);
  // Likewise, but the channel is about to leave the room and hears nothing.
  void EndPresence(Channel& channel);
  void SendPresenceState(Channel& channel);
  // Something has changed: publishes it at once, or soon, together with what else changes until then. A change that is
  // published at once does not go to the channel `except` (zero: nobody is left out).
  void ShowPresence(Topic& room, ChannelId except);
  void OnPresenceDeadline();
  // The changes since the last diff, to all members that hear of presence.
  void PublishDiff(Topic& room, ChannelId except);

  // ---- engine_calls.cpp ----
  // A call that waits for the database.
  struct PendingCall {
    CallId call = 0;
    RestRequest request;
    std::shared_ptr<const Identity> identity;
    std::vector<std::string> topics;    // that the database was asked about
    RestAnswer answer;                  // as far as it is known
    size_t bytes = 0;                   // of its messages
  };
  void StartCall(std::unique_ptr<PendingCall> pending);
  TokenBucket& CallerBucket(const Identity& identity, Now now);
  void OnCallRights(ChannelId id, const RightsResult& result);
  void FinishBatch(ChannelId id, const RightsResult& result);
  void OnCallStored(ChannelId id, const Stored& stored);
  void FinishCall(ChannelId id, RestAnswer answer);
  void FailCalls();  // the end: answers all with 503

  // ---- engine_delivery.cpp ----
  Channel* FindLive(ChannelId id);
  const std::vector<Target>& Merge(const Delivery& delivery);

  SettingsPtr settings_;
  EngineSink* const sink_;
  std::unordered_map<SessionId, Session> sessions_;
  IdMap<Channel> channels_;
  SessionId last_session_ = 0;
  ChannelId last_channel_ = 0;
  Deadlines deadlines_;
  Now now_;                    // the last that a caller has told
  Topics topics_;
  NameSource names_;
  bool listening_ = false;     // what the database was last told
  bool stream_live_ = false;   // what it last told
  TokenBucket joins_;
  TokenBucket presence_events_;
  TokenBucket slow_lines_;
  size_t slow_unsaid_ = 0;     // slow clients that no line has named
  std::vector<std::string> rooms_due_;  // keys of topics whose diff_due is set; some may have ended
  int64_t presence_deadline_ = Deadlines::kNever;
  size_t joins_bytes_ = 0;     // of the joins of all channels
  size_t tracked_bytes_ = 0;   // of all that is tracked
  bool draining_ = false;      // all end, one after the other: nobody is told who else does
  std::unordered_map<ChannelId, std::unique_ptr<PendingCall>> calls_;
  size_t calls_bytes_ = 0;     // of the messages of all of them
  std::map<std::string, TokenBucket> callers_;  // by role and sub; ordered, as are Topics
  int64_t next_callers_sweep_ms_ = 0;

  // Scratch of deliveries, kept for its memory.
  ChangeFrames frames_;
  std::vector<Target> merged_;
  std::vector<uint32_t> ids_;
  uint64_t walk_ = 0;
  Traffic traffic_;
};

}  // namespace realtime

#endif  // REALTIME_CORE_ENGINE_IMPL_H_
