// Random clients and a random database against the engine's invariants: no message to a session that is gone, exactly one
// answer per join unless it was overtaken, the database left with nothing, and counts that return to zero.
#include <map>
#include <random>
#include <set>

#include "core/json.h"
#include "engine_fixture.h"

namespace realtime {
namespace {

// Follows what each client may believe.
class CheckingSink : public EngineSink {
 public:
  void Send(SessionId session, SharedBytes frame) override {
    ASSERT_TRUE(open.contains(session)) << "message to a session that is gone";
    std::string text = RecordingSink::TextOf(*frame);
    Result<json::Value> parsed = json::Parse(text);
    ASSERT_TRUE(parsed.ok()) << text;
    const std::vector<json::Value>& e = parsed.value.elements;
    ASSERT_EQ(e.size(), 5u) << text;
    ASSERT_TRUE(e[4].IsObject()) << text;
    // Joins have join_ref = ref; no other request of this test does.
    if (e[3].string == "phx_reply" && e[0].IsString() && e[0].string == e[1].string) {
      ASSERT_EQ(waiting.erase({session, e[1].string}), 1u) << "a join was answered twice: " << text;
      ++answers;
    }
    if (e[3].string == "postgres_changes") {
      ASSERT_TRUE(delivering) << text;
      ++deliveries;
    }
  }

  void Close(SessionId session, CloseCode, std::string_view) override {
    ASSERT_EQ(open.erase(session), 1u);
    ForgetJoins(session);
  }

  void ToDatabase(realtime::ToDatabase message) override {
    if (auto* subscribe = std::get_if<Subscribe>(&message)) {
      ASSERT_EQ(subscribe->sequence, ++sequences[subscribe->channel]);
      known.insert(subscribe->channel);
      unanswered.push_back(*subscribe);
    } else if (auto* unsubscribe = std::get_if<Unsubscribe>(&message)) {
      ASSERT_EQ(known.erase(unsubscribe->channel), 1u) << "unsubscribed twice, or never subscribed";
    }
  }

  void Answer(CallId, RestAnswer) override { FAIL() << "an answer, and nobody called"; }

  void ForgetJoins(SessionId session) {
    std::erase_if(waiting, [&](const auto& join) { return join.first == session; });
  }

  std::set<SessionId> open;
  std::set<std::pair<SessionId, std::string>> waiting;  // joins without an answer
  std::set<ChannelId> known;                            // what the database has to remember
  std::map<ChannelId, uint32_t> sequences;
  std::vector<Subscribe> unanswered;
  bool delivering = false;
  size_t answers = 0;
  size_t deliveries = 0;
};

class Stress {
 public:
  explicit Stress(uint32_t seed) : random_(seed), engine_(MakeSettings(), &sink_) {}

  void Step() {
    now_.mono_ms += Below(50);
    now_.unix_ms += Below(50);
    if (sink_.open.empty() || Below(20) == 0) Connect();
    switch (Below(12)) {
      case 0: case 1: case 2: Join(); break;
      case 3: Leave(); break;
      case 4: Refresh(); break;
      case 5: case 6: case 7: AnswerOne(); break;
      case 8: Deliver(); break;
      case 9: if (engine_.NextDeadline() <= now_.mono_ms) engine_.Tick(now_); break;
      case 10: if (Below(8) == 0) Disconnect(); break;
      default: Noise(); break;
    }
  }

  void Finish() {
    while (!sink_.unanswered.empty()) AnswerOne();
    EXPECT_TRUE(sink_.waiting.empty()) << "a join was never answered";
    EXPECT_GT(sink_.answers, 0u);
    EXPECT_GT(sink_.deliveries, 0u);
    while (!sink_.open.empty()) Disconnect();
    EXPECT_EQ(engine_.session_count(), 0u);
    EXPECT_EQ(engine_.channel_count(), 0u);
    EXPECT_EQ(engine_.NextDeadline(), INT64_MAX);
    EXPECT_TRUE(sink_.known.empty()) << "the database was left with a channel";
  }

 private:
  static SettingsPtr MakeSettings() {
    auto settings = std::make_shared<Settings>();
    settings->tokens.secrets = {std::string(kTestSecret)};
    settings->max_connections = 8;
    settings->max_channels_per_client = 4;
    settings->idle_timeout_ms = 5000;
    return settings;
  }

  uint32_t Below(uint32_t n) { return random_() % n; }
  SessionId Anyone() {
    auto it = sink_.open.begin();
    std::advance(it, Below(static_cast<uint32_t>(sink_.open.size())));
    return *it;
  }
  std::string Topic() { return "realtime:room" + std::to_string(Below(6)); }
  std::string NewToken() { return TokenFor("anon", now_.unix_ms / 1000 + Below(10), std::to_string(Below(3))); }

