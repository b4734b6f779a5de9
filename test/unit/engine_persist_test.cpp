// Messages that pass through the database: those that their senders want stored, and those that SQL sends.
#include "broadcast_fixture.h"

namespace realtime {
namespace {

using namespace std::string_literals;  // NOLINT: bytes with NUL in them

// ---- persistence ----

TEST_F(BroadcastTest, PersistedMessagesAreStoredFirst) {
  SessionId sender = Connect();
  SessionId member = Connect();
  JoinPrivate(sender, "room", R"("ack":true)");
  JoinPrivate(member, "room");
  PushJson(sender, "room", "{\"n\":1}", R"({"persist":true})", "7");
  EXPECT_TRUE(Silent(sender));
  EXPECT_TRUE(Silent(member));
  std::vector<Store> stores = sink_.Take<Store>();
  ASSERT_EQ(stores.size(), 1u);
  EXPECT_TRUE(stores[0].store);
  EXPECT_EQ(stores[0].ttl_s, 0);
  EXPECT_EQ(stores[0].ref, "\"7\"");
  ASSERT_NE(stores[0].identity, nullptr);
  EXPECT_EQ(stores[0].identity->role, "anon");
  EXPECT_EQ(stores[0].message->topic, "room");
  EXPECT_TRUE(stores[0].message->is_private);
  EXPECT_EQ(stores[0].message->event, "ev");
  EXPECT_EQ(*stores[0].message->payload, "{\"n\":1}");

  engine_->FromDatabase(Done(stores[0], "abc"));
  EXPECT_EQ(sink_.TakeTexts(sender), Texts{Ok("7")});
  EXPECT_EQ(sink_.TakeBinaries(member), Texts{"\x04\x0d\x02\x0c\x01realtime:roomev{\"id\":\"abc\"}{\"n\":1}"s});
}

TEST_F(BroadcastTest, PersistTakesATimeToLive) {
  SessionId sender = Connect();
  JoinPrivate(sender, "room");
  PushJson(sender, "room", "1", R"({"persist":{"ttl":60}})");
  PushJson(sender, "room", "1", R"({"persist":{}})");
  PushJson(sender, "room", "1", R"({"persist":{"ttl":9223372036854775807}})");
  std::vector<Store> stores = sink_.Take<Store>();
  ASSERT_EQ(stores.size(), 3u);
  EXPECT_EQ(stores[0].ttl_s, 60);
  EXPECT_EQ(stores[1].ttl_s, 0);
  EXPECT_EQ(stores[2].ttl_s, int64_t{10} * 366 * 24 * 3600);
}

TEST_F(BroadcastTest, PersistFalseIsAnOrdinaryMessage) {
  SessionId sender = Connect();
  SessionId member = Connect();
  Join(sender, "room");
  Join(member, "room");
  for (const char* metadata : {R"({"persist":false})", R"({"persist":null})", "{}", R"({"other":1})", "[]"}) {
    PushJson(sender, "room", "1", metadata);
  }
  EXPECT_TRUE(sink_.Take<Store>().empty());
  EXPECT_EQ(sink_.TakeBinaries(member).size(), 5u);
}

TEST_F(BroadcastTest, PersistIsForPrivateChannelsOnly) {
  SessionId sender = Connect();
  SessionId member = Connect();
  Join(sender, "room", R"("ack":true)");
  Join(member, "room");
  PushJson(sender, "room", "1", R"({"persist":true})");
  EXPECT_EQ(sink_.TakeTexts(sender), Texts{Reply(R"({"status":"error","response":{"error":)"
                                                 R"("Broadcast persistence is only available on private channels"}})")});
  EXPECT_TRUE(sink_.Take<Store>().empty());
  EXPECT_TRUE(Silent(member));
}

TEST_F(BroadcastTest, UnusablePersistIsRefused) {
  SessionId sender = Connect();
  JoinPrivate(sender, "room", R"("ack":true)");
  for (const char* persist : {"1", "\"true\"", "[]", R"({"ttl":0})", R"({"ttl":-5})", R"({"ttl":1.5})", R"({"ttl":"60"})"}) {
    PushJson(sender, "room", "1", std::string("{\"persist\":") + persist + "}");
    Texts replies = sink_.TakeTexts(sender);
    ASSERT_EQ(replies.size(), 1u) << persist;
    EXPECT_NE(replies[0].find(R"("response":{"error":)"), std::string::npos) << persist;
  }
  EXPECT_TRUE(sink_.Take<Store>().empty());
}

TEST_F(BroadcastTest, DeniedMessagesAreNotStored) {
  SessionId sender = Connect();
  JoinPrivate(sender, "room", R"("ack":true)", {true, true, false, true});
  PushJson(sender, "room", "1", R"({"persist":true})");
  // send() of the newest client resolves with `error`.
  EXPECT_EQ(sink_.TakeTexts(sender),
            Texts{Reply(R"({"status":"error","response":{"error":"Unauthorized: You do not have permissions to write to )"
                        R"(this Channel topic: room"}})")});
  EXPECT_TRUE(sink_.Take<Store>().empty());
}

TEST_F(BroadcastTest, PersistKeepsTheOrderPerSender) {
  SessionId sender = Connect();
  SessionId other = Connect();
  SessionId member = Connect();
  JoinPrivate(sender, "room", R"("ack":true)");
  JoinPrivate(other, "room");
  JoinPrivate(member, "room");
  PushJson(sender, "room", "1", R"({"persist":true})", "11");
  PushJson(sender, "room", "2", "", "12");
  SayText(sender, "room", kHello, "13");
  PushJson(other, "room", "9");
  EXPECT_EQ(sink_.TakeBinaries(member), Texts{Kind4("room", 1, "9")}) << "other senders do not wait";
  std::vector<Store> stores = sink_.Take<Store>();
  ASSERT_EQ(stores.size(), 3u);
  EXPECT_TRUE(stores[0].store);
  EXPECT_FALSE(stores[1].store);
  EXPECT_FALSE(stores[2].store);

  sink_.TakeBinaries(sender);

  engine_->FromDatabase(Done(stores[0], "abc"));
  PushJson(sender, "room", "4", "", "14");
  stores.push_back(sink_.Take<Store>().at(0));
  engine_->FromDatabase(Passed(stores[1]));
  EXPECT_EQ(sink_.TakeBinaries(member),
            (Texts{"\x04\x0d\x02\x0c\x01realtime:roomev{\"id\":\"abc\"}1"s, Kind4("room", 1, "2")}));
  engine_->FromDatabase(Passed(stores[2]));
  EXPECT_EQ(sink_.TakeTexts(member), Texts{TextFrame("room", kHello)});
  engine_->FromDatabase(Passed(stores[3]));
  EXPECT_EQ(sink_.TakeBinaries(member), Texts{Kind4("room", 1, "4")});
  EXPECT_EQ(sink_.TakeTexts(sender), (Texts{Ok("11"), Ok("12"), Ok("13"), Ok("14")}));
}

TEST_F(BroadcastTest, WhenNothingIsOnItsWayMessagesGoStraight) {
  SessionId sender = Connect();
  SessionId member = Connect();
  JoinPrivate(sender, "room");
  JoinPrivate(member, "room");
  PushJson(sender, "room", "1", R"({"persist":true})");
  engine_->FromDatabase(Done(sink_.Take<Store>().at(0), "abc"));
  sink_.frames[member].clear();
  PushJson(sender, "room", "2");
  EXPECT_TRUE(sink_.Take<Store>().empty());
  EXPECT_EQ(sink_.TakeBinaries(member), Texts{Kind4("room", 1, "2")});
}

TEST_F(BroadcastTest, WhatCouldNotBeStoredIsNotDelivered) {
  SessionId sender = Connect();
  SessionId quiet = Connect();
  SessionId member = Connect();
  JoinPrivate(sender, "room", R"("ack":true)");
  JoinPrivate(quiet, "room");
  JoinPrivate(member, "room");
  PushJson(sender, "room", "1", R"({"persist":true})");
  PushJson(quiet, "room", "1", R"({"persist":true})");
  for (const Store& store : sink_.Take<Store>()) engine_->FromDatabase(Done(store, "", "no \"partition\""));
  EXPECT_EQ(sink_.TakeTexts(sender), Texts{Reply(R"({"status":"error","response":{"error":"no \"partition\""}})")});
  EXPECT_TRUE(Silent(quiet));
  EXPECT_TRUE(Silent(member));
}

TEST_F(BroadcastTest, StoredMessagesOutliveTheirSender) {
  SessionId sender = Connect();
  SessionId member = Connect();
  JoinPrivate(sender, "room", R"("ack":true)");
  JoinPrivate(member, "room");
  PushJson(sender, "room", "1", R"({"persist":true})");
  Store store = sink_.Take<Store>().at(0);
  engine_->Disconnected(sender);
  engine_->FromDatabase(Done(store, "abc"));
  EXPECT_EQ(sink_.TakeBinaries(member).size(), 1u);
  EXPECT_TRUE(Silent(sender));
}

TEST_F(BroadcastTest, SelfGetsItsStoredMessagesToo) {
  SessionId sender = Connect();
  JoinPrivate(sender, "room", R"("self":true)");
  PushJson(sender, "room", "1", R"({"persist":true})");
  engine_->FromDatabase(Done(sink_.Take<Store>().at(0), "abc"));
  EXPECT_EQ(sink_.TakeBinaries(sender).size(), 1u);
}

// ---- a new token ----

TEST_F(BroadcastTest, MessagesBehindANewTokenAreJudgedByItsRights) {
  SessionId sender = Connect();
  SessionId member = Connect();
  JoinPrivate(member, "room");
  JoinPrivate(sender, "room", R"("ack":true)");
  for (Rights rights : {Rights{true, true, false, true}, Rights::All()}) {
    now_.unix_ms += 1000;
    engine_->Receive(sender, R"(["1","2","realtime:room","access_token",{"access_token":")" +
                                 TokenFor("anon", now_.unix_ms / 1000 + 3600, "ann") + R"("}])", false, now_);
    CheckRights check = sink_.Take<CheckRights>().at(0);
    PushJson(sender, "room", "1");
    EXPECT_TRUE(Silent(member));
    Store passing = sink_.Take<Store>().at(0);
    EXPECT_FALSE(passing.store);
    engine_->FromDatabase(RightsResult{check.channel, check.sequence, "", {rights}, "", {}}, now_);
    engine_->FromDatabase(Passed(passing));
    EXPECT_EQ(sink_.TakeTexts(sender), Texts{rights.write_broadcast ? Ok() : Reply(kDenied)});
    EXPECT_EQ(sink_.TakeBinaries(member).size(), rights.write_broadcast ? 1u : 0u);
  }
}

