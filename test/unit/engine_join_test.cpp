// phx_join, phx_leave, re-join, and the database's answers.
#include "engine_fixture.h"

namespace realtime {
namespace {

using Outcome = SubscribeResult::Outcome;

std::string Refused(std::string_view ref, std::string_view topic, std::string_view reason) {
  std::string r(ref);
  return "[\"" + r + "\",\"" + r + "\",\"" + std::string(topic) +
         R"(","phx_reply",{"status":"error","response":{"reason":")" + std::string(reason) + "\"}}]";
}

std::string Joined(std::string_view ref, std::string_view topic, std::string_view echo = "[]") {
  std::string r(ref);
  return "[\"" + r + "\",\"" + r + "\",\"" + std::string(topic) +
         R"(","phx_reply",{"status":"ok","response":{"postgres_changes":)" + std::string(echo) + "}}]";
}

std::string Subscribed(std::string_view join_ref, std::string_view channel) {
  return "[\"" + std::string(join_ref) + R"(",null,"realtime:)" + std::string(channel) +
         R"(","system",{"message":"Subscribed to PostgreSQL","status":"ok","extension":"postgres_changes","channel":")" +
         std::string(channel) + "\"}]";
}

std::string Closed(std::string_view join_ref, std::string_view topic) {
  std::string r(join_ref);
  return "[\"" + r + "\",\"" + r + "\",\"" + std::string(topic) + R"(","phx_close",{}])";
}

TEST_F(EngineTest, JoinWithoutBindingsIsAnsweredAtOnce) {
  SessionId session = Connect();
  EXPECT_EQ(Say(session, JoinText("1", "realtime:room")), Texts{Joined("1", "realtime:room")});
  EXPECT_TRUE(sink_.to_database.empty());
  EXPECT_EQ(engine_->channel_count(), 1u);
}

TEST_F(EngineTest, JoinVersion1) {
  SessionId session = Connect("1.0.0");
  EXPECT_EQ(
      Say(session, R"({"topic":"realtime:room","event":"phx_join","payload":{"config":{"postgres_changes":[]}},"ref":"1","join_ref":"1"})"),
      Texts{R"({"event":"phx_reply","payload":{"status":"ok","response":{"postgres_changes":[]}},"ref":"1","topic":"realtime:room"})"});
}

TEST_F(EngineTest, JoinWaitsForTheDatabase) {
  SessionId session = Connect();
  EXPECT_EQ(Say(session, JoinText("1", "realtime:room", kTodos)), Texts());
  Subscribe subscribe = TakeSubscribe();
  EXPECT_NE(subscribe.channel, 0u);
  ASSERT_EQ(subscribe.bindings.size(), 1u);
  EXPECT_EQ(subscribe.bindings[0].table, "todos");
  EXPECT_EQ(subscribe.identity->role, "anon");
  EXPECT_EQ(subscribe.identity->headers, R"({"x-test":"1"})");
  EXPECT_EQ(subscribe.identity->claims, R"({"role":"anon","exp":1700003600})");
  Answer(subscribe, Outcome::kLive);
  EXPECT_EQ(sink_.TakeTexts(session), (Texts{Joined("1", "realtime:room", Echo(kTodos)), Subscribed("1", "room")}));
  Answer(subscribe, Outcome::kLive);
  EXPECT_EQ(sink_.TakeTexts(session), Texts()) << "an answer counts once";
}

TEST_F(EngineTest, PendingJoinBlocksNothing) {
  SessionId session = Connect();
  Say(session, JoinText("1", "realtime:slow", kTodos));
  EXPECT_EQ(Say(session, JoinText("2", "realtime:room")), Texts{Joined("2", "realtime:room")});
  EXPECT_EQ(Say(session, R"([null,"3","phoenix","heartbeat",{}])").size(), 1u);
}

TEST_F(EngineTest, RefusedJoinIsAnErrorReplyAndNoChannel) {
  SessionId session = Connect();
  Say(session, JoinText("1", "realtime:room", kTodos));
  Answer(TakeSubscribe(), Outcome::kRefused, "Unauthorized: \"no\"");
  EXPECT_EQ(sink_.TakeTexts(session), Texts{Refused("1", "realtime:room", R"(Unauthorized: \"no\")")});
  EXPECT_EQ(engine_->channel_count(), 0u);
  EXPECT_TRUE(sink_.to_database.empty());
}

TEST_F(EngineTest, FailedSubscriptionJoinsWithASystemError) {
  SessionId session = Connect();
  Say(session, JoinText("1", "realtime:room", kTodos));
  Subscribe subscribe = TakeSubscribe();
  Answer(subscribe, Outcome::kFailed, "Unable \xff");
  EXPECT_EQ(sink_.TakeTexts(session),
            (Texts{Joined("1", "realtime:room", Echo(kTodos)),
                   R"(["1",null,"realtime:room","system",{"message":"Unable ?","status":"error","extension":"postgres_changes","channel":"room"}])"}));
  EXPECT_EQ(engine_->channel_count(), 1u);
  auto targets = std::make_shared<const std::vector<Target>>(std::vector<Target>{{subscribe.channel, 1}});
  engine_->FromDatabase(Delivery{std::make_shared<const std::string>("{}"), ChangeKind::kInsert, {targets}});
  EXPECT_EQ(sink_.TakeTexts(session), Texts());
}

TEST_F(EngineTest, BindingErrorJoinsWithASystemErrorAndAsksNobody) {
  SessionId session = Connect();
  std::string bindings(kBadFilter);
  EXPECT_EQ(Say(session, JoinText("1", "realtime:a\\\"b", bindings)),
            (Texts{Joined("1", "realtime:a\\\"b", Echo(bindings)),
                   R"(["1",null,"realtime:a\"b","system",{"message":"Error parsing `filter` params: [\"foo\", \"hey\"]","status":"error","extension":"postgres_changes","channel":"a\"b"}])"}));
  EXPECT_TRUE(sink_.Take<Subscribe>().empty());
}

TEST_F(EngineTest, JoinErrors) {
  SessionId session = Connect();
  EXPECT_EQ(Say(session, JoinText("1", "realtime:")),
            Texts{Refused("1", "realtime:", "TopicNameRequired: You must provide a topic name")});
  std::string expired = TokenFor("anon", kStartS - 3);
  EXPECT_EQ(Say(session, JoinText("2", "realtime:r", "[]", R"(,"access_token":")" + expired + "\"")),
            Texts{Refused("2", "realtime:r", "InvalidJWTToken: Token has expired 3 seconds ago")});
  EXPECT_EQ(Say(session, JoinText("3", "realtime:r", "[]", R"(,"access_token":"x")")),
            Texts{Refused("3", "realtime:r", "MalformedJWT: The token provided is not a valid JWT")});
  Texts broken = Say(session, R"(["5","5","realtime:r","phx_join",[]])");
  ASSERT_EQ(broken.size(), 1u);
  EXPECT_EQ(broken[0], Refused("5", "realtime:r", "UnknownErrorOnChannel: The payload is not an object"));
  EXPECT_EQ(engine_->channel_count(), 0u);
}

TEST_F(EngineTest, ConnectionTokenMayExpireBeforeAJoin) {
  SessionId session = Connect();
  now_.unix_ms += 3601 * 1000;
  EXPECT_EQ(Say(session, JoinText("1", "realtime:r")),
            Texts{Refused("1", "realtime:r", "InvalidJWTToken: Token has expired 1 seconds ago")});
}

TEST_F(EngineTest, ChannelLimitCountsThisConnection) {
  settings_.max_channels_per_client = 2;
  Restart();
  SessionId session = Connect();
  Say(session, JoinText("1", "realtime:a", kTodos));
  Say(session, JoinText("2", "realtime:b"));
  EXPECT_EQ(Say(session, JoinText("3", "realtime:c")),
            Texts{Refused("3", "realtime:c", "ChannelRateLimitReached: Too many channels")});
  EXPECT_EQ(Say(Connect(), JoinText("3", "realtime:c")), Texts{Joined("3", "realtime:c")});
  Say(session, R"(["2","4","realtime:b","phx_leave",{}])");
  EXPECT_EQ(Say(session, JoinText("5", "realtime:c")), Texts{Joined("5", "realtime:c")});
}

TEST_F(EngineTest, JoinsOfOneConnectionAreBoundedInBytes) {
  SessionId session = Connect();
  std::string padding = R"(,"x":")" + std::string(3u << 20, 'x') + "\"";
  EXPECT_EQ(Say(session, JoinText("1", "realtime:a", "[]", padding)), Texts{Joined("1", "realtime:a")});
  EXPECT_EQ(Say(session, JoinText("2", "realtime:b", "[]", padding)), Texts{Joined("2", "realtime:b")});
  EXPECT_EQ(Say(session, JoinText("3", "realtime:c", "[]", padding)),
            Texts{Refused("3", "realtime:c", "UnknownErrorOnChannel: the joins of this connection are too large")});
  Say(session, R"(["2","4","realtime:b","phx_leave",{}])");
  EXPECT_EQ(Say(session, JoinText("5", "realtime:c", "[]", padding)), Texts{Joined("5", "realtime:c")});
}

