// Private channels: rights at the join, with a new token and with time; replay; what is held back; limits of joins.
#include "rights_fixture.h"

namespace realtime {
namespace {

using Outcome = SubscribeResult::Outcome;

TEST_F(RightsTest, PrivateJoinIsAnsweredWhenItsRightsAreKnown) {
  SessionId session = Connect();
  EXPECT_EQ(Say(session, kPrivate), Texts());
  CheckRights check = TakeCheck();
  EXPECT_TRUE(check.join);
  EXPECT_EQ(check.topics, std::vector<std::string>{"room"});
  EXPECT_EQ(check.identity->role, "anon");
  EXPECT_EQ(check.identity->headers, R"({"x-test":"1"})");
  EXPECT_FALSE(check.replay.has_value());
  Grant(check, {.read_presence = true});
  EXPECT_EQ(sink_.TakeTexts(session), Texts{kJoined});
}

TEST_F(RightsTest, PrivateJoinWithoutReadIsRefused) {
  SessionId session = Connect();
  Say(session, kPrivate);
  Grant(TakeCheck(), {.write_broadcast = true, .write_presence = true});
  EXPECT_EQ(sink_.TakeTexts(session),
            Texts{Reply("Unauthorized: You do not have permissions to read from this Channel topic: room")});
  EXPECT_EQ(engine_->channel_count(), 0u);
}

TEST_F(RightsTest, FailureToJudgeIsTheReasonOfTheRefusal) {
  SessionId session = Connect();
  Say(session, kPrivate);
  Fail(TakeCheck(), "QueryCanceled: ERROR 57014 (query_canceled) canceling statement due to statement timeout");
  EXPECT_EQ(sink_.TakeTexts(session),
            Texts{Reply("QueryCanceled: ERROR 57014 (query_canceled) canceling statement due to statement timeout")});
}

TEST_F(RightsTest, AnswersToEarlierQuestionsMeanNothing) {
  SessionId session = Connect();
  Say(session, kPrivate);
  CheckRights first = TakeCheck();
  Say(session, kPrivate);  // joins again
  CheckRights second = TakeCheck();
  Grant(first, Rights::All());
  EXPECT_EQ(sink_.TakeTexts(session), Texts());
  Grant(second, Rights::All());
  EXPECT_EQ(sink_.TakeTexts(session).front(), kJoined);
}

TEST_F(RightsTest, RightsAreAskedAgainBeforeTheirTimeIsOver) {
  settings_.idle_timeout_ms = 10000000;
  Restart();
  SessionId session = Connect();
  CheckRights join = JoinPrivate(session);
  Advance(settings_.authorization_ttl_ms / 2);
  EXPECT_TRUE(sink_.Take<CheckRights>().empty());
  for (int round = 0; round < 2; ++round) {
    Advance(settings_.authorization_ttl_ms);
    CheckRights again = TakeCheck();
    EXPECT_EQ(again.channel, join.channel);
    EXPECT_FALSE(again.join);
    Grant(again, Rights::All());
    EXPECT_EQ(sink_.TakeTexts(session), Texts());
  }
}

TEST_F(RightsTest, RevokedReadClosesTheChannel) {
  SessionId session = Connect();
  JoinPrivate(session);
  Advance(settings_.authorization_ttl_ms - 1);
  Grant(TakeCheck(), {.write_broadcast = true});
  EXPECT_EQ(sink_.TakeTexts(session),
            (Texts{System("You no longer have permission to read from this Channel topic: room"), kClosed}));
  EXPECT_EQ(engine_->channel_count(), 0u);
}

TEST_F(RightsTest, FailureToJudgeAgainMakesTheClientJoinAgain) {
  SessionId session = Connect();
  JoinPrivate(session);
  Advance(settings_.authorization_ttl_ms - 1);
  Fail(TakeCheck(), "QueryCanceled: ERROR 57014 (query_canceled) x");
  Texts texts = sink_.TakeTexts(session);
  ASSERT_EQ(texts.size(), 2u);
  EXPECT_EQ(texts[0], System("Query was cancelled, please try again"));
  EXPECT_TRUE(texts[1].starts_with(R"(["1","1","realtime:room","phx_error",)")) << texts[1];
  EXPECT_EQ(engine_->channel_count(), 0u);
}

TEST_F(RightsTest, NewTokenIsJudgedAnew) {
  SessionId session = Connect();
  CheckRights join = JoinPrivate(session);
  Say(session, R"(["1","2","realtime:room","access_token",{"access_token":")" +
                   TokenFor("authenticated", kStartS + 7200, "ann") + R"("}])");
  CheckRights again = TakeCheck();
  EXPECT_EQ(again.channel, join.channel);
  EXPECT_EQ(again.identity->sub, "ann");
  Grant(again, {});
  EXPECT_EQ(sink_.TakeTexts(session).back(), kClosed);
}

