// Handshakes, heartbeats, unmatched topics, malformed messages, idle and oversize sockets, drain.
#include "engine_fixture.h"

namespace realtime {
namespace {

TEST_F(EngineTest, HandshakeChecksVersionFirst) {
  std::string vsn = "3.0.0";
  ConnectResult result = Handshake(nullptr, &vsn);
  EXPECT_EQ(result.session, 0u);
  EXPECT_EQ(result.http_status, 403);
  EXPECT_EQ(result.error, "");
}

TEST_F(EngineTest, HandshakeNeedsAKey) {
  ConnectResult result = Handshake(nullptr, nullptr);
  EXPECT_EQ(result.http_status, 401);
  EXPECT_EQ(result.error, "API key is missing");
}

TEST_F(EngineTest, HandshakeRefusesBadTokens) {
  std::string expired = TokenFor("anon", kStartS - 3);
  EXPECT_EQ(Handshake(&expired, nullptr).error, "Token has expired");
  EXPECT_EQ(Handshake(&expired, nullptr).http_status, 401);
  std::string no_role = SignToken(R"({"exp":1800000000})");
  EXPECT_EQ(Handshake(&no_role, nullptr).error, "Fields `role` and `exp` are required in JWT");
  std::string garbage = "garbage";
  EXPECT_EQ(Handshake(&garbage, nullptr).error, "The token provided is not a valid JWT");
  std::string forged = SignToken(R"({"role":"anon","exp":1800000000})", "another secret");
  EXPECT_EQ(Handshake(&forged, nullptr).error, "Failed to validate JWT signature");
  std::string endless = token_ + std::string(100000, ' ');
  EXPECT_EQ(Handshake(&endless, nullptr).error, "The token provided is not a valid JWT");
  EXPECT_EQ(engine_->session_count(), 0u);
}

TEST_F(EngineTest, HandshakeWithoutSecretsRefusesEverybody) {
  settings_.tokens.secrets.clear();
  Restart();
  EXPECT_EQ(Handshake(&token_, nullptr).http_status, 401);
}

TEST_F(EngineTest, HandshakeCountsConnectionsAfterTheToken) {
  settings_.max_connections = 1;
  Restart();
  SessionId first = Connect();
  ConnectResult result = Handshake(&token_, nullptr);
  EXPECT_EQ(result.session, 0u);
  EXPECT_EQ(result.http_status, 429);
  EXPECT_EQ(result.error, "Too many connected users");
  std::string garbage = "garbage";
  EXPECT_EQ(Handshake(&garbage, nullptr).http_status, 401);
  engine_->Disconnected(first);
  EXPECT_NE(Handshake(&token_, nullptr).session, 0u);
}

TEST_F(EngineTest, NothingIsSentBeforeTheClientSpeaks) {
  SessionId session = Connect();
  EXPECT_EQ(sink_.TakeTexts(session), Texts());
  EXPECT_TRUE(sink_.to_database.empty());
}

TEST_F(EngineTest, HeartbeatVersion2) {
  EXPECT_EQ(Say(Connect(), R"([null,"26","phoenix","heartbeat",{}])"),
            Texts{R"([null,"26","phoenix","phx_reply",{"status":"ok","response":{}}])"});
}

TEST_F(EngineTest, HeartbeatVersion1) {
  EXPECT_EQ(Say(Connect("1.0.0"), R"({"topic":"phoenix","event":"heartbeat","payload":{},"ref":"26"})"),
            Texts{R"({"event":"phx_reply","payload":{"status":"ok","response":{}},"ref":"26","topic":"phoenix"})"});
}

TEST_F(EngineTest, UnmatchedTopics) {
  SessionId session = Connect();
  auto unmatched = [](std::string topic) {
    return Texts{R"([null,"7",")" + topic + R"(","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}])"};
  };
  EXPECT_EQ(Say(session, R"(["1","7","other:x","phx_join",{}])"), unmatched("other:x"));
  EXPECT_EQ(Say(session, R"(["1","7","realtime:room","broadcast",{}])"), unmatched("realtime:room"));
  EXPECT_EQ(Say(session, R"([null,"7","phoenix","other",{}])"), unmatched("phoenix"));
  EXPECT_EQ(Say(session, R"([null,"7","realtime:room","access_token",{"access_token":"x"}])"),
            unmatched("realtime:room"));
}

