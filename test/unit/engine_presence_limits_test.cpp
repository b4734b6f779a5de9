// What presence refuses, and rooms that are large.
#include "presence_fixture.h"

namespace realtime {
namespace {

TEST_F(EnginePresenceTest, EveryMessageIsAnswered) {
  SessionId ann = Member("ann");
  SessionId bob = Member("bob");
  const std::string unknown = Refusal("Unknown presence event");
  const std::string no_map = Refusal("Presence track payload must be a map");
  std::vector<std::pair<std::string, std::string>> refused = {
      {R"({"type":"presence","event":"trak","payload":{}})", unknown},
      {R"({"event":"","payload":{}})", unknown},
      {R"({"event":null})", unknown},
      {R"({"event":["track"]})", unknown},
      {R"({"event":"track","payload":null})", no_map},
      {R"({"event":"track","payload":[]})", no_map},
      {R"({"event":"track","payload":"x"})", no_map},
      {R"({"event":"track","payload":1})", no_map},
  };
  for (const auto& [payload, reply] : refused) EXPECT_EQ(Call(ann, Message(payload)), reply) << payload;
  for (std::string_view nothing : {"{}", "[]", "null", "7", R"({"type":"presence","payload":{"x":1}})"}) {
    EXPECT_EQ(Call(ann, Message(nothing)), kOk) << nothing;
  }
  EXPECT_EQ(Diffs(bob), Texts());
  EXPECT_EQ(Call(ann, Message(R"({"event":"TrAcK"})")), kOk);
  EXPECT_NE(Diffs(bob).at(0).find(R"("}]}},"leaves":{}})"), std::string::npos) << "tracks {}";
  EXPECT_EQ(Call(ann, Message(R"({"event":"UNTRACK"})")), kOk);
  EXPECT_EQ(Diffs(bob).size(), 1u);
}

TEST_F(EnginePresenceTest, AnOversizePayloadIsRefusedAndTheChannelStays) {
  settings_.max_payload_size = 20;
  Restart();
  SessionId ann = Member("ann");
  SessionId bob = Member("bob");
  EXPECT_EQ(Track(ann, R"({"x":"0123456789012"})"), Refusal("Track message size exceeded"));
  EXPECT_EQ(Diffs(bob), Texts());
  EXPECT_EQ(Track(ann, R"({"x":"012345678901"})"), kOk);
  EXPECT_EQ(Diffs(bob).size(), 1u);
}

TEST_F(EnginePresenceTest, TooManyMembersAreOversizeToo) {
  SessionId ann = Member("ann");
  std::string payload = "{";
  for (int i = 0; i < 200000; ++i) payload += (i > 0 ? ",\"\":0" : "\"\":0");
  EXPECT_EQ(Track(ann, payload + "}"), Refusal("Track message size exceeded"));
}

TEST_F(EnginePresenceTest, CallsOfOneChannelAreLimited) {
  settings_.presence_calls = Settings().presence_calls;
  Restart();
  SessionId ann = Member("ann");
  SessionId bob = Member("bob");
  Say(ann, PresenceJoin("ann", "", "realtime:other"));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Track(ann, "{\"x\":" + std::to_string(i) + "}"), kOk);
  EXPECT_EQ(Call(ann, UntrackMessage()), kOk);
  EXPECT_EQ(Diffs(bob).size(), 5u);
  EXPECT_EQ(Track(ann, "{}"), Refusal("Client presence rate limit exceeded"));
  EXPECT_EQ(Call(ann, UntrackMessage()), Refusal("Client presence rate limit exceeded"));
  EXPECT_EQ(Call(ann, TrackMessage("{}", "realtime:other")), kOk) << "a channel of its own";
  EXPECT_EQ(Diffs(bob), Texts());
  Advance(5999);
  EXPECT_EQ(Track(ann, "{}"), Refusal("Client presence rate limit exceeded"));
  Advance(1);
  EXPECT_EQ(Track(ann, "{}"), kOk);
  EXPECT_EQ(Diffs(bob).size(), 1u);
}

