// Fuzzes the engine as a whole. The input is a program: each step is an operation byte, a session byte and, where the
// operation takes text, a length byte pair and the text. "@T" in a text becomes a valid token, so that joins get far, "@U"
// one of another user and "@X" one that expires soon.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/engine.h"
#include "unit/test_token.h"

namespace {

using namespace realtime;  // NOLINT: a program of one file

constexpr int64_t kStartMs = 1700000000000;
constexpr int64_t kNever = 4102444800;  // as a token's exp

const std::string& TokenOf(char letter) {
  static const std::map<char, std::string> tokens = {{'T', TokenFor("anon", kNever)},
                                                     {'U', TokenFor("authenticated", kNever, "u")},
                                                     {'X', TokenFor("anon", kStartMs / 1000 + 30)}};
  return tokens.at(letter);
}

void Check(bool condition) {
  if (!condition) std::abort();
}

class FuzzSink : public EngineSink {
 public:
  void Send(SessionId session, SharedBytes frame) override {
    Check(open.contains(session));
    Check(frame != nullptr && frame->size() >= 2);
    bool is_binary = (*frame)[0] == '\x82';
    Check(is_binary ? open.at(session) == Vsn::kV2 : (*frame)[0] == '\x81');
  }
  void Close(SessionId session, CloseCode, std::string_view) override { Check(open.erase(session) == 1); }
  void ToDatabase(realtime::ToDatabase message) override {
    if (auto* subscribe = std::get_if<Subscribe>(&message)) {
      Check(subscribe->identity != nullptr && !subscribe->bindings.empty());
      known.insert(subscribe->channel);
      asked.push_back({subscribe->channel, subscribe->sequence, SubscribeResult::Outcome::kLive, "no"});
    } else if (auto* unsubscribe = std::get_if<Unsubscribe>(&message)) {
      known.erase(unsubscribe->channel);
    } else if (auto* check = std::get_if<CheckRights>(&message)) {
      Check(check->identity != nullptr && !check->topics.empty());
      checks.push_back(*check);
    } else if (auto* store = std::get_if<Store>(&message)) {
      Check(store->identity != nullptr && store->message != nullptr && store->ttl_s >= 0);
      Check(!store->store || store->message->is_private);
      stores.push_back(*store);
    } else if (auto* listening_now = std::get_if<Listening>(&message)) {
      Check(listening_now->any != listening);
      listening = listening_now->any;
    }
  }
  void Answer(CallId call, RestAnswer answer) override {
    Check(calls.erase(call) == 1);
    Check(answer.status >= 200 && answer.status < 600);
  }
  void SlowDown(SessionId session, int64_t ms, Now) override { Check(open.contains(session) && ms > 0); }

  std::map<SessionId, Vsn> open;
  std::set<ChannelId> known;
  std::vector<SubscribeResult> asked;
  std::vector<CheckRights> checks;
  std::deque<Store> stores;  // answered in order
  std::set<CallId> calls;    // that have no answer yet
  bool listening = false;
};

// What takes a fuzzer long to find: one message for each branch.
constexpr const char* kMessages[] = {
    R"(["1","1","realtime:room","phx_join",{"config":{"broadcast":{"ack":true,"self":true},"presence":{"enabled":true,"key":"k"}},"access_token":"@T"}])",
    R"(["1","1","realtime:room","phx_join",{"config":{"private":true,"broadcast":{"ack":true,"replay":{"since":1,"limit":2}},"presence":{"enabled":true}}}])",
    R"(["1","1","realtime:room","phx_join",{"config":{"private":true,"broadcast":{"replication_ready":true},"postgres_changes":[{"schema":"public"}],"postgres_changes_options":{"wait":true}}}])",
    R"(["1","2","realtime:room","broadcast",{"type":"broadcast","event":"e","payload":{}}])",
    R"(["1","3","realtime:room","presence",{"type":"presence","event":"track","payload":{"a":1}}])",
    R"(["1","4","realtime:room","presence",{"type":"presence","event":"track","payload":{"a":2}}])",
    R"(["1","5","realtime:room","presence",{"type":"presence","event":"untrack"}])",
    R"(["1","6","realtime:room","phx_leave",{}])",
    R"({"topic":"realtime:room","event":"phx_join","payload":{"config":{"presence":{"key":"k","enabled":true}}},"ref":"1"})",
    R"({"topic":"realtime:room","event":"broadcast","payload":{"event":"e"},"ref":"2"})",
    R"({"topic":"realtime:room","event":"presence","payload":{"event":"track","payload":{}},"ref":"3"})",
    R"(["1","7","realtime:room","access_token",{"access_token":"@U"}])",
    R"(["1","7","realtime:room","access_token",{"access_token":"@X"}])",
    R"(["1","7","realtime:room","access_token",{"access_token":"a.b.c"}])",
    R"({"topic":"realtime:room","event":"access_token","payload":{"access_token":"@U"},"ref":"4"})",
    R"(["1","1","realtime:room","phx_join",{"config":{"postgres_changes":[{"schema":"public"}]},"access_token":"@X"}])",
    R"(["1","1","realtime:room","phx_join",{"config":{"private":true},"access_token":"@X"}])",
    R"(["2","2","realtime:another","phx_join",{"config":{"private":true,"presence":{"enabled":true}},"access_token":"@U"}])",
    R"(["2","3","realtime:another","presence",{"type":"presence","event":"track","payload":{}}])",
    R"([null,"9","phoenix","heartbeat",{}])",
};

class Program {
 public:
  explicit Program(std::string_view bytes) : reader_(bytes), engine_(MakeSettings(), &sink_) {}

