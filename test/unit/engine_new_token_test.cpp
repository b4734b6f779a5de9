// New tokens of a private channel: when they count, and what is sent behind them.
#include "rights_fixture.h"

namespace realtime {
namespace {

class TokensTest : public RightsTest {
 protected:
  CheckRights Push(SessionId session, std::string_view sub) {
    Say(session, R"(["1","2","realtime:room","access_token",{"access_token":")" +
                     TokenFor("authenticated", kStartS + 7200, sub) + R"("}])");
    return TakeCheck();
  }
  bool Hears(SessionId session) {
    engine_->FromDatabase(DatabaseBroadcast{Message("{}")});
    return !sink_.TakeTexts(session).empty();
  }
};

TEST_F(TokensTest, EachOfSeveralTokensCountsInOrder) {
  SessionId session = Connect();
  JoinPrivate(session);
  CheckRights first = Push(session, "ann");
  CheckRights second = Push(session, "bob");
  EXPECT_TRUE(Hears(session));
  Grant(first, {.read_presence = true});
  EXPECT_FALSE(Hears(session));
  Grant(second, Rights::All());
  EXPECT_TRUE(Hears(session));
  Grant(first, {});  // overtaken
  EXPECT_TRUE(Hears(session));
}

TEST_F(TokensTest, ATokenWithoutRightsEndsTheChannelWhateverFollows) {
  SessionId session = Connect();
  JoinPrivate(session);
  CheckRights first = Push(session, "ann");
  CheckRights second = Push(session, "bob");
  Grant(first, {});
  EXPECT_EQ(sink_.TakeTexts(session).back(), kClosed);
  Grant(second, Rights::All());
  EXPECT_EQ(engine_->channel_count(), 0u);
}

TEST_F(TokensTest, AnEarlierTokenThatCouldNotBeJudgedSaysNothing) {
  SessionId session = Connect();
  JoinPrivate(session);
  CheckRights first = Push(session, "ann");
  CheckRights second = Push(session, "bob");
  Fail(first, "QueryCanceled: no");
  EXPECT_TRUE(Hears(session));
  Grant(second, Rights::All());
  EXPECT_TRUE(Hears(session));
}

TEST_F(TokensTest, WhatIsSentBetweenTwoTokensIsJudgedByTheFirst) {
  SessionId session = Connect();
  JoinPrivate(session);
  SessionId other = Connect();
  JoinPrivate(other);
  CheckRights first = Push(session, "ann");
  Say(session, R"(["1","3","realtime:room","broadcast",{"type":"broadcast","event":"e","payload":{}}])");
  std::vector<Store> stores = sink_.Take<Store>();
  ASSERT_EQ(stores.size(), 1u);
  CheckRights second = Push(session, "bob");
  Grant(first, {.read_broadcast = true});
  engine_->FromDatabase(Stored{stores[0].channel, stores[0].message, stores[0].ref, "", false, stores[0].needs_right});
  Grant(second, Rights::All());
  EXPECT_EQ(sink_.TakeTexts(other), Texts());
}

TEST_F(TokensTest, RightsEndWhenNobodySaysThatTheyGoOn) {
  settings_.idle_timeout_ms = 10000000;
  Restart();
  SessionId session = Connect();
  JoinPrivate(session);
  for (int i = 0; i < 60; ++i) {
    EXPECT_EQ(engine_->channel_count(), 1u);
    Push(session, std::to_string(i));
    Advance(1000);
  }
  const Texts texts = sink_.TakeTexts(session);
  ASSERT_FALSE(texts.empty());
  EXPECT_TRUE(texts.back().starts_with(R"(["1","1","realtime:room","phx_error",)")) << texts.back();
  EXPECT_EQ(engine_->channel_count(), 0u);
}

TEST_F(TokensTest, PresenceBehindANewTokenIsJudgedByIt) {
  SessionId session = Connect();
  JoinPrivate(session, {.read_broadcast = true, .read_presence = true});
  const std::string track = R"(["1","7","realtime:room","presence",{"type":"presence","event":"track","payload":{}}])";
  EXPECT_NE(Say(session, track).at(0).find("Unauthorized"), std::string::npos);
  CheckRights check = Push(session, "ann");
  EXPECT_EQ(Say(session, track), Texts());
  Grant(check, Rights::All());
  EXPECT_EQ(sink_.TakeTexts(session).back(), R"(["1","7","realtime:room","phx_reply",{"status":"ok","response":{}}])");
  check = Push(session, "bob");
  Say(session, track);
  Grant(check, {.read_broadcast = true});
  EXPECT_NE(sink_.TakeTexts(session).back().find("Unauthorized"), std::string::npos);
}

// Its memory is counted, and given back.
TEST_F(TokensTest, PresenceThatIsTooMuchToWaitIsJudgedAtOnce) {
  settings_.max_payload_size = 20 << 20;
  settings_.presence_calls = {1000, 1000, 1000};
  Restart();
  SessionId session = Connect();
  JoinPrivate(session);
  for (int round = 0; round < 3; ++round) {
    CheckRights check = Push(session, std::to_string(round));
    const std::string large = R"(["1","7","realtime:room","presence",{"event":"track","payload":{"x":")" +
                              std::string(5 << 20, 'x') + R"("}}])";
    EXPECT_EQ(Say(session, large), Texts()) << round;
    EXPECT_EQ(Say(session, large).size(), 1u) << round;
    Grant(check, Rights::All());
    EXPECT_EQ(sink_.TakeTexts(session).size(), 1u) << round;
  }
}

}  // namespace
}  // namespace realtime
