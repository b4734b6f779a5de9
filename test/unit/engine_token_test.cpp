// access_token, refreshed subscriptions, expiry.
#include "engine_fixture.h"

namespace realtime {
namespace {

using Outcome = SubscribeResult::Outcome;

std::string Push(std::string_view token_json) {
  return R"(["1","9","realtime:room","access_token",{"access_token":)" + std::string(token_json) + "}]";
}

std::string Quoted(const std::string& token) { return "\"" + token + "\""; }

Texts Ended(std::string_view message) {
  return {R"(["1",null,"realtime:room","system",{"message":")" + std::string(message) +
              R"(","status":"error","extension":"system","channel":"room"}])",
          R"(["1","1","realtime:room","phx_close",{}])"};
}

const Texts kSubscribedAgain = {
    R"(["1",null,"realtime:room","system",{"message":"Subscribed to PostgreSQL","status":"ok","extension":"postgres_changes","channel":"room"}])"};

TEST_F(EngineTest, TokensThatSayNothingAreIgnored) {
  SessionId session = Connect();
  JoinLive(session, "1", "realtime:room");
  EXPECT_EQ(Say(session, Push("null")), Texts());
  EXPECT_EQ(Say(session, Push("7")), Texts());
  EXPECT_EQ(Say(session, Push(R"("sb_publishable_x")")), Texts());
  EXPECT_EQ(Say(session, Push(Quoted(token_))), Texts());
  EXPECT_EQ(Say(session, R"(["1","9","realtime:room","access_token",{}])"), Texts());
  EXPECT_EQ(Say(session, R"(["1","9","realtime:room","access_token",[]])"), Texts());
  EXPECT_TRUE(sink_.to_database.empty());
  EXPECT_EQ(engine_->channel_count(), 1u);
}

TEST_F(EngineTest, RefreshedTokenReplacesTheSubscription) {
  SessionId session = Connect();
  Subscribe first = JoinLive(session, "1", "realtime:room");
  EXPECT_EQ(Say(session, Push(Quoted(TokenFor("authenticated", kStartS + 7200, "ann")))), Texts());
  Subscribe second = TakeSubscribe();
  EXPECT_EQ(second.channel, first.channel);
  EXPECT_GT(second.sequence, first.sequence);
  EXPECT_EQ(second.identity->role, "authenticated");
  EXPECT_EQ(second.identity->sub, "ann");
  EXPECT_EQ(second.bindings.size(), 1u);
  Answer(second, Outcome::kLive);
  EXPECT_EQ(sink_.TakeTexts(session), kSubscribedAgain);
  EXPECT_TRUE(sink_.to_database.empty());
}

TEST_F(EngineTest, RefreshAcceptsAStaleJoinRef) {
  SessionId session = Connect();
  JoinLive(session, "1", "realtime:room");
  std::string token = TokenFor("anon", kStartS + 7200);
  Say(session, R"([null,"9","realtime:room","access_token",{"access_token":")" + token + R"("}])");
  EXPECT_EQ(sink_.Take<Subscribe>().size(), 1u);
}

TEST_F(EngineTest, OnlyTheLastOfSeveralRefreshesCounts) {
  SessionId session = Connect();
  JoinLive(session, "1", "realtime:room");
  Say(session, Push(Quoted(TokenFor("anon", kStartS + 7200))));
  Subscribe second = TakeSubscribe();
  Say(session, Push(Quoted(TokenFor("anon", kStartS + 7300))));
  Subscribe third = TakeSubscribe();
  Answer(second, Outcome::kRefused, "stale");
  EXPECT_EQ(sink_.TakeTexts(session), Texts());
  Answer(third, Outcome::kLive);
  EXPECT_EQ(sink_.TakeTexts(session), kSubscribedAgain);
}

// What a binding with `since` missed follows its first answer.
TEST_F(EngineTest, RefreshWhileJoiningCountsFromTheAnswerOn) {
  SessionId session = Connect();
  Say(session, JoinText("1", "realtime:room", kTodos));
  Subscribe first = TakeSubscribe();
  Say(session, Push(Quoted(TokenFor("anon", kStartS + 7200))));
  Say(session, Push(Quoted(TokenFor("authenticated", kStartS + 7200))));
  EXPECT_TRUE(sink_.to_database.empty());
  Answer(first, Outcome::kLive);
  EXPECT_EQ(sink_.TakeTexts(session).size(), 2u);
  auto targets = std::make_shared<std::vector<Target>>(1, Target{first.channel, first.bindings[0].id});
  engine_->FromDatabase(Delivery{std::make_shared<const std::string>("{}"), ChangeKind::kInsert, {targets}});
  EXPECT_EQ(sink_.TakeTexts(session).size(), 1u);
  Subscribe second = TakeSubscribe();
  EXPECT_EQ(second.identity->role, "authenticated");
  Answer(second, Outcome::kLive);
  EXPECT_EQ(sink_.TakeTexts(session), kSubscribedAgain);
}