  void Run() {
    Connect(0);
    Connect(1);
    while (!reader_.AtEnd()) Step();
    for (const auto& [session, vsn] : std::map<SessionId, Vsn>(sink_.open)) {
      sink_.open.erase(session);
      engine_.Disconnected(session);
    }
    engine_.DrainAll();
    now_.mono_ms += 100;  // a diff of presences was still to be made, of a room that is gone
    engine_.Tick(now_);
    Check(sink_.calls.empty());
    Check(!sink_.listening);
    Check(engine_.session_count() == 0);
    Check(engine_.channel_count() == 0);
    Check(engine_.NextDeadline() == INT64_MAX);
  }

 private:
  // Each bit of `how` is a DBA's whim.
  static SettingsPtr MakeSettings(uint8_t how = 0) {
    auto settings = std::make_shared<Settings>();
    settings->tokens.secrets = {std::string((how & 1) != 0 ? "another secret" : kTestSecret)};
    settings->max_connections = (how & 2) != 0 ? 200 : 4;
    settings->max_channels_per_client = 3;
    settings->max_payload_size = 200;
    settings->events = Rate{10, 1000, 5};
    settings->private_only = (how & 4) != 0;
    settings->no_channel_timeout_ms = (how & 8) != 0 ? 0 : 1000;
    if ((how & 16) != 0) settings->joins = settings->presence_events = Rate{2, 1000, 2};
    if ((how & 32) != 0) settings->max_mailbox = 2000;
    if ((how & 64) != 0) settings->idle_timeout_ms = 100;
    return settings;
  }

  void Step() {
    uint8_t operation = reader_.U8();
    uint8_t who = reader_.U8();
    switch (operation % 18) {
      case 0: Connect(who); break;
      case 1: case 2: case 3: case 4: engine_.Receive(Session(who), Text(), false, now_); break;
      case 5: engine_.Receive(Session(who), Text(), true, now_); break;
      case 6: Answer(who); break;
      case 7: Deliver(who); break;
      case 8: Tick(who); break;
      case 9: Disconnect(who); break;
      case 10: engine_.FromDatabase(SystemNotice{(who & 1) != 0, Text()}); break;
      case 11: Rare(who); break;
      case 12: engine_.Receive(Session(who), WithTokens(kMessages[(who / 8) % std::size(kMessages)]), false, now_); break;
      case 13: engine_.Receive(Session(who), Push(who / 8), true, now_); break;
      case 14: AnswerRights(who); break;
      case 15: AnswerStore(who); break;
      case 16: FromSql(who); break;
      default: Call(who); break;
    }
  }

  SessionId Session(uint8_t who) const { return 1 + who % 8; }

  std::string Text() {
    uint16_t size = reader_.U16();
    return WithTokens(reader_.Take(std::min<size_t>(size, reader_.remaining())));
  }