TEST_F(EngineTest, UnmatchedBinaryTopic) {
  SessionId session = Connect();
  std::string push{3, 1, 1, 1, 1, 0, 1};
  engine_->Receive(session, push + "17te{}", true, now_);
  EXPECT_EQ(sink_.TakeTexts(session),
            Texts{R"([null,"7","t","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}])"});
}

TEST_F(EngineTest, MalformedMessagesAreDroppedAndLogged) {
  SessionId session = Connect();
  EXPECT_EQ(Say(session, "{"), Texts());
  std::vector<LogLine> lines = sink_.Take<LogLine>();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].level, LogLevel::kDebug);
  EXPECT_TRUE(lines[0].message.starts_with("dropped a message from 192.0.2.7: ")) << lines[0].message;
  engine_->Receive(session, "\x07", true, now_);
  EXPECT_TRUE(sink_.Take<LogLine>().empty()) << "a flood must not become a flood of log lines";
  Advance(1000);
  Say(session, R"(["1","2","t"])");
  EXPECT_EQ(sink_.Take<LogLine>().size(), 1u);
  EXPECT_EQ(Say(session, R"([null,"1","phoenix","heartbeat",{}])").size(), 1u);
  EXPECT_TRUE(sink_.closed.empty());
}

TEST_F(EngineTest, IdleSessionsAreClosed) {
  SessionId quiet = Connect();
  SessionId pinging = Connect();
  SessionId talking = Connect();
  EXPECT_EQ(engine_->NextDeadline(), now_.mono_ms + 60000);
  Advance(30000);
  engine_->Alive(pinging, now_);
  Say(talking, "{");
  Advance(29999);
  EXPECT_TRUE(sink_.closed.empty());
  Advance(1);
  ASSERT_EQ(sink_.closed.size(), 1u);
  EXPECT_EQ(sink_.closed[0].session, quiet);
  EXPECT_EQ(sink_.closed[0].code, CloseCode::kNormal);
  EXPECT_EQ(engine_->NextDeadline(), now_.mono_ms + 30000);
  Advance(30000);
  EXPECT_EQ(sink_.closed.size(), 3u);
  EXPECT_EQ(engine_->session_count(), 0u);
  EXPECT_EQ(engine_->NextDeadline(), INT64_MAX);
}

TEST_F(EngineTest, WhatOnlyTheSocketHasSeenIsNoSilence) {
  SessionId session = Connect();
  Advance(20000);
  sink_.received_ms[session] = now_.mono_ms;
  Advance(40000);
  EXPECT_TRUE(sink_.closed.empty());
  EXPECT_EQ(engine_->NextDeadline(), now_.mono_ms + 20000);
  Advance(20000);
  EXPECT_EQ(sink_.closed.size(), 1u);
}

TEST_F(EngineTest, ReloadedIdleTimeoutAppliesToOldSessions) {
  Connect();
  settings_.idle_timeout_ms = 1000;
  engine_->Reload(Share(), now_);
  EXPECT_EQ(engine_->NextDeadline(), now_.mono_ms + 1000);
}

TEST_F(EngineTest, OversizeMessageClosesWith1009) {
  SessionId session = Connect();
  Subscribe subscribe = JoinLive(session, "1", "realtime:room");
  engine_->Oversize(session, now_);
  ASSERT_EQ(sink_.closed.size(), 1u);
  EXPECT_EQ(sink_.closed[0].code, CloseCode::kTooBig);
  EXPECT_EQ(sink_.Take<Unsubscribe>().size(), 1u);
  engine_->Disconnected(session);
  engine_->Oversize(session, now_);
  EXPECT_EQ(sink_.closed.size(), 1u);
  EXPECT_EQ(engine_->channel_count(), 0u);
}