  void Connect() {
    std::string key = TokenFor("anon", now_.unix_ms / 1000 + 60);
    std::string vsn = "2.0.0";
    ConnectRequest request;
    request.api_key = &key;
    request.vsn = &vsn;
    ConnectResult result = engine_.Connect(request, now_);
    if (result.session != 0) sink_.open.insert(result.session);
  }

  void Join() {
    SessionId session = Anyone();
    std::string topic = Topic();
    std::string ref = std::to_string(++ref_);
    std::string bindings = Below(3) == 0 ? "[]" : R"([{"event":"*","schema":"public","table":"t"}])";
    Overtake(session, topic);
    sink_.waiting.insert({session, ref});
    joins_[{session, topic}] = ref;
    Say(session, ref, ref, topic, "phx_join",
        R"({"config":{"postgres_changes":)" + bindings + R"(},"access_token":")" + NewToken() + "\"}");
  }

  // A join that is waiting is not answered once its topic is joined again or left.
  void Overtake(SessionId session, const std::string& topic) {
    auto found = joins_.find({session, topic});
    if (found != joins_.end()) sink_.waiting.erase({session, found->second});
  }

  void Leave() {
    SessionId session = Anyone();
    std::string topic = Topic();
    auto found = joins_.find({session, topic});
    std::string join_ref = found == joins_.end() ? "0" : found->second;
    Overtake(session, topic);
    Say(session, join_ref, "leave" + std::to_string(++ref_), topic, "phx_leave", "{}");
  }

  void Refresh() {
    std::string token = Below(8) == 0 ? "bad" : NewToken();
    Say(Anyone(), "x", "y", Topic(), "access_token", R"({"access_token":")" + token + "\"}");
  }

  void Noise() {
    static const char* const kNoise[] = {"", "{", "[1,2,3]", R"([null,"h","phoenix","heartbeat",{}])",
                                         R"(["a","b","realtime:room1","broadcast",{}])"};
    engine_.Receive(Anyone(), kNoise[Below(5)], Below(4) == 0, now_);
  }

  void Say(SessionId session, const std::string& join_ref, const std::string& ref, const std::string& topic,
           const std::string& event, const std::string& payload) {
    engine_.Receive(session, "[\"" + join_ref + "\",\"" + ref + "\",\"" + topic + "\",\"" + event + "\"," + payload + "]",
                    false, now_);
  }

  void AnswerOne() {
    if (sink_.unanswered.empty()) return;
    Subscribe first = sink_.unanswered.front();
    sink_.unanswered.erase(sink_.unanswered.begin());
    auto outcome = static_cast<SubscribeResult::Outcome>(std::max<int>(0, static_cast<int>(Below(6)) - 3));
    // Refused or failed at first leaves the database with nothing, unless the identity was replaced meanwhile.
    if (outcome != SubscribeResult::Outcome::kLive && first.sequence == 1 && sink_.sequences[first.channel] == 1) {
      sink_.known.erase(first.channel);
    }
    engine_.FromDatabase(SubscribeResult{first.channel, first.sequence, outcome, "because"}, now_);
  }

  void Deliver() {
    std::vector<TargetList> lists;
    for (uint32_t i = Below(4); i > 0; --i) {
      auto targets = std::make_shared<std::vector<Target>>();
      for (const auto& [channel, sequence] : sink_.sequences) {
        if (Below(4) == 0) targets->push_back({channel, 1 + Below(3)});
      }
      lists.push_back(targets);
    }
    sink_.delivering = true;
    Delivery delivery{std::make_shared<const std::string>("{}"), ChangeKind::kUpdate, lists};
    engine_.FromDatabase(delivery);
    std::vector<SessionId> sessions;
    engine_.SessionsOf(delivery, &sessions);
    for (SessionId session : sessions) EXPECT_TRUE(sink_.open.contains(session));
    sink_.delivering = false;
  }

  void Disconnect() {
    SessionId session = Anyone();
    sink_.open.erase(session);
    sink_.ForgetJoins(session);
    engine_.Disconnected(session);
  }

  std::mt19937 random_;
  CheckingSink sink_;
  Engine engine_;
  Now now_{kStartS * 1000, 1};
  uint64_t ref_ = 0;
  std::map<std::pair<SessionId, std::string>, std::string> joins_;
};

TEST(EngineStress, InvariantsHold) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Stress stress(seed);
    for (int step = 0; step < 2000 && !::testing::Test::HasFatalFailure(); ++step) stress.Step();
    stress.Finish();
  }
}

}  // namespace
}  // namespace realtime