TEST_F(RightsTest, BroadcastsReachOnlyThoseWhoMayReadThem) {
  SessionId reader = Connect();
  SessionId watcher = Connect();
  JoinPrivate(reader, {.read_broadcast = true});
  JoinPrivate(watcher, {.read_presence = true});
  engine_->FromDatabase(DatabaseBroadcast{Message(R"({"x":1})")});
  EXPECT_EQ(sink_.TakeTexts(reader), Texts{Whole(R"({"x":1})")});
  EXPECT_EQ(sink_.TakeTexts(watcher), Texts());
}

TEST_F(RightsTest, NothingIsSentBeforeTheJoinsAnswer) {
  SessionId session = Connect();
  engine_->Receive(session,
                   R"(["1","1","realtime:room","phx_join",{"config":{"private":true,"postgres_changes":)" +
                       std::string(kTodos) + "}}]",
                   false, now_);
  EXPECT_TRUE(sink_.Take<Subscribe>().empty());
  Grant(TakeCheck(), Rights::All());
  Subscribe subscribe = TakeSubscribe();
  engine_->FromDatabase(DatabaseBroadcast{Message(R"({"x":1})")});
  EXPECT_EQ(sink_.TakeTexts(session), Texts());
  Answer(subscribe, Outcome::kLive);
  Texts texts = sink_.TakeTexts(session);
  ASSERT_EQ(texts.size(), 3u);
  EXPECT_TRUE(texts[0].starts_with(R"(["1","1","realtime:room","phx_reply",{"status":"ok")"));
  EXPECT_EQ(texts[1], Whole(R"({"x":1})"));
  EXPECT_NE(texts[2].find("Subscribed to PostgreSQL"), std::string::npos);
}

TEST_F(RightsTest, JoinThatWouldHoldBackTooMuchIsRefused) {
  settings_.max_client_queue = 4096;
  Restart();
  SessionId session = Connect();
  engine_->Receive(session,
                   R"(["1","1","realtime:room","phx_join",{"config":{"private":true,"postgres_changes":)" +
                       std::string(kTodos) + "}}]",
                   false, now_);
  Grant(TakeCheck(), Rights::All());
  for (int i = 0; i < 3; ++i) {
    engine_->FromDatabase(DatabaseBroadcast{Message("{\"x\":\"" + std::string(900, 'x') + "\"}")});
  }
  Answer(TakeSubscribe(), Outcome::kLive);
  Texts texts = sink_.TakeTexts(session);
  ASSERT_EQ(texts.size(), 1u);
  EXPECT_NE(texts[0].find("too many messages arrived"), std::string::npos);
  EXPECT_EQ(sink_.Take<Unsubscribe>().size(), 1u);
}

TEST_F(RightsTest, JoinWhoseMessagesAreDroppedForMemoryIsRefused) {
  SessionId session = Connect();
  engine_->Receive(session,
                   R"(["1","1","realtime:room","phx_join",{"config":{"private":true,"postgres_changes":)" +
                       std::string(kTodos) + "}}]",
                   false, now_);
  Grant(TakeCheck(), Rights::All());
  const size_t before = FrameMemory();
  engine_->FromDatabase(DatabaseBroadcast{Message("{\"x\":\"" + std::string(900, 'x') + "\"}")});
  EXPECT_GT(FrameMemory(), before + 900);
  engine_->DropHeld();
  EXPECT_EQ(FrameMemory(), before);
  Answer(TakeSubscribe(), Outcome::kLive);
  Texts texts = sink_.TakeTexts(session);
  ASSERT_EQ(texts.size(), 1u);
  EXPECT_NE(texts[0].find("too many messages arrived"), std::string::npos);
}

