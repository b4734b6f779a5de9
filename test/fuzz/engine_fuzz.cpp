// Fuzzes the engine as a whole. The input is a program: each step is an operation byte, a session byte and, where the
// operation takes text, a length byte pair and the text. "@T" in a text becomes a valid token, so that joins get far.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/engine.h"

namespace {

using namespace realtime;  // NOLINT: a program of one file

// {"role":"anon","exp":4102444800} signed with HS256 and kSecret.
constexpr const char* kSecret = "fuzz-secret-fuzz-secret-fuzz-secret";
constexpr const char* kToken =
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJyb2xlIjoiYW5vbiIsImV4c"
    "CI6NDEwMjQ0NDgwMH0.9lEK0alDI5EntDL-2ojIhsHhvydXdghZlFlF6oP9lGU";

void Check(bool condition) {
  if (!condition) std::abort();
}

class FuzzSink : public EngineSink {
 public:
  void Send(SessionId session, SharedBytes frame) override {
    Check(open.contains(session));
    Check(frame != nullptr && frame->size() >= 2 && (*frame)[0] == '\x81');
  }
  void Close(SessionId session, CloseCode, std::string_view) override { Check(open.erase(session) == 1); }
  void ToDatabase(realtime::ToDatabase message) override {
    if (auto* subscribe = std::get_if<Subscribe>(&message)) {
      Check(subscribe->identity != nullptr && !subscribe->bindings.empty());
      known.insert(subscribe->channel);
      asked.push_back({subscribe->channel, subscribe->sequence, SubscribeResult::Outcome::kLive, "no"});
    } else if (auto* unsubscribe = std::get_if<Unsubscribe>(&message)) {
      known.erase(unsubscribe->channel);
    }
  }

  std::set<SessionId> open;
  std::set<ChannelId> known;
  std::vector<SubscribeResult> asked;
};

class Program {
 public:
  explicit Program(std::string_view bytes) : reader_(bytes), engine_(MakeSettings(), &sink_) {}

  void Run() {
    Connect(0);
    Connect(1);
    while (!reader_.AtEnd()) Step();
    for (SessionId session : std::set<SessionId>(sink_.open)) {
      sink_.open.erase(session);
      engine_.Disconnected(session);
    }
    Check(engine_.session_count() == 0);
    Check(engine_.channel_count() == 0);
    Check(engine_.NextDeadline() == INT64_MAX);
  }

 private:
  static SettingsPtr MakeSettings() {
    auto settings = std::make_shared<Settings>();
    settings->jwt_secrets = {kSecret};
    settings->max_connections = 4;
    settings->max_channels_per_client = 3;
    return settings;
  }

  void Step() {
    uint8_t operation = reader_.U8();
    uint8_t who = reader_.U8();
    switch (operation % 12) {
      case 0: Connect(who); break;
      case 1: case 2: case 3: case 4: engine_.Receive(Session(who), Text(), false, now_); break;
      case 5: engine_.Receive(Session(who), Text(), true, now_); break;
      case 6: Answer(who); break;
      case 7: Deliver(who); break;
      case 8: Tick(who); break;
      case 9: Disconnect(who); break;
      case 10: engine_.FromDatabase(SystemNotice{(who & 1) != 0, Text()}); break;
      default: Rare(who); break;
    }
  }

  SessionId Session(uint8_t who) const { return 1 + who % 8; }

  std::string Text() {
    uint16_t size = reader_.U16();
    std::string text(reader_.Take(std::min<size_t>(size, reader_.remaining())));
    for (size_t at = text.find("@T"); at != std::string::npos; at = text.find("@T", at)) text.replace(at, 2, kToken);
    return text;
  }

  void Connect(uint8_t who) {
    std::string key = kToken;
    std::string vsn = (who & 1) != 0 ? "1.0.0" : "2.0.0";
    ConnectRequest request;
    request.api_key = &key;
    request.vsn = &vsn;
    ConnectResult result = engine_.Connect(request, now_);
    if (result.session != 0) sink_.open.insert(result.session);
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
    engine_.FromDatabase(delivery);
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
      default: engine_.Alive(Session(who), now_); break;
    }
  }

  ByteReader reader_;
  FuzzSink sink_;
  Engine engine_;
  Now now_{1700000000000, 1};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Program(std::string_view(reinterpret_cast<const char*>(data), size)).Run();
  return 0;
}
