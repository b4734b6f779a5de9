// Changes and notices on their way out.
#include "engine_fixture.h"

namespace realtime {
namespace {

TargetList List(std::vector<Target> targets) { return std::make_shared<const std::vector<Target>>(std::move(targets)); }

Delivery Change(std::vector<TargetList> targets, ChangeKind kind = ChangeKind::kInsert) {
  return {std::make_shared<const std::string>(R"({"type":"X"})"), kind, std::move(targets)};
}

TEST_F(EngineTest, DeliveryVersion2) {
  SessionId session = Connect();
  ChannelId channel = JoinLive(session, "1", "realtime:a\\\"b").channel;
  engine_->FromDatabase(Change({List({{channel, 4294967295u}})}));
  EXPECT_EQ(sink_.TakeTexts(session),
            Texts{R"([null,null,"realtime:a\"b","postgres_changes",{"ids":[4294967295],"data":{"type":"X"}}])"});
}

TEST_F(EngineTest, DeliveryVersion1) {
  SessionId session = Connect("1.0.0");
  engine_->Receive(session, R"({"topic":"realtime:room","event":"phx_join","payload":{"config":{"postgres_changes":)" +
                                std::string(kTodos) + R"(}},"ref":"1"})", false, now_);
  Subscribe subscribe = TakeSubscribe();
  Answer(subscribe, SubscribeResult::Outcome::kLive);
  sink_.TakeTexts(session);
  engine_->FromDatabase(Change({List({{subscribe.channel, 7}})}));
  EXPECT_EQ(sink_.TakeTexts(session),
            Texts{R"({"event":"postgres_changes","payload":{"ids":[7],"data":{"type":"X"}},"ref":null,"topic":"realtime:room"})"});
}

TEST_F(EngineTest, LegacyChannelsGetTheBareData) {
  SessionId v2 = Connect();
  SessionId v1 = Connect("1.0.0");
  engine_->Receive(v2, R"(["1","1","realtime:public:todos","phx_join",{}])", false, now_);
  Subscribe first = TakeSubscribe();
  engine_->Receive(v1, R"({"topic":"realtime:public:todos","event":"phx_join","payload":{},"ref":"1"})", false, now_);
  Subscribe second = TakeSubscribe();
  Answer(first, SubscribeResult::Outcome::kLive);
  Answer(second, SubscribeResult::Outcome::kLive);
  sink_.TakeTexts(v2);
  sink_.TakeTexts(v1);
  for (ChangeKind kind : {ChangeKind::kInsert, ChangeKind::kUpdate, ChangeKind::kDelete}) {
    engine_->FromDatabase(Change({List({{first.channel, 1}, {second.channel, 1}})}, kind));
  }
  EXPECT_EQ(sink_.TakeTexts(v2), (Texts{R"([null,null,"realtime:public:todos","INSERT",{"type":"X"}])",
                                        R"([null,null,"realtime:public:todos","UPDATE",{"type":"X"}])",
                                        R"([null,null,"realtime:public:todos","DELETE",{"type":"X"}])"}));
  EXPECT_EQ(sink_.TakeTexts(v1)[2], R"({"event":"DELETE","payload":{"type":"X"},"ref":null,"topic":"realtime:public:todos"})");
}

TEST_F(EngineTest, ListsAreMergedToOneFramePerChannel) {
  SessionId session = Connect();
  ChannelId a = JoinLive(session, "1", "realtime:a").channel;
  ChannelId b = JoinLive(session, "2", "realtime:b").channel;
  engine_->FromDatabase(Change({List({{a, 3}, {b, 1}}), nullptr, List({{a, 2}, {a, 3}}), List({{b, 1}})}));
  EXPECT_EQ(sink_.TakeTexts(session),
            (Texts{R"([null,null,"realtime:a","postgres_changes",{"ids":[2,3],"data":{"type":"X"}}])",
                   R"([null,null,"realtime:b","postgres_changes",{"ids":[1],"data":{"type":"X"}}])"}));
}

TEST_F(EngineTest, EqualFramesAreShared) {
  SessionId sessions[4];
  ChannelId channels[4];
  for (int i = 0; i < 4; ++i) {
    sessions[i] = Connect();
    channels[i] = JoinLive(sessions[i], "1", i == 3 ? "realtime:other" : "realtime:room").channel;
  }
  engine_->FromDatabase(Change({List({{channels[0], 1}, {channels[1], 1}, {channels[2], 2}, {channels[3], 1}})}));
  auto frame = [&](int i) { return sink_.frames[sessions[i]].at(0); };
  EXPECT_EQ(frame(0), frame(1));
  EXPECT_NE(frame(0), frame(2));
  EXPECT_NE(frame(0), frame(3));
  EXPECT_EQ(frame(3).use_count(), 2) << "the engine keeps no frame";
}

TEST_F(EngineTest, HandingOutStopsBehindAChannelAndGoesOnThere) {
  SessionId sessions[3];
  std::vector<Target> targets;
  for (int i = 0; i < 3; ++i) {
    sessions[i] = Connect();
    ChannelId channel = JoinLive(sessions[i], "1", "realtime:" + std::to_string(i)).channel;
    targets.push_back({channel, 1});
    targets.push_back({channel, 2});
  }
  Delivery delivery = Change({List(targets)});
  size_t at = 0;
  for (int i = 0; i < 3; ++i) {
    EXPECT_NE(at, Engine::kAll);
    at = engine_->HandOut(delivery, at, [] { return true; });
    for (int k = 0; k < 3; ++k) EXPECT_EQ(sink_.TakeTexts(sessions[k]).size(), k == i ? 1u : 0u);
  }
  EXPECT_EQ(at, Engine::kAll);
}

TEST_F(EngineTest, FramesAreNotSharedBetweenDeliveries) {
  SessionId session = Connect();
  ChannelId channel = JoinLive(session, "1", "realtime:room").channel;
  engine_->FromDatabase(Change({List({{channel, 1}})}));
  engine_->FromDatabase(Delivery{std::make_shared<const std::string>("{}"), ChangeKind::kInsert, {List({{channel, 1}})}});
  Texts texts = sink_.TakeTexts(session);
  ASSERT_EQ(texts.size(), 2u);
  EXPECT_EQ(texts[1], R"([null,null,"realtime:room","postgres_changes",{"ids":[1],"data":{}}])");
}

TEST_F(EngineTest, ForeseeingADeliveryChangesNothingWhateverItsTargets) {
  const Delivery empty, null = Change({nullptr}), nobody = Change({List({})}), gone = Change({List({{999, 1}})});
  auto foresee = [&](const Delivery& delivery) {
    for (int step = 0; step < Engine::kForeseeSteps; ++step) engine_->Foresee(delivery, step);
  };
  for (const Delivery* delivery : {&empty, &null, &nobody, &gone}) foresee(*delivery);  // before there is any channel
  SessionId session = Connect();
  ChannelId channel = JoinLive(session, "1", "realtime:room").channel;
  Delivery change = Change({List({{channel, 1}})});
  for (const Delivery* delivery : {&empty, &null, &nobody, &gone, &std::as_const(change)}) foresee(*delivery);
  EXPECT_EQ(sink_.TakeTexts(session), Texts{});
  engine_->FromDatabase(change);
  EXPECT_EQ(sink_.TakeTexts(session).size(), 1u);
}

TEST_F(EngineTest, ThousandsOfTargets) {
  constexpr size_t kSessions = 5000;
  std::vector<Target> targets;
  std::vector<SessionId> sessions;
  for (size_t i = 0; i < kSessions; ++i) {
    sessions.push_back(Connect());
    std::string topic = "realtime:room" + std::to_string(i % 1000);
    targets.push_back({JoinLive(sessions.back(), "1", topic).channel, static_cast<uint32_t>(1 + i % 7)});
  }
  sink_.frames.clear();
  engine_->FromDatabase(Change({List(targets)}));
  for (size_t i = 0; i < kSessions; ++i) {
    ASSERT_EQ(sink_.TakeTexts(sessions[i]),
              Texts{R"([null,null,"realtime:room)" + std::to_string(i % 1000) + R"(","postgres_changes",{"ids":[)" +
                    std::to_string(1 + i % 7) + R"(],"data":{"type":"X"}}])"});
  }
}

TEST_F(EngineTest, UnknownAndJoiningChannelsGetNothing) {
  SessionId session = Connect();
  engine_->Receive(session, JoinText("1", "realtime:room", kTodos), false, now_);
  Subscribe subscribe = TakeSubscribe();
  Delivery delivery = Change({List({{subscribe.channel, 1}, {subscribe.channel + 1000, 1}})});
  engine_->FromDatabase(delivery);
  EXPECT_EQ(sink_.TakeTexts(session), Texts());
  std::vector<SessionId> sessions;
  engine_->SessionsOf(delivery, &sessions);
  EXPECT_TRUE(sessions.empty());
}

TEST_F(EngineTest, SessionsOfNamesEachSessionOnce) {
  SessionId first = Connect();
  SessionId second = Connect();
  ChannelId a = JoinLive(first, "1", "realtime:a").channel;
  ChannelId b = JoinLive(first, "2", "realtime:b").channel;
  ChannelId c = JoinLive(second, "1", "realtime:a").channel;
  Delivery delivery = Change({List({{a, 1}, {b, 1}, {c, 1}}), List({{a, 2}})});
  for (int i = 0; i < 2; ++i) {
    std::vector<SessionId> sessions;
    engine_->SessionsOf(delivery, &sessions);
    EXPECT_EQ(sessions, (std::vector<SessionId>{first, second}));
  }
}

TEST_F(EngineTest, NoticesGoToChannelsWithLiveBindings) {
  SessionId session = Connect();
  JoinLive(session, "1", "realtime:room");
  engine_->Receive(session, JoinText("2", "realtime:none"), false, now_);
  engine_->Receive(session, JoinText("3", "realtime:waiting", kTodos), false, now_);
  sink_.TakeTexts(session);
  engine_->FromDatabase(SystemNotice{true, "changes were missed"});
  EXPECT_EQ(sink_.TakeTexts(session),
            Texts{R"(["1",null,"realtime:room","system",{"message":"changes were missed","status":"error","extension":"postgres_changes","channel":"room"}])"});
}

TEST_F(EngineTest, NoticesOfMissedMessagesGoToWhoeverHearsBroadcasts) {
  SessionId session = Connect();
  Subscribe live = JoinLive(session, "1", "realtime:live");
  engine_->Receive(session, JoinText("2", "realtime:open"), false, now_);
  engine_->Receive(session, JoinText("3", "realtime:waiting", kTodos), false, now_);
  for (const auto& [topic, rights] : {std::pair{"heard", Rights{.read_broadcast = true}},
                                      std::pair{"seen", Rights{.read_presence = true}}, std::pair{"asked", Rights{}}}) {
    const std::string join = std::string(R"(["4","4","realtime:)") + topic + R"(","phx_join",{"config":{"private":true}}])";
    engine_->Receive(session, join, false, now_);
    if (std::string_view(topic) == "asked") continue;  // is joining
    std::vector<CheckRights> asked = sink_.Take<CheckRights>();
    ASSERT_EQ(asked.size(), 1u);
    engine_->FromDatabase(RightsResult{asked[0].channel, asked[0].sequence, "", {rights}, "", {}}, now_);
  }
  sink_.TakeTexts(session);
  engine_->FromDatabase(SystemNotice{true, "missed", 0, true});
  Texts told = sink_.TakeTexts(session);
  std::sort(told.begin(), told.end());
  EXPECT_EQ(told, (Texts{
      R"(["1",null,"realtime:live","system",{"message":"missed","status":"error","extension":"postgres_changes","channel":"live"}])",
      R"(["2",null,"realtime:open","system",{"message":"missed","status":"error","extension":"system","channel":"open"}])",
      R"(["4",null,"realtime:heard","system",{"message":"missed","status":"error","extension":"system","channel":"heard"}])"}));
  engine_->FromDatabase(SystemNotice{true, "missed", live.channel, true});
  EXPECT_EQ(sink_.TakeTexts(session).size(), 1u) << "what is for one channel is for no other";
}

TEST_F(EngineTest, LeftChannelsGetNothing) {
  SessionId session = Connect();
  ChannelId channel = JoinLive(session, "1", "realtime:room").channel;
  Say(session, R"(["1","5","realtime:room","phx_leave",{}])");
  engine_->FromDatabase(Change({List({{channel, 1}})}));
  EXPECT_EQ(sink_.TakeTexts(session), Texts());
}

}  // namespace
}  // namespace realtime
