// Messages between clients: who gets them, in which form, and what their sender is told.
#include "broadcast_fixture.h"

namespace realtime {
namespace {

using namespace std::string_literals;  // NOLINT: bytes with NUL in them

// ---- delivery ----

TEST_F(BroadcastTest, BroadcastDelivery) {
  SessionId sender = Connect();
  SessionId v2 = Connect();
  SessionId v1 = Connect("1.0.0");
  Join(sender, "room");
  Join(v2, "room");
  JoinV1(v1, "room");

  PushJson(sender, "room", "{ \"a\":1.50 }");
  PushBytes(sender, "room", "\x00\xff"s);
  EXPECT_EQ(sink_.TakeBinaries(v2), (Texts{Kind4("room", 1, "{ \"a\":1.50 }"), Kind4("room", 0, "\x00\xff"s)}));
  EXPECT_EQ(sink_.TakeTexts(v1),
            Texts{R"({"event":"broadcast","payload":{"event":"ev","payload":{ "a":1.50 },"type":"broadcast"},)"
                  R"("ref":null,"topic":"realtime:room"})"});
  SayText(sender, "room", R"({"type":"broadcast", "event":"e","extra":[1 ]})");
  EXPECT_EQ(sink_.TakeTexts(v2), Texts{TextFrame("room", R"({"type":"broadcast", "event":"e","extra":[1 ]})")});
  EXPECT_EQ(sink_.TakeTexts(v1), Texts{R"({"event":"broadcast","payload":{"type":"broadcast", "event":"e","extra":[1 ]},)"
                                       R"("ref":null,"topic":"realtime:room"})"});
  EXPECT_TRUE(Silent(sender));
}

TEST_F(BroadcastTest, Version1SendersReachVersion2) {
  SessionId v1 = Connect("1.0.0");
  SessionId v2 = Connect();
  JoinV1(v1, "room");
  Join(v2, "room");
  Say(v1, std::string(R"({"topic":"realtime:room","event":"broadcast","ref":"2","payload":)") + kHello + "}");
  EXPECT_EQ(sink_.TakeTexts(v2), Texts{TextFrame("room", kHello)});
}

TEST_F(BroadcastTest, MembersOfOneVersionShareTheFrame) {
  SessionId sender = Connect();
  SessionId a = Connect();
  SessionId b = Connect();
  for (SessionId session : {sender, a, b}) Join(session, "room");
  PushJson(sender, "room", "1");
  ASSERT_EQ(sink_.frames[a].size(), 1u);
  EXPECT_EQ(sink_.frames[a], sink_.frames[b]);
}

TEST_F(BroadcastTest, BroadcastNoCrossTopicLeak) {
  SessionId sender = Connect();
  SessionId other = Connect();
  SessionId prefix = Connect();
  Join(sender, "room");
  Join(sender, "other");
  Join(other, "other");
  Join(prefix, "room2");
  SayText(sender, "room", kHello);
  PushJson(sender, "room", "1");
  PushBytes(sender, "room", "x");
  for (SessionId session : {sender, other, prefix}) EXPECT_TRUE(Silent(session)) << session;
  PushJson(sender, "other", "1");
  EXPECT_EQ(sink_.TakeBinaries(other), Texts{Kind4("other", 1, "1")});
  EXPECT_TRUE(Silent(prefix));
}

TEST_F(BroadcastTest, PublicAndPrivateApart) {
  SessionId open_sender = Connect();
  SessionId open_member = Connect();
  SessionId private_sender = Connect();
  SessionId private_member = Connect();
  Join(open_sender, "room");
  Join(open_member, "room");
  JoinPrivate(private_sender, "room");
  JoinPrivate(private_member, "room");
  PushJson(open_sender, "room", "1");
  EXPECT_EQ(sink_.TakeBinaries(open_member), Texts{Kind4("room", 1, "1")});
  EXPECT_TRUE(Silent(private_member));
  PushJson(private_sender, "room", "2");
  EXPECT_EQ(sink_.TakeBinaries(private_member), Texts{Kind4("room", 1, "2")});
  EXPECT_TRUE(Silent(open_member));
}

TEST_F(BroadcastTest, ATopicThatBeginsLikeAPrivateOnesKeyIsStillPublic) {
  SessionId sender = Connect();
  SessionId member = Connect();
  JoinPrivate(member, "room");
  Join(sender, "proom");
  Join(Connect(), "oroom");
  PushJson(sender, "proom", "1");
  EXPECT_TRUE(Silent(member));
}

TEST_F(BroadcastTest, OrderPerSender) {
  SessionId sender = Connect();
  SessionId member = Connect();
  Join(sender, "room");
  Join(member, "room");
  Texts expected;
  for (int i = 0; i < 200; ++i) {
    PushJson(sender, "room", std::to_string(i));
    expected.push_back(Kind4("room", 1, std::to_string(i)));
  }
  EXPECT_EQ(sink_.TakeBinaries(member), expected);
}

TEST_F(BroadcastTest, LeaversAndTheDisconnectedGetNothing) {
  SessionId sender = Connect();
  SessionId leaver = Connect();
  SessionId gone = Connect();
  for (SessionId session : {sender, leaver, gone}) Join(session, "room");
  Say(leaver, R"(["1","9","realtime:room","phx_leave",{}])");
  engine_->Disconnected(gone);
  PushJson(sender, "room", "1");
  EXPECT_TRUE(Silent(leaver));
  EXPECT_TRUE(Silent(gone));
}

TEST_F(BroadcastTest, NobodyElseIsThere) {
  SessionId sender = Connect();
  Join(sender, "room", R"("ack":true)");
  PushJson(sender, "room", "1");
  EXPECT_EQ(sink_.TakeTexts(sender), Texts{Ok()});
}

// ---- self and ack ----

TEST_F(BroadcastTest, SelfBringsTheSenderItsOwn) {
  SessionId sender = Connect();
  Join(sender, "room", R"("self":true)");
  PushJson(sender, "room", "1");
  EXPECT_EQ(sink_.TakeBinaries(sender), Texts{Kind4("room", 1, "1")});
}

TEST_F(BroadcastTest, WithoutSelfOnlyTheChannelThatSentIsLeftOut) {
  SessionId sender = Connect();
  SessionId same_user = Connect();
  Join(sender, "room");
  Join(same_user, "room");
  PushJson(sender, "room", "1");
  EXPECT_TRUE(Silent(sender));
  EXPECT_EQ(sink_.TakeBinaries(same_user).size(), 1u);
}

TEST_F(BroadcastTest, AckAnswersWithTheRefs) {
  SessionId sender = Connect();
  Join(sender, "room", R"("ack":true)");
  PushJson(sender, "room", "1", "", "77");
  SayText(sender, "room", kHello, "78");
  EXPECT_EQ(sink_.TakeTexts(sender), (Texts{Ok("77"), Ok("78")}));
}

TEST_F(BroadcastTest, WithoutAckThereIsNoAnswer) {
  SessionId sender = Connect();
  Join(sender, "room", R"("ack":false)");
  PushJson(sender, "room", "1");
  PushJson(sender, "room", "{broken");
  SayText(sender, "room", "[]");
  EXPECT_TRUE(Silent(sender));
}

TEST_F(BroadcastTest, ANewInstanceOfTheChannelIsTheOneThatIsLeftOut) {
  SessionId sender = Connect();
  Join(sender, "room", R"("self":true)");
  engine_->Receive(sender, R"(["2","2","realtime:room","phx_join",{"config":{"broadcast":{"self":false}}}])", false, now_);
  sink_.TakeTexts(sender);
  PushJson(sender, "room", "1");
  EXPECT_TRUE(Silent(sender));
}

// ---- refusals ----

TEST_F(BroadcastTest, OversizeIsRefusedAlone) {
  settings_.max_payload_size = 10;
  Restart();
  SessionId sender = Connect();
  SessionId quiet = Connect();
  SessionId member = Connect();
  Join(sender, "room", R"("ack":true)");
  Join(quiet, "room");
  Join(member, "room");
  const std::string refusal = Reply(R"({"status":"error","response":"payload_size_exceeded"})");
  PushJson(sender, "room", "\"23456789.\"");
  PushBytes(sender, "room", "0123456789.");
  SayText(sender, "room", R"({"a":12345})");
  EXPECT_EQ(sink_.TakeTexts(sender), (Texts{refusal, refusal, refusal}));
  PushBytes(quiet, "room", "0123456789.");
  EXPECT_TRUE(Silent(quiet));
  EXPECT_TRUE(Silent(member));
  PushBytes(sender, "room", "0123456789");
  EXPECT_EQ(sink_.TakeTexts(sender), Texts{Ok()});
  EXPECT_EQ(sink_.TakeBinaries(member), Texts{Kind4("room", 0, "0123456789")});
}

TEST_F(BroadcastTest, DeniedWriteIsToldWithAckAndSilentWithout) {
  SessionId loud = Connect();
  SessionId quiet = Connect();
  SessionId member = Connect();
  JoinPrivate(loud, "room", R"("ack":true)", {true, true, false, true});
  JoinPrivate(quiet, "room", "", {true, true, false, true});
  JoinPrivate(member, "room");
  for (SessionId session : {loud, quiet}) {
    PushJson(session, "room", "1");
    SayText(session, "room", kHello);
  }
  EXPECT_EQ(sink_.TakeTexts(loud), (Texts{Reply(kDenied), Reply(kDenied)}));
  EXPECT_TRUE(Silent(quiet));
  EXPECT_TRUE(Silent(member));
}

TEST_F(BroadcastTest, WithoutReadOfBroadcastsNoneIsDelivered) {
  SessionId sender = Connect();
  SessionId presence_only = Connect();
  JoinPrivate(sender, "room");
  JoinPrivate(presence_only, "room", "", {false, true, true, true});
  PushJson(sender, "room", "1");
  EXPECT_TRUE(Silent(presence_only));
  PushJson(presence_only, "room", "2");
  EXPECT_EQ(sink_.TakeBinaries(sender), Texts{Kind4("room", 1, "2")}) << "it may still write";
}

TEST_F(BroadcastTest, WhatIsNoMessageIsRefusedAlone) {
  SessionId sender = Connect();
  SessionId member = Connect();
  Join(sender, "room", R"("ack":true)");
  Join(member, "room");
  for (const char* payload : {"[]", "null", "5", "\"x\""}) SayText(sender, "room", payload);
  for (const char* payload : {"", "{", "{} {}", "nul", "\"\xff\"", "{\"a\":}"}) PushJson(sender, "room", payload);
  std::string deep(1000, '[');
  PushJson(sender, "room", deep + std::string(1000, ']'));
  engine_->Receive(sender, "\x00\x01\x01\x0d\x09" "11realtime:roombroadcastbytes"s, true, now_);
  Texts replies = sink_.TakeTexts(sender);
  EXPECT_EQ(replies.size(), 12u);
  for (const std::string& reply : replies) {
    EXPECT_NE(reply.find(R"("phx_reply",{"status":"error","response":{"reason":)"), std::string::npos) << reply;
  }
  EXPECT_TRUE(Silent(member));
}

TEST_F(BroadcastTest, AnyJsonValueIsForwardedVerbatim) {
  SessionId sender = Connect();
  SessionId member = Connect();
  Join(sender, "room");
  Join(member, "room");
  std::string wide = "[0";
  for (int i = 0; i < 200000; ++i) wide += ", 1e1";
  for (const std::string& payload : {"null"s, " 1.0 "s, "\"\\u0041\""s, "{\"a\":1,\"a\":2}"s, wide + "]"}) {
    PushJson(sender, "room", payload);
    EXPECT_EQ(sink_.TakeBinaries(member), Texts{Kind4("room", 1, payload)});
  }
}

TEST_F(BroadcastTest, APushBeforeTheJoinsAnswerIsRefused) {
  SessionId sender = Connect();
  SessionId member = Connect();
  JoinPrivate(member, "room");
  engine_->Receive(sender,
                   R"(["1","1","realtime:room","phx_join",{"config":{"private":true,"broadcast":{"ack":true}}}])", false,
                   now_);
  PushJson(sender, "room", "1");
  EXPECT_EQ(sink_.TakeTexts(sender), Texts{Reply(R"({"status":"error","response":{"reason":"The channel is not joined yet"}})")});
  EXPECT_TRUE(Silent(member));
}

TEST_F(BroadcastTest, WithoutAChannelItIsUnmatched) {
  SessionId sender = Connect();
  PushJson(sender, "room", "1");
  EXPECT_EQ(sink_.TakeTexts(sender),
            Texts{R"([null,"6","realtime:room","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}])"});
}

TEST_F(BroadcastTest, SilentRefusalsAreLoggedNowAndThen) {
  SessionId sender = Connect();
  Join(sender, "room");
  sink_.Take<LogLine>();
  for (int i = 0; i < 50; ++i) PushJson(sender, "room", "{");
  EXPECT_EQ(sink_.Take<LogLine>().size(), 1u);
  Advance(1000);
  PushJson(sender, "room", "{");
  std::vector<LogLine> lines = sink_.Take<LogLine>();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].level, LogLevel::kDebug);
  EXPECT_NE(lines[0].message.find("realtime:room"), std::string::npos);
}

// ---- limits ----

TEST_F(BroadcastTest, TooManyMessagesSlowTheSenderDown) {
  settings_.events = Rate{10, 1000, 20};
  Restart();
  SessionId sender = Connect();
  SessionId member = Connect();
  Join(sender, "room");
  Join(member, "room");
  for (int i = 0; i < 20; ++i) PushJson(sender, "room", "1");
  EXPECT_TRUE(sink_.slowed.empty()) << "a burst is free";
  PushJson(sender, "room", "1");
  ASSERT_EQ(sink_.slowed.size(), 1u);
  EXPECT_EQ(sink_.slowed[0].session, sender);
  EXPECT_EQ(sink_.slowed[0].ms, 101);
  EXPECT_EQ(sink_.TakeBinaries(member).size(), 21u) << "slowed down, not dropped";
  EXPECT_TRUE(sink_.closed.empty());
  Advance(1000);
  sink_.slowed.clear();
  PushJson(sender, "room", "1");
  EXPECT_TRUE(sink_.slowed.empty()) << "what is paid is forgotten";
}

}  // namespace
}  // namespace realtime