TEST_F(EngineTest, JoinsOfAllConnectionsAreBoundedInBytes) {
  settings_.max_queue_memory = 4u << 20;
  Restart();
  SessionId first = Connect();
  SessionId second = Connect();
  std::string padding = R"(,"x":")" + std::string(3u << 20, 'x') + "\"";
  EXPECT_EQ(Say(first, JoinText("1", "realtime:a", "[]", padding)), Texts{Joined("1", "realtime:a")});
  EXPECT_EQ(Say(second, JoinText("2", "realtime:b", "[]", padding)),
            Texts{Refused("2", "realtime:b", "UnknownErrorOnChannel: the joins of all connections are too large")});
  engine_->Disconnected(first);
  EXPECT_EQ(Say(second, JoinText("3", "realtime:b", "[]", padding)), Texts{Joined("3", "realtime:b")});
}

// What three bytes in a join make us keep is hundreds of them.
TEST_F(EngineTest, BindingsCountAsWhatTheyTake) {
  SessionId session = Connect();
  std::string bindings = R"({"table":"t"})";
  for (int i = 1; i < 1000; ++i) bindings += R"(,{"table":"t"})";
  int joined = 0;
  for (int i = 0; i < 100; ++i) {
    std::string topic = "realtime:" + std::to_string(i);
    Texts answer = Say(session, JoinText("1", topic, "[" + bindings + "]"));
    if (answer.empty()) {
      ++joined;  // the database is asked
    } else {
      EXPECT_EQ(answer[0], Refused("1", topic, "UnknownErrorOnChannel: the joins of this connection are too large"));
    }
  }
  EXPECT_GE(joined, 10);
  EXPECT_LE(joined, 20);
}