TEST_F(EnginePresenceTest, CallsOfAllAreLimited) {
  settings_.presence_events = {2, 1000, 2};
  Restart();
  SessionId ann = Member("ann");
  SessionId bob = Member("bob");
  EXPECT_EQ(Track(ann, "{}"), kOk);
  EXPECT_EQ(Track(bob, "{}"), kOk);
  EXPECT_EQ(Track(bob, R"({"x":1})"), Refusal("Too many presence messages per second"));
  EXPECT_EQ(Call(ann, UntrackMessage()), Refusal("Too many presence messages per second"));
  Diffs(bob);
  engine_->Disconnected(ann);
  EXPECT_EQ(Diffs(bob).size(), 1u) << "an end is told in any case";
  Advance(500);
  EXPECT_EQ(Track(bob, R"({"x":1})"), kOk);
}

TEST_F(EnginePresenceTest, OneConnectionCannotTrackWithoutEnd) {
  settings_.max_client_queue = 1u << 30;
  Restart();
  SessionId ann = Connect();
  const std::string payload = R"({"x":")" + std::string(2900000, 'x') + "\"}";
  auto track = [&](std::string topic, std::string_view tracked) {
    engine_->Receive(ann, PresenceJoin("ann", "", topic), false, now_);
    sink_.TakeTexts(ann);
    return Call(ann, TrackMessage(tracked, topic));
  };
  EXPECT_EQ(track("realtime:1", payload), kOk);
  EXPECT_EQ(track("realtime:2", payload), kOk);
  EXPECT_EQ(track("realtime:3", payload), Refusal("This connection tracks too much"));
  EXPECT_EQ(Call(ann, TrackMessage("{}", "realtime:2")), kOk);
  EXPECT_EQ(track("realtime:3", payload), kOk);
}

TEST_F(EnginePresenceTest, AllConnectionsTogetherCannotTrackWithoutEnd) {
  settings_.max_queue_memory = 4000;
  Restart();
  SessionId ann = Member("ann");
  SessionId bob = Connect();
  engine_->Receive(bob, PresenceJoin("bob", "", "realtime:2"), false, now_);
  sink_.TakeTexts(bob);
  const std::string payload = R"({"x":")" + std::string(600, 'x') + "\"}";
  EXPECT_EQ(Track(ann, payload), kOk);
  EXPECT_EQ(Call(bob, TrackMessage(payload, "realtime:2")), Refusal("Too much is tracked by all clients"));
  EXPECT_EQ(Track(ann, R"({"y":")" + std::string(600, 'x') + "\"}"), kOk) << "in place of the old one";
  engine_->Disconnected(ann);
  EXPECT_EQ(Call(bob, TrackMessage(payload, "realtime:2")), kOk);
}

TEST_F(EnginePresenceTest, AStateFitsAClientsQueue) {
  settings_.max_client_queue = 4000;
  Restart();
  SessionId ann = Member("ann");
  SessionId bob = Member("bob");
  const std::string payload = R"({"x":")" + std::string(600, 'x') + "\"}";
  EXPECT_EQ(Track(ann, payload), kOk);
  EXPECT_EQ(Track(bob, payload), Refusal("Too much is tracked on this topic"));
  EXPECT_EQ(Track(bob, "{}"), kOk);
  EXPECT_EQ(Track(ann, R"({"y":")" + std::string(600, 'x') + "\"}"), kOk) << "in place of the old one";
  engine_->Disconnected(ann);
  EXPECT_EQ(Track(bob, payload), kOk);
}