  static std::string WithTokens(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      const char next = i + 1 < text.size() ? text[i + 1] : ' ';
      if (text[i] == '@' && (next == 'T' || next == 'U' || next == 'X')) {
        out += TokenOf(next);
        ++i;
      } else {
        out.push_back(text[i]);
      }
    }
    return out;
  }

  SessionId Connect(uint8_t who) {
    std::string key = TokenOf('T');
    std::string vsn = (who & 1) != 0 ? "1.0.0" : "2.0.0";
    ConnectRequest request;
    request.api_key = &key;
    request.vsn = &vsn;
    ConnectResult result = engine_.Connect(request, now_);
    if (result.session != 0) sink_.open.emplace(result.session, (who & 1) != 0 ? Vsn::kV1 : Vsn::kV2);
    return result.session;
  }

  // A broadcast as a binary frame: JSON or bytes, now and then to be stored.
  std::string Push(uint8_t how) {
    std::string topic = "realtime:room";
    std::string metadata = (how & 2) != 0 ? R"({"persist":{"ttl":5}})" : "";
    std::string frame = {'\x03', 1, 1, static_cast<char>(topic.size()), 1, static_cast<char>(metadata.size()),
                         static_cast<char>(how & 1)};
    return frame + "19" + topic + "e" + metadata + ((how & 4) != 0 ? "{}" : Text());
  }

  BroadcastPtr Message(uint8_t how) {
    auto message = std::make_shared<Broadcast>();
    message->topic = "room";
    message->is_private = (how & 1) != 0;
    message->form = (how & 2) != 0 ? Broadcast::Form::kBinary : Broadcast::Form::kJson;
    message->event = std::string((how & 4) != 0 ? 300 : 3, 'e');
    message->payload = std::make_shared<const std::string>("{}");
    message->id = std::to_string(how >> 4);
    return message;
  }

  void AnswerRights(uint8_t who) {
    if (sink_.checks.empty()) return;
    CheckRights check = sink_.checks[who % sink_.checks.size()];
    uint8_t how = reader_.U8();
    RightsResult result;
    result.channel = check.channel;
    result.sequence = check.sequence;
    if (how >= 0xF0) {
      result.error = "QueryCanceled: no";
    } else {
      Rights rights{(how & 1) == 0, (how & 2) == 0, (how & 4) == 0, (how & 8) == 0};
      result.granted.assign(check.topics.size(), rights);
    }
    if (check.replay) {
      if ((how & 0x10) != 0) result.replay_error = "UnableToReplayMessages: no";
      for (int i = 0; i < (how >> 5); ++i) {
        auto message = std::make_shared<Broadcast>(*Message(reader_.U8()));
        message->replayed = true;
        result.replayed.push_back(std::move(message));
      }
    }
    engine_.FromDatabase(result, now_);
  }

  void AnswerStore(uint8_t how) {
    if (sink_.stores.empty()) return;
    Store store = sink_.stores.front();
    sink_.stores.pop_front();
    Stored stored{store.channel, store.message, store.ref, (how & 1) != 0 ? "no" : "", (how & 2) != 0, store.needs_right};
    if (store.store) {
      auto message = std::make_shared<Broadcast>(*store.message);
      message->id = std::to_string(how >> 4);
      stored.message = std::move(message);
    }
    engine_.FromDatabase(stored);
  }

  void Call(uint8_t how) {
    RestCall call;
    call.path = (how & 1) != 0 ? "/api/broadcast" : "/realtime/v1/api/broadcast/room/events/e";
    call.query = (how & 2) != 0 ? "private=true&persist=true" : "apikey=x";
    call.api_key = TokenOf('T');
    call.content_type = (how & 4) != 0 ? "application/octet-stream" : "application/json";
    call.body = (how & 8) != 0 ? R"({"messages":[{"topic":"room","event":"e","payload":{},"private":true}]})" : Text();
    const bool known = engine_.Knows(call, now_);
    sink_.calls.insert(++last_call_);
    engine_.Call(last_call_, std::move(call), now_);
    Check(known || !sink_.calls.contains(last_call_));  // whom it does not know waits for nothing
  }

  void Answer(uint8_t who) {
    if (sink_.asked.empty()) return;
    SubscribeResult result = sink_.asked[who % sink_.asked.size()];
    result.outcome = static_cast<SubscribeResult::Outcome>((who >> 4) % 3);
    engine_.FromDatabase(result, now_);
  }