TEST_F(EngineTest, OneConnectionThatJoinsInALoopIsSlowedBeforeTheJoinsOfAllAreUsedUp) {
  settings_.joins = {1000, 1000, 10000};
  Restart();
  SessionId session = Connect();
  for (int i = 0; i < 1000; ++i) Say(session, JoinText("1", "realtime:a"));
  EXPECT_TRUE(sink_.slowed.empty());
  for (int i = 0; i < 50; ++i) Say(session, JoinText("1", "realtime:a"));
  ASSERT_FALSE(sink_.slowed.empty());
  EXPECT_EQ(sink_.slowed.back().session, session);
  EXPECT_GE(sink_.slowed.back().ms, 500);  // a hundred per second: the fifty that were too many
  EXPECT_LE(sink_.slowed.back().ms, 510);
  EXPECT_EQ(Say(Connect(), JoinText("1", "realtime:b")), Texts{Joined("1", "realtime:b")});
}

TEST_F(EngineTest, LeaveAnswersThenCloses) {
  SessionId session = Connect();
  Subscribe subscribe = JoinLive(session, "1", "realtime:room");
  EXPECT_EQ(Say(session, R"(["1","5","realtime:room","phx_leave",{}])"),
            (Texts{R"(["1","5","realtime:room","phx_reply",{"status":"ok","response":{}}])",
                   Closed("1", "realtime:room")}));
  std::vector<Unsubscribe> gone = sink_.Take<Unsubscribe>();
  ASSERT_EQ(gone.size(), 1u);
  EXPECT_EQ(gone[0].channel, subscribe.channel);
  EXPECT_EQ(Say(session, R"(["1","6","realtime:room","phx_leave",{}])"),
            Texts{R"(["1","6","realtime:room","phx_reply",{"status":"ok","response":{}}])"});
}