TEST_F(EnginePresenceTest, AStateOfKeysThatGrowWhenWrittenFitsAClientsQueue) {
  settings_.max_client_queue = 40000;
  Restart();
  std::string key;
  for (int i = 0; i < 1000; ++i) key += "\\u0001";
  int tracked = 0;
  for (int i = 0; i < 20; ++i) tracked += Track(Member(key + std::to_string(i)), "{}") == kOk;
  EXPECT_EQ(tracked, 1);
  SessionId late = Connect();
  engine_->Receive(late, PresenceJoin("late"), false, now_);
  EXPECT_LT(Hear(late, "presence_state").at(0).size(), settings_.max_client_queue);
}

// ---- large rooms ----

class LargeRoomTest : public EnginePresenceTest {
 protected:
  static constexpr size_t kMembers = 300;

  void Fill() {
    for (size_t i = 0; i < kMembers; ++i) members_.push_back(Member("m" + std::to_string(i)));
  }
  void TrackAll() {
    for (SessionId member : members_) ASSERT_EQ(Track(member, "{}"), kOk);
  }
  // Until all changes are told.
  void Settle() { Advance(100); }

  std::vector<SessionId> members_;
};

TEST_F(LargeRoomTest, ChangesAreToldTogether) {
  SessionId watcher = Member("watcher");
  Fill();
  TrackAll();
  Texts early = Diffs(watcher);
  EXPECT_EQ(early, Texts());
  EXPECT_EQ(engine_->NextDeadline(), now_.mono_ms + 100);
  Settle();
  Texts joins = Diffs(watcher);
  ASSERT_EQ(joins.size(), 1u);
  PresenceFold fold;
  ASSERT_EQ(fold.Apply(joins[0]), "");
  EXPECT_EQ(fold.there.size(), kMembers);

  for (size_t i = 1; i < kMembers / 2; ++i) engine_->Disconnected(members_[i]);
  EXPECT_EQ(Diffs(watcher), Texts());
  Settle();
  Texts leaves = Diffs(watcher);
  ASSERT_EQ(leaves.size(), 1u);
  ASSERT_EQ(fold.Apply(leaves[0]), "");
  EXPECT_EQ(fold.there.size(), kMembers / 2 + 1);
  EXPECT_EQ(Diffs(members_[0]).size(), 2u) << "all hear the same";
  EXPECT_GT(engine_->NextDeadline(), now_.mono_ms + 1000) << "nothing is left to tell";
}

TEST_F(LargeRoomTest, ADiffOfEverythingFitsAClientsQueue) {
  settings_.max_client_queue = 400000;
  Restart();
  Fill();
  for (char x : {'x', 'y'}) {
    for (SessionId member : members_) Track(member, R"({"x":")" + std::string(600, x) + "\"}");
    Settle();
    Texts diffs = Diffs(members_[0]);
    ASSERT_EQ(diffs.size(), 1u);
    EXPECT_LT(diffs[0].size(), settings_.max_client_queue);
  }
}

TEST_F(LargeRoomTest, WhoJoinsInBetweenMissesNothingAndHearsNothingTwice) {
  Fill();
  TrackAll();
  Settle();
  Track(members_[0], R"({"x":1})");
  engine_->Disconnected(members_[1]);
  SessionId late = Connect();
  PresenceFold fold;
  engine_->Receive(late, PresenceJoin("late"), false, now_);
  ASSERT_EQ(fold.Reset(Hear(late, "presence_state").at(0)), "");
  Track(late, "{}");
  Settle();
  Texts diffs = Diffs(late);
  ASSERT_EQ(diffs.size(), 1u);
  ASSERT_EQ(fold.Apply(diffs[0]), "");
  EXPECT_EQ(fold.there.size(), kMembers);
  EXPECT_FALSE(fold.there.contains("m1"));
  EXPECT_EQ(fold.there["m0"].begin()->second["x"], "1");

  PresenceFold later;
  SessionId last = Connect();
  engine_->Receive(last, PresenceJoin("last"), false, now_);
  ASSERT_EQ(later.Reset(Hear(last, "presence_state").at(0)), "");
  EXPECT_EQ(later.there, fold.there);
}