TEST_F(RightsTest, ReplayedMessagesFollowTheAnswerAndAreNotRepeated) {
  SessionId session = Connect();
  Say(session,
      R"(["1","1","realtime:room","phx_join",{"config":{"private":true,"broadcast":{"replay":{"since":5,"limit":2}}}}])");
  CheckRights check = TakeCheck();
  ASSERT_TRUE(check.replay.has_value());
  EXPECT_EQ(check.replay->since_ms, 5);
  EXPECT_EQ(check.replay->limit, 2);
  auto stored = std::make_shared<Broadcast>(*Message(R"({"a": 1})", "11111111-1111-4111-8111-111111111111"));
  stored->replayed = true;
  engine_->FromDatabase(RightsResult{check.channel, check.sequence, "", {Rights::All()}, "", {stored}}, now_);
  Texts texts = sink_.TakeTexts(session);
  ASSERT_EQ(texts.size(), 2u);
  EXPECT_EQ(texts[0], kJoined);
  EXPECT_TRUE(texts[1].starts_with(R"(["1",null,"realtime:room","broadcast",)")) << texts[1];
  EXPECT_NE(texts[1].find(R"("replayed":true)"), std::string::npos);

  engine_->FromDatabase(DatabaseBroadcast{Message(R"({"a": 1})", "11111111-1111-4111-8111-111111111111")});
  EXPECT_TRUE(sink_.frames[session].empty());
  engine_->FromDatabase(DatabaseBroadcast{Message(R"({"a": 2})", "22222222-2222-4222-8222-222222222222")});
  EXPECT_EQ(sink_.frames[session].size(), 1u);
}

TEST_F(RightsTest, ReplayNeedsTheRightToReadBroadcasts) {
  SessionId session = Connect();
  Say(session, R"(["1","1","realtime:room","phx_join",{"config":{"private":true,"broadcast":{"replay":{"since":5}}}}])");
  Grant(TakeCheck(), {.read_presence = true});
  EXPECT_EQ(sink_.TakeTexts(session),
            Texts{Reply("Unauthorized: You do not have permissions to read from this Channel topic: room")});
}

TEST_F(RightsTest, ReplayOfAPublicChannelIsRefused) {
  SessionId session = Connect();
  EXPECT_EQ(Say(session, R"(["1","1","realtime:room","phx_join",{"config":{"broadcast":{"replay":{"since":5}}}}])"),
            Texts{Reply("UnableToReplayMessages: Replay is not allowed for public channels")});
}

TEST_F(RightsTest, FailedReplayRefusesTheJoin) {
  SessionId session = Connect();
  Say(session, R"(["1","1","realtime:room","phx_join",{"config":{"private":true,"broadcast":{"replay":{"since":5}}}}])");
  CheckRights check = TakeCheck();
  engine_->FromDatabase(RightsResult{check.channel, check.sequence, "", {Rights::All()},
                                     "UnableToReplayMessages: Realtime was unable to replay messages", {}}, now_);
  EXPECT_EQ(sink_.TakeTexts(session), Texts{Reply("UnableToReplayMessages: Realtime was unable to replay messages")});
}

TEST_F(RightsTest, PrivateOnlyRefusesPublicChannels) {
  settings_.private_only = true;
  Restart();
  SessionId session = Connect();
  EXPECT_EQ(Say(session, JoinText("1", "realtime:room")),
            Texts{Reply("PrivateOnly: This project only allows private channels")});
  JoinPrivate(session);
}

TEST_F(RightsTest, PrivateOnlyEndsThePublicChannelsThatItFindsInTime) {
  settings_.idle_timeout_ms = 3600 * 1000;
  Restart();
  SessionId session = Connect();
  Say(session, JoinText("1", "realtime:room"));
  SessionId other = Connect();
  JoinPrivate(other);
  settings_.private_only = true;
  engine_->Reload(Share(), now_);
  Advance(5 * 60 * 1000);
  EXPECT_EQ(sink_.TakeTexts(session), (Texts{System("This project only allows private channels"), kClosed}));
  EXPECT_EQ(engine_->channel_count(), 1u);
}