// ---- from the database ----

TEST_F(BroadcastTest, MessagesOfTheDatabaseReachTheirTopic) {
  SessionId open_member = Connect();
  SessionId private_member = Connect();
  SessionId v1 = Connect("1.0.0");
  Join(open_member, "room");
  JoinV1(v1, "room");
  JoinPrivate(private_member, "room");
  auto message = std::make_shared<Broadcast>();
  message->topic = "room";
  message->event = "ev";
  message->id = "abc";
  message->payload = std::make_shared<const std::string>("{\"a\": 1}");
  engine_->FromDatabase(DatabaseBroadcast{message});
  EXPECT_EQ(sink_.TakeBinaries(open_member), Texts{"\x04\x0d\x02\x0c\x01realtime:roomev{\"id\":\"abc\"}{\"a\": 1}"s});
  EXPECT_EQ(sink_.TakeTexts(v1),
            Texts{R"({"event":"broadcast","payload":{"event":"ev","payload":{"a": 1},"type":"broadcast",)"
                  R"("meta":{"id":"abc"}},"ref":null,"topic":"realtime:room"})"});
  EXPECT_TRUE(Silent(private_member));
}

TEST_F(BroadcastTest, ALiveCopyOfAReplayedMessageIsNotRepeated) {
  SessionId member = Connect();
  SessionId other = Connect();
  JoinPrivate(other, "room");
  auto stored = std::make_shared<Broadcast>();
  stored->topic = "room";
  stored->is_private = true;
  stored->event = "ev";
  stored->id = "abc";
  stored->payload = std::make_shared<const std::string>("1");
  auto replayed = std::make_shared<Broadcast>(*stored);
  replayed->replayed = true;
  engine_->Receive(member,
                   R"(["1","1","realtime:room","phx_join",{"config":{"private":true,"broadcast":{"replay":{"since":1}}}}])",
                   false, now_);
  CheckRights check = sink_.Take<CheckRights>().at(0);
  engine_->FromDatabase(RightsResult{check.channel, check.sequence, "", {Rights::All()}, "", {replayed}}, now_);
  Texts texts = sink_.TakeTexts(member);
  ASSERT_EQ(texts.size(), 2u);
  EXPECT_EQ(texts[1], R"(["1",null,"realtime:room","broadcast",{"event":"ev","payload":1,"type":"broadcast",)"
                      R"("meta":{"id":"abc","replayed":true}}])");
  engine_->FromDatabase(DatabaseBroadcast{stored});
  EXPECT_TRUE(Silent(member));
  EXPECT_EQ(sink_.TakeBinaries(other).size(), 1u);
  auto next = std::make_shared<Broadcast>(*stored);
  next->id = "def";
  engine_->FromDatabase(DatabaseBroadcast{next});
  EXPECT_EQ(sink_.TakeBinaries(member).size(), 1u);
}

}  // namespace
}  // namespace realtime