TEST_F(EngineTest, SlowClientIsCutWithALoggedReason) {
  SessionId session = Connect();
  engine_->CutSlow(session, "17 MB queued");
  ASSERT_EQ(sink_.closed.size(), 1u);
  EXPECT_EQ(sink_.closed[0].code, CloseCode::kPolicyViolation);
  std::vector<LogLine> lines = sink_.Take<LogLine>();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].message, "closed the slow client 192.0.2.7: 17 MB queued");
  EXPECT_NE(lines[0].hint, "");
}

TEST_F(EngineTest, DrainTellsEveryTopicThenCloses) {
  SessionId session = Connect();
  JoinLive(session, "1", "realtime:room");
  Say(session, JoinText("2", "realtime:waiting", kTodos));
  SessionId old = Connect("1.0.0");
  Say(old, R"({"topic":"realtime:old","event":"phx_join","payload":{"config":{}},"ref":"1"})");
  engine_->DrainAll();
  Texts texts = sink_.TakeTexts(session);
  std::sort(texts.begin(), texts.end());
  EXPECT_EQ(texts, (Texts{
      R"(["2","2","realtime:waiting","phx_reply",{"status":"error","response":{"reason":"RealtimeRestarting: Realtime is restarting, please standby"}}])",
      R"([null,null,"realtime:room","system",{"message":"Server requested disconnect","status":"ok","extension":"system"}])"}));
  EXPECT_EQ(sink_.TakeTexts(old), Texts{
      R"({"event":"system","payload":{"message":"Server requested disconnect","status":"ok","extension":"system"},"ref":null,"topic":"realtime:old"})"});
  ASSERT_EQ(sink_.closed.size(), 2u);
  EXPECT_EQ(sink_.closed[0].code, CloseCode::kServiceRestart);
  EXPECT_EQ(sink_.Take<Unsubscribe>().size(), 2u);
  EXPECT_EQ(engine_->session_count(), 0u);
  EXPECT_EQ(engine_->NextDeadline(), INT64_MAX);
}

TEST_F(EngineTest, ADrainBitByBitLeavesTheOthersInTouchButLetsNobodyJoin) {
  std::vector<SessionId> sessions;
  for (int i = 0; i < 5; ++i) {
    sessions.push_back(Connect());
    Say(sessions.back(), JoinText("1", "realtime:room"));
  }
  engine_->BeginDrain();
  EXPECT_TRUE(sink_.closed.empty());
  engine_->DrainSome(2);
  EXPECT_EQ(sink_.closed.size(), 2u);
  EXPECT_EQ(engine_->session_count(), 3u);
  auto is_closed = [&](SessionId id) {
    return std::any_of(sink_.closed.begin(), sink_.closed.end(), [&](const auto& closed) { return closed.session == id; });
  };
  SessionId left = *std::find_if_not(sessions.begin(), sessions.end(), is_closed);
  EXPECT_EQ(Say(left, R"([null,"7","phoenix","heartbeat",{}])"),
            Texts{R"([null,"7","phoenix","phx_reply",{"status":"ok","response":{}}])"});
  EXPECT_EQ(Say(left, JoinText("8", "realtime:other")), Texts{
      R"(["8","8","realtime:other","phx_reply",{"status":"error","response":{"reason":"RealtimeRestarting: Realtime is restarting, please standby"}}])"});
  engine_->DrainSome(100);
  EXPECT_EQ(sink_.closed.size(), 5u);
  EXPECT_EQ(sink_.TakeTexts(left), Texts{
      R"([null,null,"realtime:room","system",{"message":"Server requested disconnect","status":"ok","extension":"system"}])"});
}

TEST_F(EngineTest, UnknownSessionsAreIgnored) {
  engine_->Receive(99, R"([null,"26","phoenix","heartbeat",{}])", false, now_);
  engine_->Alive(99, now_);
  engine_->CutSlow(99, "why");
  engine_->Disconnected(99);
  EXPECT_TRUE(sink_.frames.empty());
  EXPECT_TRUE(sink_.closed.empty());
  EXPECT_TRUE(sink_.to_database.empty());
}

}  // namespace
}  // namespace realtime