TEST_F(LargeRoomTest, OneStateServesAllWhoJoinBetweenTwoDiffs) {
  Fill();
  TrackAll();
  Settle();
  auto state = [&](std::string_view ref, std::string_view vsn = "2.0.0") {
    SessionId session = Connect(std::string(vsn));
    std::string r(ref);
    std::string config = R"({"config":{"presence":{"enabled":true}}})";
    Texts said = Say(session, vsn == "2.0.0" ? "[\"" + r + "\",\"" + r + R"(","realtime:room","phx_join",)" + config + "]"
                                             : R"({"topic":"realtime:room","event":"phx_join","ref":")" + r +
                                                   R"(","payload":)" + config + "}");
    EXPECT_EQ(said.size(), 2u);
    return said.back();
  };
  auto text = [](std::string_view ref, std::string_view payload) {
    return "[\"" + std::string(ref) + R"(",null,"realtime:room","presence_state",)" + std::string(payload) + "]";
  };
  const std::string head = R"(["1",null,"realtime:room","presence_state",)";
  std::string first = state("1");
  ASSERT_TRUE(first.starts_with(head));
  std::string payload = first.substr(head.size(), first.size() - head.size() - 1);
  PresenceFold fold;
  ASSERT_EQ(fold.Reset(payload), "");
  EXPECT_EQ(fold.there.size(), kMembers);
  EXPECT_EQ(state("1"), first);
  EXPECT_EQ(state("22"), text("22", payload));
  EXPECT_EQ(state("1"), first);
  std::string v1 = R"({"event":"presence_state","payload":)" + payload + R"(,"ref":null,"topic":"realtime:room"})";
  EXPECT_EQ(state("1", "1.0.0"), v1);
  EXPECT_EQ(state("2", "1.0.0"), v1);
  EXPECT_EQ(state("1"), first);
  engine_->Disconnected(members_[0]);
  EXPECT_EQ(state("1"), first) << "the leave is yet to be told";
  Settle();
  PresenceFold later;
  std::string next = state("1");
  ASSERT_EQ(later.Reset(next.substr(head.size(), next.size() - head.size() - 1)), "");
  EXPECT_EQ(later.there.size(), kMembers - 1);
}

TEST_F(LargeRoomTest, ARoomThatShrinksTellsWhatIsLeft) {
  SessionId watcher = Member("watcher");
  Fill();
  TrackAll();
  Settle();
  Diffs(watcher);
  for (SessionId member : members_) engine_->Disconnected(member);
  EXPECT_EQ(Diffs(watcher), Texts());
  Settle();
  EXPECT_EQ(Diffs(watcher).size(), 1u);
  Track(watcher, "{}");
  SessionId other = Member("other");
  Track(other, "{}");
  EXPECT_EQ(Diffs(watcher).size(), 1u) << "at once again";
}

TEST_F(LargeRoomTest, ARoomThatEndsIsForgotten) {
  Fill();
  TrackAll();
  for (SessionId member : members_) engine_->Disconnected(member);
  SessionId next = Member("next");
  Settle();
  EXPECT_EQ(Take(next).size(), 0u);
  EXPECT_EQ(engine_->session_count(), 1u);
}

TEST_F(LargeRoomTest, NobodyIsToldOfTheOthersWhenAllEndTogether) {
  SessionId ann = Member("ann", "realtime:small");
  SessionId bob = Member("bob", "realtime:small");
  ASSERT_EQ(Call(ann, TrackMessage("{}", "realtime:small")), kOk);
  ASSERT_EQ(Call(bob, TrackMessage("{}", "realtime:small")), kOk);
  Fill();
  TrackAll();
  Settle();
  sink_.frames.clear();
  engine_->DrainAll();
  EXPECT_EQ(Diffs(ann), Texts());
  EXPECT_EQ(Diffs(bob), Texts());
  for (SessionId member : members_) EXPECT_EQ(Diffs(member), Texts());
}

}  // namespace
}  // namespace realtime