TEST_F(EngineTest, ATokenThatComesDuringAJoinKeepsItWhenTheFirstExpires) {
  SessionId session = Connect();
  Say(session, JoinText("1", "realtime:room", kTodos, R"(,"access_token":")" + TokenFor("anon", kStartS + 5) + "\""));
  Subscribe first = TakeSubscribe();
  Say(session, Push(Quoted(TokenFor("authenticated", kStartS + 7200))));
  Advance(6000);
  EXPECT_EQ(sink_.TakeTexts(session), Texts());
  Answer(first, Outcome::kLive);
  EXPECT_EQ(sink_.TakeTexts(session).size(), 2u);
  EXPECT_EQ(TakeSubscribe().identity->role, "authenticated");
}

TEST_F(EngineTest, ATokenThatComesDuringAJoinAndExpiresEndsIt) {
  SessionId session = Connect();
  Say(session, JoinText("1", "realtime:room", kTodos));
  Subscribe first = TakeSubscribe();
  Say(session, Push(Quoted(TokenFor("authenticated", kStartS + 5))));
  now_.unix_ms += 6000;
  Answer(first, Outcome::kLive);
  const Texts texts = sink_.TakeTexts(session);
  ASSERT_EQ(texts.size(), 4u);
  EXPECT_EQ(texts[3], R"(["1","1","realtime:room","phx_close",{}])");
  EXPECT_EQ(engine_->channel_count(), 0u);
}

TEST_F(EngineTest, BadTokenWhileJoiningIsTheAnswer) {
  SessionId session = Connect();
  Say(session, JoinText("1", "realtime:room", kTodos));
  EXPECT_EQ(Say(session, Push(R"("")")),
            Texts{R"(["1","1","realtime:room","phx_reply",{"status":"error","response":{"reason":"MalformedJWT: The token provided is not a valid JWT"}}])"});
  EXPECT_EQ(sink_.Take<Unsubscribe>().size(), 1u);
  EXPECT_EQ(engine_->channel_count(), 0u);
}

TEST_F(EngineTest, RefusedRefreshClosesTheChannel) {
  SessionId session = Connect();
  JoinLive(session, "1", "realtime:room");
  Say(session, Push(Quoted(TokenFor("nobody", kStartS + 7200))));
  Answer(TakeSubscribe(), Outcome::kRefused, "no right");
  EXPECT_EQ(sink_.TakeTexts(session), Ended("no right"));
  EXPECT_EQ(sink_.Take<Unsubscribe>().size(), 1u);
  EXPECT_EQ(engine_->channel_count(), 0u);
}

TEST_F(EngineTest, FailedRefreshStopsDeliveriesUntilTheNext) {
  SessionId session = Connect();
  Subscribe first = JoinLive(session, "1", "realtime:room");
  Say(session, Push(Quoted(TokenFor("anon", kStartS + 7200))));
  Answer(TakeSubscribe(), Outcome::kFailed, "gone");
  EXPECT_EQ(sink_.TakeTexts(session).size(), 1u);
  EXPECT_EQ(sink_.Take<Unsubscribe>().size(), 1u);
  auto targets = std::make_shared<const std::vector<Target>>(std::vector<Target>{{first.channel, 1}});
  Delivery delivery{std::make_shared<const std::string>("{}"), ChangeKind::kInsert, {targets}};
  engine_->FromDatabase(delivery);
  EXPECT_EQ(sink_.TakeTexts(session), Texts());
  Say(session, Push(Quoted(TokenFor("anon", kStartS + 7300))));
  Answer(TakeSubscribe(), Outcome::kLive);
  EXPECT_EQ(sink_.TakeTexts(session), kSubscribedAgain);
  engine_->FromDatabase(delivery);
  EXPECT_EQ(sink_.TakeTexts(session).size(), 1u);
}

