#include <string>
#include <vector>

#include "engine_fixture.h"

namespace realtime {
namespace {

class EngineCallsTest : public EngineTest {
 protected:
  RestCall Single(std::string topic, std::string query = "", std::string body = "{}") {
    RestCall call;
    call.path = "/api/broadcast/" + topic + "/events/e";
    call.query = std::move(query);
    call.authorization = "Bearer " + token_;
    call.headers_json = R"({"x-test":"1"})";
    call.body = std::move(body);
    return call;
  }
  RestCall Batch(const std::string& messages) {
    RestCall call = Single("t");
    call.path = "/api/broadcast";
    call.body = R"({"messages":[)" + messages + "]}";
    return call;
  }
  static std::string Message(const std::string& topic, bool is_private, int n) {
    return R"({"topic":")" + topic + R"(","event":"e","payload":{"n":)" + std::to_string(n) + R"(},"private":)" +
           (is_private ? "true}" : "false}");
  }

  void Begin(RestCall call) { engine_->Call(++last_call_, std::move(call), now_); }
  // The answer to the last call; status 0 when there is none yet.
  RestAnswer Answered() {
    if (sink_.answers.empty()) return {};
    EXPECT_EQ(sink_.answers.size(), 1u);
    EXPECT_EQ(sink_.answers[0].call, last_call_);
    RestAnswer answer = sink_.answers[0].answer;
    sink_.answers.clear();
    return answer;
  }
  RestAnswer Ask(RestCall call) {
    Begin(std::move(call));
    return Answered();
  }

  CheckRights TakeQuestion() {
    std::vector<CheckRights> taken = sink_.Take<CheckRights>();
    EXPECT_EQ(taken.size(), 1u);
    return taken.empty() ? CheckRights() : taken[0];
  }
  void Grant(const CheckRights& question, std::vector<bool> may_write) {
    RightsResult result;
    result.channel = question.channel;
    result.sequence = question.sequence;
    for (bool may : may_write) result.granted.push_back(may ? Rights::All() : Rights());
    engine_->FromDatabase(result, now_);
  }
  void Fail(const CheckRights& question, std::string error) {
    RightsResult result;
    result.channel = question.channel;
    result.sequence = question.sequence;
    result.error = std::move(error);
    engine_->FromDatabase(result, now_);
  }

  SessionId JoinPublic(const std::string& topic) {
    SessionId session = Connect();
    Say(session, R"(["1","1","realtime:)" + topic + R"(","phx_join",{"config":{}}])");
    sink_.frames.clear();
    return session;
  }
  size_t Received(SessionId session) { return sink_.frames[session].size(); }