TEST_F(RightsTest, JoinsAboveTheRateAreRefusedAndABurstIsNotPunishedLater) {
  settings_.joins = {2, 1000, 3};
  Restart();
  SessionId session = Connect();
  for (int i = 0; i < 3; ++i) EXPECT_NE(Say(session, JoinText("1", "realtime:room")).front().find("ok"), std::string::npos);
  EXPECT_EQ(Say(session, JoinText("1", "realtime:room")).front(),
            Reply("ClientJoinRateLimitReached: Too many joins per second"));
  EXPECT_EQ(Handshake(&token_, nullptr).http_status, 429);
  EXPECT_EQ(Handshake(&token_, nullptr).error, "Too many joins per second");
  Advance(500);
  EXPECT_NE(Handshake(&token_, nullptr).session, 0u);
  EXPECT_NE(Say(session, JoinText("1", "realtime:room")).front().find("ok"), std::string::npos);
}

TEST_F(RightsTest, ReadinessIsToldOnceTheStreamIsLive) {
  const char* join = R"(["1","1","realtime:room","phx_join",{"config":{"broadcast":{"replication_ready":true}}}])";
  SessionId early = Connect();
  EXPECT_EQ(Say(early, join), Texts{kJoined});
  engine_->FromDatabase(StreamState{true});
  EXPECT_EQ(sink_.TakeTexts(early), Texts{System("Replication connection established", "ok")});
  engine_->FromDatabase(StreamState{true});
  EXPECT_EQ(sink_.TakeTexts(early), Texts());
  SessionId late = Connect();
  EXPECT_EQ(Say(late, join), (Texts{kJoined, System("Replication connection established", "ok")}));
}

TEST_F(RightsTest, ReadinessThatDoesNotComeEndsTheChannel) {
  settings_.idle_timeout_ms = 1000000;
  Restart();
  SessionId session = Connect();
  Say(session, R"(["1","1","realtime:room","phx_join",{"config":{"broadcast":{"replication_ready":true}}}])");
  Advance(59999);
  EXPECT_EQ(sink_.TakeTexts(session), Texts());
  Advance(1);
  EXPECT_EQ(sink_.TakeTexts(session),
            (Texts{System("Replication connection was not established in time"), kClosed}));
}

TEST_F(RightsTest, TheDatabaseHearsWhetherAnybodyListens) {
  SessionId session = Connect();
  EXPECT_EQ(sink_.listenings, std::vector<bool>());
  Say(session, JoinText("1", "realtime:a"));
  Say(session, JoinText("2", "realtime:b"));
  EXPECT_EQ(sink_.listenings, std::vector<bool>{true});
  engine_->Disconnected(session);
  EXPECT_EQ(sink_.listenings, (std::vector<bool>{true, false}));
}

TEST_F(RightsTest, ConnectionsThatLeftAllChannelsAreClosedInTheEnd) {
  settings_.idle_timeout_ms = 10000000;
  Restart();
  SessionId never = Connect();
  SessionId session = Connect();
  Say(session, JoinText("1", "realtime:a"));
  Say(session, R"(["1","2","realtime:a","phx_leave",{}])");
  Advance(settings_.no_channel_timeout_ms / 2);
  Say(session, JoinText("3", "realtime:a"));
  Advance(settings_.no_channel_timeout_ms);
  EXPECT_TRUE(sink_.closed.empty());
  Say(session, R"(["3","4","realtime:a","phx_leave",{}])");
  Advance(settings_.no_channel_timeout_ms);
  ASSERT_EQ(sink_.closed.size(), 1u);
  EXPECT_EQ(sink_.closed[0].session, session);
  EXPECT_EQ(engine_->session_count(), 1u);
  EXPECT_EQ(Say(never, JoinText("1", "realtime:a")).size(), 1u);
}

TEST_F(RightsTest, WaitTurnsAFailedSubscriptionIntoARefusedJoin) {
  SessionId session = Connect();
  Say(session,
      R"(["1","1","realtime:room","phx_join",{"config":{"postgres_changes_options":{"wait":true,"timeout":5000},"postgres_changes":)" +
          std::string(kTodos) + "}}]");
  Subscribe subscribe = TakeSubscribe();
  EXPECT_EQ(subscribe.patience_ms, 5000);
  Answer(subscribe, Outcome::kFailed, "no such table");
  EXPECT_EQ(sink_.TakeTexts(session), Texts{Reply("RealtimeDisabledForConfiguration: no such table")});
  EXPECT_EQ(engine_->channel_count(), 0u);
}

}  // namespace
}  // namespace realtime