  void Deliver(uint8_t who) {
    Delivery delivery;
    delivery.data = std::make_shared<const std::string>("{}");
    delivery.kind = static_cast<ChangeKind>(who % 3);
    for (int i = 0; i < 1 + who % 2; ++i) {
      auto targets = std::make_shared<std::vector<Target>>();
      for (const SubscribeResult& result : sink_.asked) targets->push_back({result.channel, reader_.U8()});
      std::sort(targets->begin(), targets->end(), [](auto& a, auto& b) { return a.channel < b.channel; });
      delivery.targets.push_back(std::move(targets));
    }
    std::vector<SessionId> sessions;
    engine_.SessionsOf(delivery, &sessions);
    for (SessionId session : sessions) Check(sink_.open.contains(session));
    for (int step = 0; step < Engine::kForeseeSteps; ++step) engine_.Foresee(delivery, step);
    // In parts when the clients may have gone in between.
    const bool pauses = (who & 64) != 0;
    size_t at = 0;
    while ((at = engine_.HandOut(delivery, at, [pauses] { return pauses; })) != Engine::kAll) {
      if ((who & 128) != 0) Disconnect(reader_.U8());
    }
  }

  void FromSql(uint8_t who) {
    DatabaseBroadcast broadcast{Message(who)};
    std::vector<SessionId> sessions;
    engine_.SessionsOf(broadcast, &sessions);
    for (SessionId session : sessions) Check(sink_.open.contains(session));
    engine_.FromDatabase(broadcast);
  }

  // Enough for a room whose diffs are merged.
  void Crowd() {
    if (crowded_) return;
    crowded_ = true;
    engine_.Reload(MakeSettings(2), now_);
    for (int i = 0; i < 110; ++i) {
      const SessionId session = Connect(0);
      if (session == 0) continue;
      engine_.Receive(session, WithTokens(kMessages[0]), false, now_);
      engine_.Receive(session, kMessages[4], false, now_);
    }
  }

  // What the views show is what there is.
  void Look() {
    std::vector<SessionId> sessions;
    engine_.ListSessions(&sessions);
    Check(sessions.size() == sink_.open.size() && sessions.size() == engine_.session_count());
    size_t channels = 0;
    for (SessionId session : sessions) {
      Check(sink_.open.contains(session));
      channels += engine_.Describe(session)->channels;
      std::vector<Subscriber> subscribers;
      engine_.ListSubscribers(session, &subscribers);
    }
    Check(channels == engine_.channel_count());
    std::vector<std::string> topics;
    engine_.ListTopics(&topics);
    ViewRows rows;
    for (const std::string& topic : topics) Check(engine_.Describe(topic, &rows));
    Check(rows.count() >= topics.size());
  }

  void Tick(uint8_t who) {
    int64_t ms = int64_t{who} * who * 7;
    now_.mono_ms += ms;
    now_.unix_ms += ms;
    engine_.Tick(now_);
    Check(engine_.NextDeadline() > now_.mono_ms);
  }

  void Disconnect(uint8_t who) {
    sink_.open.erase(Session(who));
    engine_.Disconnected(Session(who));
  }

  void Rare(uint8_t who) {
    switch (who % 16) {
      case 0: engine_.DrainAll(); break;
      case 1: engine_.Oversize(Session(who / 16), now_); break;
      case 2: engine_.CutSlow(Session(who / 16), "slow"); break;
      case 3: engine_.Reload(MakeSettings(), now_); break;
      case 4: engine_.FromDatabase(StreamState{(who & 16) != 0}); break;
      case 5: engine_.Reload(MakeSettings(reader_.U8()), now_); break;
      case 6: Crowd(); break;
      case 7: Look(); break;
      case 8: engine_.DropHeld(); break;
      case 9: engine_.Disconnect(Session(who / 16)); break;
      case 10: engine_.BeginDrain(); engine_.DrainSome(who / 16); break;
      default: engine_.Alive(Session(who), now_); break;
    }
  }

  ByteReader reader_;
  FuzzSink sink_;
  Engine engine_;
  Now now_{kStartMs, 1};
  bool crowded_ = false;
  CallId last_call_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Program(std::string_view(reinterpret_cast<const char*>(data), size)).Run();
  return 0;
}