TEST_F(EngineTest, LeaveVersion1WithoutJoinRef) {
  SessionId session = Connect("1.0.0");
  Say(session, R"({"topic":"realtime:room","event":"phx_join","payload":{"config":{}},"ref":"1"})");
  EXPECT_EQ(Say(session, R"({"topic":"realtime:room","event":"phx_leave","payload":{},"ref":"5"})"),
            (Texts{R"({"event":"phx_reply","payload":{"status":"ok","response":{}},"ref":"5","topic":"realtime:room"})",
                   R"({"event":"phx_close","payload":{},"ref":"1","topic":"realtime:room"})"}));
}

TEST_F(EngineTest, StaleLeaveIsIgnored) {
  SessionId session = Connect();
  Say(session, JoinText("2", "realtime:room"));
  EXPECT_EQ(Say(session, R"(["1","5","realtime:room","phx_leave",{}])"), Texts());
  EXPECT_EQ(Say(session, R"([null,"5","realtime:room","phx_leave",{}])"), Texts());
  EXPECT_EQ(engine_->channel_count(), 1u);
}

TEST_F(EngineTest, AnyLeaveEndsAChannelJoinedWithoutRef) {
  SessionId session = Connect();
  Say(session, R"([null,"2","realtime:room","phx_join",{"config":{}}])");
  EXPECT_EQ(Say(session, R"(["9","5","realtime:room","phx_leave",{}])").size(), 2u);
  EXPECT_EQ(engine_->channel_count(), 0u);
}

TEST_F(EngineTest, UnknownEventsOnAJoinedChannelAreIgnored) {
  SessionId session = Connect();
  Say(session, JoinText("1", "realtime:room"));
  EXPECT_EQ(Say(session, R"(["1","2","realtime:room","insert",{"type":"broadcast","event":"e"}])"), Texts());
  EXPECT_EQ(Say(session, R"(["0","3","realtime:room","Presence",{"event":"track"}])"), Texts());
  EXPECT_EQ(Say(session, R"(["1","4","realtime:room","phx_close",{}])"), Texts());
  EXPECT_EQ(engine_->channel_count(), 1u);
}

TEST_F(EngineTest, RejoinRepliesFirstAndThenClosesTheOldInstance) {
  SessionId session = Connect();
  Say(session, JoinText("1", "realtime:room"));
  EXPECT_EQ(Say(session, JoinText("2", "realtime:room")),
            (Texts{Joined("2", "realtime:room"), Closed("1", "realtime:room")}));
  EXPECT_EQ(engine_->channel_count(), 1u);
}

TEST_F(EngineTest, RejoinThatFailsStillClosesTheOldInstance) {
  SessionId session = Connect();
  Say(session, JoinText("1", "realtime:room"));
  EXPECT_EQ(Say(session, JoinText("2", "realtime:room", "[]", R"(,"access_token":"x")")),
            (Texts{Refused("2", "realtime:room", "MalformedJWT: The token provided is not a valid JWT"),
                   Closed("1", "realtime:room")}));
  EXPECT_EQ(engine_->channel_count(), 0u);
}

