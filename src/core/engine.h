// The protocol's state: sessions (one per socket) and their channels. Events go in through the methods of Engine, what
// is to be done comes out through EngineSink. No I/O, no clock, no thread: everything runs on the caller's (network)
// thread, and a sink method must not call back into the engine.
#ifndef REALTIME_CORE_ENGINE_H_
#define REALTIME_CORE_ENGINE_H_

#include "core/pure.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/door.h"
#include "core/frame.h"
#include "core/rest.h"
#include "core/settings.h"
#include "core/status.h"
#include "core/traffic.h"
#include "core/view_rows.h"

namespace realtime {

using SessionId = uint64_t;  // unique for the life of the process, never zero
using CallId = uint64_t;     // of a REST call; the network room's

class EngineSink {
 public:
  virtual ~EngineSink() = default;
  // Queue a complete WebSocket frame for the session's socket, in order.
  virtual void Send(SessionId session, SharedBytes frame) = 0;
  // Send what is queued, then a close frame; the engine has already forgotten the session.
  virtual void Close(SessionId session, CloseCode code, std::string_view reason) = 0;
  virtual void ToDatabase(realtime::ToDatabase message) = 0;
  // The answer of a call; nothing happens when its connection is gone.
  virtual void Answer(CallId call, RestAnswer answer) = 0;
  // The client sends more than it may: do not read from it for so long.
  virtual void SlowDown(SessionId /*session*/, int64_t /*ms*/, Now /*now*/) {}
  // When the client last sent anything (mono ms), or less when that is not known. Asked before a session ends as idle:
  // pings may be answered below the engine.
  virtual int64_t LastReceived(SessionId /*session*/, Now /*now*/) { return 0; }
};

// What a handshake asks for.
struct ConnectRequest {
  const std::string* api_key = nullptr;  // header x-api-key, else query apikey; null when neither is there
  const std::string* vsn = nullptr;      // query vsn; null when absent
  std::string headers_json = "{}";       // JSON object of the x- headers that policies may see
  std::string peer;                      // address, for the log
};

struct ConnectResult {
  SessionId session = 0;   // non-zero: accepted
  int http_status = 0;     // otherwise: answer with this status ...
  std::string error;       // ... and {"error": error}; empty means an empty body (unsupported vsn)
};

// What realtime.stat_connections shows, as far as the engine knows it.
struct SessionView {
  std::string peer;
  std::string client;               // x-client-info, or empty
  std::string role;                 // of the token that the client has last presented
  std::optional<int64_t> expires_ms;  // of that token; never: nothing
  std::string_view protocol;
  size_t channels = 0;
  int64_t connected_ms = 0;         // since 1970
};

class Engine {
 public:
  // `seed` is random: it makes names (phx_ref, generated keys) unique.
  Engine(SettingsPtr settings, EngineSink* sink, uint64_t seed = 0);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // A handshake; on acceptance the session exists until Disconnected, or until the engine calls sink->Close.
  ConnectResult Connect(const ConnectRequest& request, Now now);
  // One whole message.
  void Receive(SessionId session, std::string_view message, bool is_binary, Now now);
  // A control frame, which says only that somebody is there.
  void Alive(SessionId session, Now now);
  // A message over settings.max_message_size: closes with 1009.
  void Oversize(SessionId session, Now now);
  // The socket is gone. Not needed after sink->Close.
  void Disconnected(SessionId session);
  // Whether the call brings a token that counts, for who does not want to read its body first.
  bool Knows(const RestCall& request, Now now) const;
  // A REST call, answered by one sink->Answer: during this call, or later when the database has to be asked.
  void Call(CallId call, RestCall request, Now now);

  // The session's socket was too slow (net decides when): forget it, close it with 1008 and log why.
  void CutSlow(SessionId session, std::string_view why);

  // Messages from the database thread, except Reload and Drain, which arrive as calls of their own.
  void FromDatabase(const SubscribeResult& result, Now now);
  void FromDatabase(const SystemNotice& notice);
  void FromDatabase(const RightsResult& result, Now now);
  void FromDatabase(const Stored& stored);
  void FromDatabase(const DatabaseBroadcast& broadcast);
  void FromDatabase(const StreamState& state);
  // Hands one frame per channel to the sink.
  void FromDatabase(const Delivery& delivery) { HandOut(delivery, 0, [] { return false; }); }
  // The same from a position on, which `from` gives (0: the beginning) and this returns (kAll: the end), until `pause` says
  // so behind a channel: changes that many get under topics of their own are many frames.
  static constexpr size_t kAll = SIZE_MAX;
  size_t HandOut(const Delivery& delivery, size_t from, const std::function<bool()>& pause);
  // A delivery that follows soon: asks the memory, without waiting for it, for what handing it out will read first. Each
  // step reads what the one before has asked for, so they are for messages of falling distance.
  static constexpr int kForeseeSteps = 4;
  void Foresee(const Delivery& delivery, int step) const;
  // Memory is short: joins for which messages have been held back will be refused, and these are dropped.
  void DropHeld();
  // Appends the sessions a delivery would reach, each once; back-pressure asks first.
  void SessionsOf(const Delivery& delivery, std::vector<SessionId>* sessions) const;
  void SessionsOf(const DatabaseBroadcast& broadcast, std::vector<SessionId>* sessions) const;

  // Sessions stay under changed secrets; tokens are checked against them at their next use.
  void Reload(SettingsPtr settings, Now now);
  // system "Server requested disconnect" per channel, then Close 1012.
  void DrainAll();
  // The same for `count` sessions at a time: BeginDrain first, after which nobody joins any more and REST calls have failed.
  void BeginDrain();
  void DrainSome(size_t count);

  // Whatever is due: tokens, idle sessions, rights, presence diffs. Call at NextDeadline() (mono ms; INT64_MAX when nothing is due) or later.
  void Tick(Now now);
  int64_t NextDeadline() const;

  // ---- engine_views.cpp ----
  void ListSessions(std::vector<SessionId>* sessions) const;
  void ListTopics(std::vector<std::string>* keys) const;
  // Nothing, or false: it is gone.
  std::optional<SessionView> Describe(SessionId session) const;
  bool Describe(const std::string& topic_key, ViewRows* rows) const;
  void ListSubscribers(SessionId session, std::vector<Subscriber>* subscribers) const;
  // Says goodbye to one client as DrainAll does to all. False: there is none.
  bool Disconnect(SessionId session);
  const Traffic& traffic() const;

  size_t session_count() const;
  size_t channel_count() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace realtime

#endif  // REALTIME_CORE_ENGINE_H_