TEST_F(EngineTest, BadTokensCloseTheChannel) {
  struct Case {
    std::string token;
    std::string message;
  };
  for (const Case& c : std::vector<Case>{
           {"", "The token provided is not a valid JWT"},
           {TokenFor("anon", kStartS - 2), "Token has expired 2 seconds ago"},
           {SignToken(R"({"exp":1800000000})"), "Fields `role` and `exp` are required in JWT"},
           {SignToken(R"({"role":"anon","exp":1800000000})", "other"), ":signature_error"}}) {
    SessionId session = Connect();
    JoinLive(session, "1", "realtime:room");
    EXPECT_EQ(Say(session, Push(Quoted(c.token))), Ended(c.message));
    EXPECT_EQ(sink_.Take<Unsubscribe>().size(), 1u);
    EXPECT_EQ(Say(session, R"([null,"3","phoenix","heartbeat",{}])").size(), 1u);
  }
}

TEST_F(EngineTest, ExpiryClosesTheChannelAndKeepsTheSocket) {
  SessionId session = Connect();
  std::string token = TokenFor("authenticated", kStartS + 20);
  Say(session, JoinText("1", "realtime:room", "[]", R"(,"access_token":")" + token + "\""));
  Say(session, JoinText("2", "realtime:other"));
  EXPECT_EQ(engine_->NextDeadline(), now_.mono_ms + 20000);
  Advance(19999);
  EXPECT_EQ(sink_.TakeTexts(session), Texts());
  Advance(1);
  EXPECT_EQ(sink_.TakeTexts(session), Ended("Token has expired 0 seconds ago"));
  EXPECT_EQ(engine_->channel_count(), 1u);
  EXPECT_EQ(engine_->session_count(), 1u);
}

TEST_F(EngineTest, ExpiryWhileJoiningIsTheAnswer) {
  SessionId session = Connect();
  std::string token = TokenFor("authenticated", kStartS + 20);
  Say(session, JoinText("1", "realtime:room", kTodos, R"(,"access_token":")" + token + "\""));
  Advance(20000);
  EXPECT_EQ(sink_.TakeTexts(session),
            Texts{R"(["1","1","realtime:room","phx_reply",{"status":"error","response":{"reason":"InvalidJWTToken: Token has expired 0 seconds ago"}}])"});
  EXPECT_EQ(sink_.Take<Unsubscribe>().size(), 1u);
}

TEST_F(EngineTest, RefreshMovesTheExpiry) {
  settings_.idle_timeout_ms = 1000000;
  Restart();
  SessionId session = Connect();
  std::string token = TokenFor("anon", kStartS + 20);
  Say(session, JoinText("1", "realtime:room", "[]", R"(,"access_token":")" + token + "\""));
  Say(session, Push(Quoted(TokenFor("anon", kStartS + 40))));
  Advance(39999);
  EXPECT_EQ(sink_.TakeTexts(session), Texts());
  Advance(1);
  EXPECT_EQ(sink_.TakeTexts(session), Ended("Token has expired 0 seconds ago"));
}

TEST_F(EngineTest, ExpiryFollowsTheWallClock) {
  settings_.idle_timeout_ms = 1000000;
  Restart();
  SessionId session = Connect();
  std::string token = TokenFor("anon", kStartS + 20);
  Say(session, JoinText("1", "realtime:room", "[]", R"(,"access_token":")" + token + "\""));
  now_.unix_ms -= 5000;  // the wall clock was set back
  Advance(20000);
  EXPECT_EQ(sink_.TakeTexts(session), Texts());
  EXPECT_EQ(engine_->NextDeadline(), now_.mono_ms + 5000);
  Advance(5000);
  EXPECT_EQ(sink_.TakeTexts(session), Ended("Token has expired 0 seconds ago"));
}

TEST_F(EngineTest, WithdrawnKeyEndsChannelsAtTheNextCheck) {
  settings_.idle_timeout_ms = 1000000;
  Restart();
  SessionId session = Connect();
  Say(session, JoinText("1", "realtime:room"));
  EXPECT_EQ(engine_->NextDeadline(), now_.mono_ms + 300000);
  settings_.tokens.secrets = {"a new secret"};
  engine_->Reload(Share(), now_);
  EXPECT_EQ(engine_->channel_count(), 1u);
  Advance(300000);
  EXPECT_EQ(sink_.TakeTexts(session), Ended(":signature_error"));
}

TEST_F(EngineTest, EndlessTokenIsCheckedEveryFiveMinutes) {
  settings_.idle_timeout_ms = 1000000;
  token_ = SignToken(R"({"role":"anon","exp":9000000000000000})");
  Restart();
  SessionId session = Connect();
  Say(session, JoinText("1", "realtime:room"));
  Advance(300000);
  EXPECT_EQ(engine_->channel_count(), 1u);
  EXPECT_EQ(engine_->NextDeadline(), now_.mono_ms + 300000);
}

}  // namespace
}  // namespace realtime