TEST_F(EngineTest, RejoinWithBindingsClosesTheOldInstanceAfterTheReply) {
  SessionId session = Connect();
  Subscribe first = JoinLive(session, "1", "realtime:room");
  EXPECT_EQ(Say(session, JoinText("2", "realtime:room", kTodos)), Texts());
  ASSERT_EQ(sink_.to_database.size(), 2u);
  EXPECT_EQ(std::get<Unsubscribe>(sink_.to_database[0]).channel, first.channel);
  Subscribe second = TakeSubscribe();
  EXPECT_NE(second.channel, first.channel);
  Answer(second, Outcome::kLive);
  EXPECT_EQ(sink_.TakeTexts(session), (Texts{Joined("2", "realtime:room", Echo(kTodos)), Closed("1", "realtime:room"),
                                             Subscribed("2", "room")}));
}

TEST_F(EngineTest, RejoinWhileJoiningDropsTheFirstAnswer) {
  SessionId session = Connect();
  Say(session, JoinText("1", "realtime:room", kTodos));
  Subscribe first = TakeSubscribe();
  Say(session, JoinText("2", "realtime:room", kTodos));
  Subscribe second = TakeSubscribe();
  EXPECT_EQ(sink_.Take<Unsubscribe>().size(), 1u);
  Answer(first, Outcome::kLive);
  EXPECT_EQ(sink_.TakeTexts(session), Texts());
  EXPECT_EQ(Say(session, JoinText("3", "realtime:room")),
            (Texts{Closed("1", "realtime:room"), Joined("3", "realtime:room"), Closed("2", "realtime:room")}));
  Answer(second, Outcome::kRefused, "late");
  EXPECT_EQ(sink_.TakeTexts(session), Texts());
}

TEST_F(EngineTest, LeaveWhileJoiningToleratesTheLateAnswer) {
  SessionId session = Connect();
  Say(session, JoinText("1", "realtime:room", kTodos));
  Subscribe subscribe = TakeSubscribe();
  EXPECT_EQ(Say(session, R"(["1","2","realtime:room","phx_leave",{}])"),
            (Texts{R"(["1","2","realtime:room","phx_reply",{"status":"ok","response":{}}])",
                   Closed("1", "realtime:room")}));
  EXPECT_EQ(sink_.Take<Unsubscribe>().size(), 1u);
  Answer(subscribe, Outcome::kLive);
  EXPECT_EQ(sink_.TakeTexts(session), Texts());
}

TEST_F(EngineTest, DisconnectWhileJoiningUnsubscribes) {
  SessionId session = Connect();
  Say(session, JoinText("1", "realtime:room", kTodos));
  Subscribe subscribe = TakeSubscribe();
  engine_->Disconnected(session);
  EXPECT_EQ(sink_.Take<Unsubscribe>().size(), 1u);
  Answer(subscribe, Outcome::kLive);
  EXPECT_EQ(sink_.TakeTexts(session), Texts());
  EXPECT_EQ(engine_->channel_count(), 0u);
  EXPECT_EQ(engine_->NextDeadline(), INT64_MAX);
}

TEST_F(EngineTest, LegacyJoinSubscribesToItsTopic) {
  SessionId session = Connect();
  EXPECT_EQ(Say(session, R"(["1","1","realtime:public:todos","phx_join",{}])"), Texts());
  Subscribe subscribe = TakeSubscribe();
  ASSERT_EQ(subscribe.bindings.size(), 1u);
  EXPECT_EQ(subscribe.bindings[0].schema, "public");
  EXPECT_EQ(subscribe.bindings[0].table, "todos");
  Answer(subscribe, Outcome::kLive);
  Texts texts = sink_.TakeTexts(session);
  ASSERT_EQ(texts.size(), 2u);
  EXPECT_TRUE(texts[0].starts_with(
      R"(["1","1","realtime:public:todos","phx_reply",{"status":"ok","response":{"postgres_changes":[{)"));
  EXPECT_EQ(texts[1], Subscribed("1", "public:todos"));
}

}  // namespace
}  // namespace realtime
