// What the engine's tests share: an engine on a recording sink, a clock that stands still, and a client's vocabulary.
#ifndef REALTIME_TEST_UNIT_ENGINE_FIXTURE_H_
#define REALTIME_TEST_UNIT_ENGINE_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/engine.h"
#include "core/join.h"
#include "recording_sink.h"
#include "test_token.h"

namespace realtime {

using Texts = std::vector<std::string>;

inline constexpr int64_t kStartS = 1700000000;

class EngineTest : public ::testing::Test {
 protected:
  EngineTest() { engine_ = std::make_unique<Engine>(Share(), &sink_); }

  SettingsPtr Share() const { return std::make_shared<const Settings>(settings_); }
  void Restart() { engine_ = std::make_unique<Engine>(Share(), &sink_); }

  static Settings TestSettings() {
    Settings settings;
    settings.serving = true;
    settings.tokens.secrets = {std::string(kTestSecret)};
    return settings;
  }

  ConnectResult Handshake(const std::string* key, const std::string* vsn) {
    ConnectRequest request;
    request.api_key = key;
    request.vsn = vsn;
    request.headers_json = R"({"x-test":"1"})";
    request.peer = "192.0.2.7";
    return engine_->Connect(request, now_);
  }
  SessionId Connect(std::string vsn = "2.0.0") {
    ConnectResult result = Handshake(&token_, &vsn);
    EXPECT_NE(result.session, 0u) << result.error;
    return result.session;
  }

  Texts Say(SessionId session, std::string_view message) {
    engine_->Receive(session, message, false, now_);
    return sink_.TakeTexts(session);
  }

  void Advance(int64_t ms) {
    now_.unix_ms += ms;
    now_.mono_ms += ms;
    engine_->Tick(now_);
  }

  static std::string JoinText(std::string_view ref, std::string_view topic, std::string_view bindings = "[]",
                              std::string_view more = "") {
    std::string r(ref);
    return "[\"" + r + "\",\"" + r + "\",\"" + std::string(topic) + R"(","phx_join",{"config":{"postgres_changes":)" +
           std::string(bindings) + "}" + std::string(more) + "}]";
  }

  static std::string Echo(std::string_view bindings) {
    std::string payload = R"({"config":{"postgres_changes":)" + std::string(bindings) + "}}";
    Result<JoinRequest> request = ParseJoin("any", payload, 64);
    EXPECT_TRUE(request.ok());
    return request.value.bindings_echo;
  }

  Subscribe TakeSubscribe() {
    std::vector<Subscribe> taken = sink_.Take<Subscribe>();
    EXPECT_EQ(taken.size(), 1u);
    return taken.empty() ? Subscribe() : taken[0];
  }

  void Answer(const Subscribe& to, SubscribeResult::Outcome outcome, std::string message = "") {
    engine_->FromDatabase(SubscribeResult{to.channel, to.sequence, outcome, std::move(message)}, now_);
  }

  // Joins with one binding that the database serves; returns what it was asked.
  Subscribe JoinLive(SessionId session, std::string_view ref, std::string_view topic) {
    engine_->Receive(session, JoinText(ref, topic, kTodos), false, now_);
    Subscribe subscribe = TakeSubscribe();
    Answer(subscribe, SubscribeResult::Outcome::kLive);
    sink_.TakeTexts(session);
    return subscribe;
  }

  static constexpr std::string_view kTodos = R"([{"event":"*","schema":"public","table":"todos"}])";
  static constexpr std::string_view kBadFilter =
      R"([{"event":"*","schema":"public","table":"todos","filter":"id=foo.hey"}])";

  Settings settings_ = TestSettings();
  RecordingSink sink_;
  Now now_{kStartS * 1000, 5000};
  std::string token_ = TokenFor("anon", kStartS + 3600);
  std::unique_ptr<Engine> engine_;
};

}  // namespace realtime

#endif  // REALTIME_TEST_UNIT_ENGINE_FIXTURE_H_