  CallId last_call_ = 0;
};

TEST_F(EngineCallsTest, WhoCannotSayWhoHeIsIsUnauthorized) {
  std::vector<std::optional<std::string>> bad = {std::nullopt, "", "Bearer", "Bearer ", "Bearer nonsense", token_, "Basic " + token_,
                                                 "Bearer " + TokenFor("anon", kStartS - 1)};
  for (const auto& authorization : bad) {
    RestCall call = Single("t");
    call.authorization = authorization;
    RestAnswer answer = Ask(call);
    EXPECT_EQ(answer.status, 401) << authorization.value_or("none");
    EXPECT_EQ(answer.body, R"({"message":"Unauthorized"})");
  }
  RestCall call = Single("t");
  call.authorization = "bearer " + token_;
  EXPECT_EQ(Ask(call).status, 202);
  call.authorization.reset();
  call.api_key = token_;
  EXPECT_EQ(Ask(call).status, 202);
  call.authorization = "Basic dTpw";  // for a proxy in front
  EXPECT_EQ(Ask(call).status, 202);
  call.authorization = "Bearer nonsense";  // the header is not passed over
  EXPECT_EQ(Ask(call).status, 401);
}

TEST_F(EngineCallsTest, PublicMessagesGoOutAtOnce) {
  SessionId session = JoinPublic("t");
  EXPECT_EQ(Ask(Single("t", "", R"({"n":1})")).status, 202);
  EXPECT_EQ(Received(session), 1u);
  EXPECT_EQ(Ask(Batch(Message("t", false, 1) + "," + Message("other", false, 2) + "," + Message("t", false, 3))).status, 202);
  EXPECT_EQ(Received(session), 3u);
  EXPECT_TRUE(sink_.Take<CheckRights>().empty());
}

TEST_F(EngineCallsTest, PrivateMessagesWaitForTheRights) {
  Begin(Single("room", "private=true"));
  EXPECT_EQ(Answered().status, 0);
  CheckRights question = TakeQuestion();
  EXPECT_EQ(question.topics, std::vector<std::string>{"room"});
  EXPECT_EQ(question.identity->role, "anon");
  EXPECT_EQ(question.identity->headers, R"({"x-test":"1"})");
  EXPECT_FALSE(question.join);
  Grant(question, {true});
  EXPECT_EQ(Answered().status, 202);
  Grant(question, {true});  // nobody waits any more
  EXPECT_EQ(Answered().status, 0);

  Begin(Single("room", "private=true"));
  Grant(TakeQuestion(), {false});
  RestAnswer denied = Answered();
  EXPECT_EQ(denied.status, 403);
  EXPECT_EQ(denied.body, R"({"message":"Unauthorized"})");
  Begin(Single("room", "private=true"));
  Grant(TakeQuestion(), {});  // fewer answers than questions deny
  EXPECT_EQ(Answered().status, 403);
}

TEST_F(EngineCallsTest, FailedEvaluationsHaveTheReferencesTexts) {
  for (auto [error, text] : {std::pair("QueryCanceled: canceling statement", "Query canceled"),
                             std::pair("MissingPartition: x", "Missing messages partition"),
                             std::pair("UnableToConnectToProject: x", "Tenant database unavailable"),
                             std::pair("anything", "RLS policy error")}) {
    Begin(Single("room", "private=true"));
    Fail(TakeQuestion(), error);
    RestAnswer answer = Answered();
    EXPECT_EQ(answer.status, 422);
    EXPECT_EQ(answer.body, std::string(R"({"message":")") + text + "\"}");
  }
}

TEST_F(EngineCallsTest, ABatchKeepsItsOrderAndNamesWhatItSkipped) {
  SessionId session = JoinPublic("open");
  Begin(Batch(Message("b", true, 0) + "," + Message("open", false, 1) + "," + Message("a", true, 2) + "," + Message("b", true, 3)));
  EXPECT_EQ(Received(session), 0u);  // not ahead of the private one before it
  CheckRights question = TakeQuestion();
  EXPECT_EQ(question.topics, (std::vector<std::string>{"a", "b"}));
  Grant(question, {true, false});
  RestAnswer answer = Answered();
  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(answer.body, R"({"skipped":[{"index":0,"topic":"b","reason":"Unauthorized"},)"
                         R"({"index":3,"topic":"b","reason":"Unauthorized"}]})");
  EXPECT_EQ(Received(session), 1u);

  Begin(Batch(Message("open", false, 1) + "," + Message("a", true, 2)));
  Fail(TakeQuestion(), "QueryCanceled: x");
  answer = Answered();
  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(answer.body, R"({"skipped":[{"index":1,"topic":"a","reason":"Query canceled"}]})");
  EXPECT_EQ(Received(session), 2u);
}

TEST_F(EngineCallsTest, PersistedMessagesAreStoredAndThenDelivered) {
  Begin(Single("room", "private=true&persist[ttl]=60"));
  CheckRights question = TakeQuestion();
  Grant(question, {true});
  EXPECT_EQ(Answered().status, 0);
  std::vector<Store> stores = sink_.Take<Store>();
  ASSERT_EQ(stores.size(), 1u);
  EXPECT_TRUE(stores[0].store);
  EXPECT_EQ(stores[0].ttl_s, 60);
  EXPECT_EQ(stores[0].identity->role, "anon");
  engine_->FromDatabase(Stored{stores[0].channel, stores[0].message, "", "", false});
  EXPECT_EQ(Answered().status, 202);

  for (bool denied : {true, false}) {
    Begin(Single("room", "private=true&persist=true"));
    Grant(TakeQuestion(), {true});
    engine_->FromDatabase(Stored{sink_.Take<Store>().at(0).channel, nullptr, "", "no room", denied});
    RestAnswer answer = Answered();
    EXPECT_EQ(answer.status, denied ? 403 : 422);
    EXPECT_EQ(answer.body, R"({"error":"no room"})");
  }
}

TEST_F(EngineCallsTest, EachCallerHasAnAllowance) {
  settings_.events = {10, 1000, 3};
  Restart();
  RestAnswer first = Ask(Single("t"));
  EXPECT_EQ(first.status, 202);
  EXPECT_EQ(first.headers, (std::vector<std::pair<std::string, std::string>>{
                               {"x-rate-rolling", "1"}, {"x-rate-limit", "3"}, {"x-rate-limit-remaining", "2"}}));
  std::string three = Message("t", false, 1) + "," + Message("t", false, 2) + "," + Message("t", false, 3);
  RestAnswer batch = Ask(Batch(three));
  EXPECT_EQ(batch.status, 429);
  EXPECT_EQ(batch.body, R"({"message":"Too many messages to broadcast, please reduce the batch size"})");
  EXPECT_EQ(Ask(Single("t")).status, 202);
  EXPECT_EQ(Ask(Single("t")).status, 202);
  RestAnswer spent = Ask(Single("t", "", "not even read"));
  EXPECT_EQ(spent.status, 429);
  EXPECT_EQ(spent.body, R"({"message":"You have exceeded your rate limit"})");
  EXPECT_EQ(spent.headers.size(), 3u);
  std::string mine = token_;
  token_ = TokenFor("anon", kStartS + 3600, "somebody else");
  EXPECT_EQ(Ask(Single("t")).status, 202);
  token_ = mine;
  Advance(300);
  EXPECT_EQ(Ask(Batch(three)).status, 202);
}

TEST_F(EngineCallsTest, ALargeBodyThatIsNoGoodCostsItsCallerAsMessagesDo) {
  settings_.events = {10, 1000, 3};
  Restart();
  EXPECT_EQ(Ask(Batch("no good")).status, 400);
  EXPECT_EQ(Ask(Single("t")).headers.back().second, "2");
  EXPECT_EQ(Ask(Batch(std::string(3 * 8192, '['))).status, 400);
  EXPECT_EQ(Ask(Single("t")).status, 429);
  Advance(200);
  EXPECT_EQ(Ask(Single("t")).status, 202);
}

TEST_F(EngineCallsTest, ManyCallersAreForgottenWhenTheyHaveTheirAllowanceAgain) {
  settings_.events = {1000, 1000, 2};
  Restart();
  for (int i = 0; i < 10100; i++) {
    token_ = TokenFor("anon", kStartS + 3600, "caller " + std::to_string(i));
    ASSERT_EQ(Ask(Single("t")).status, 202);
    if (i % 1000 == 0) Advance(1000);
  }
}

TEST_F(EngineCallsTest, ABatchAsksAboutAHundredPrivateTopicsAtMost) {
  std::string messages;
  for (int i = 0; i < 100; i++) messages += (i ? "," : "") + Message("t" + std::to_string(i), true, i);
  Begin(Batch(messages));
  EXPECT_EQ(TakeQuestion().topics.size(), 100u);
  EXPECT_EQ(Ask(Batch(messages + "," + Message("one more", true, 1))).status, 429);
}

TEST_F(EngineCallsTest, CallsThatWaitAreBoundedAndAnsweredAtTheEnd) {
  settings_.events = {};
  Restart();
  for (int i = 0; i < 10000; i++) Begin(Single("room", "private=true"));
  EXPECT_TRUE(sink_.answers.empty());
  EXPECT_EQ(Ask(Single("room", "private=true")).status, 503);
  EXPECT_EQ(Ask(Single("room")).status, 202);
  engine_->DrainAll();
  ASSERT_EQ(sink_.answers.size(), 10000u);
  for (const auto& answered : sink_.answers) EXPECT_EQ(answered.answer.status, 503);
  sink_.answers.clear();
  for (const CheckRights& question : sink_.Take<CheckRights>()) Grant(question, {true});
  EXPECT_TRUE(sink_.answers.empty());
}

TEST_F(EngineCallsTest, WhatCallsThatWaitHoldIsBounded) {
  settings_.events = {};
  Restart();
  const std::string body = R"({"x":")" + std::string(2900000, 'x') + "\"}";
  int begun = 0;
  for (; begun < 100 && sink_.answers.empty(); begun++) Begin(Single("room", "private=true", body));
  ASSERT_EQ(Answered().status, 503);
  EXPECT_LT(begun * body.size(), 140u << 20);
  EXPECT_GT(begun * body.size(), 120u << 20);
  for (const CheckRights& question : sink_.Take<CheckRights>()) Grant(question, {true});
  sink_.answers.clear();
  Begin(Single("room", "private=true", body));
  EXPECT_EQ(Answered().status, 0) << "there is room again";
}

TEST_F(EngineCallsTest, RequestsThatSayNothingGoodAreTold) {
  RestCall call = Single("t");
  call.content_type = "text/html";
  EXPECT_EQ(Ask(call).status, 415);
  EXPECT_EQ(Ask(Batch("")).status, 422);
  EXPECT_EQ(Ask(Single("t", "", "{")).status, 400);
}

}  // namespace
}  // namespace realtime
