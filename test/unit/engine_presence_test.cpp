// Who hears what when members of a room track, update, untrack and go.
#include <set>

#include "presence_fixture.h"

namespace realtime {
namespace {

TEST_F(EnginePresenceTest, TestPresenceJoin) {
  SessionId ann = Connect();
  EXPECT_EQ(Say(ann, PresenceJoin("ann")),
            (Texts{R"(["1","1","realtime:room","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}])",
                   R"(["1",null,"realtime:room","presence_state",{}])"}));
  Texts said = Say(ann, TrackMessage(R"({"user":"ann"})"));
  ASSERT_EQ(said.size(), 2u);
  EXPECT_EQ(said[1], R"(["1","7","realtime:room","phx_reply",{"status":"ok","response":{}}])");
  const std::string head = R"([null,null,"realtime:room","presence_diff",{"joins":{"ann":{"metas":[{"phx_ref":")";
  ASSERT_TRUE(said[0].starts_with(head)) << said[0];
  std::string ref = said[0].substr(head.size(), 16);
  EXPECT_EQ(said[0], head + ref + R"(","user":"ann"}]}},"leaves":{}}])");

  SessionId bob = Connect();
  Texts joined = Say(bob, PresenceJoin("bob"));
  ASSERT_EQ(joined.size(), 2u);
  EXPECT_EQ(joined[1], R"(["1",null,"realtime:room","presence_state",{"ann":{"metas":[{"phx_ref":")" + ref +
                           R"(","user":"ann"}]}}])");
  EXPECT_EQ(Diffs(ann), Texts()) << "joining alone is no presence";
  Say(bob, TrackMessage(R"({"user":"bob"})"));
  Texts diffs = Diffs(ann);
  ASSERT_EQ(diffs.size(), 1u);
  EXPECT_NE(RefIn(diffs[0], "joins", "bob"), "");
  EXPECT_NE(RefIn(diffs[0], "joins", "bob"), ref);
}

TEST_F(EnginePresenceTest, TestPresenceLeave) {
  SessionId watcher = Member("watcher");
  auto end_of = [&](std::string_view how, auto end) {
    SessionId session = Member("ann");
    Track(session, R"({"user":"ann"})");
    Texts joins = Diffs(watcher);
    ASSERT_EQ(joins.size(), 1u) << how;
    end(session);
    EXPECT_EQ(Diffs(session), Texts()) << how << ": its own end is no news to it";
    EXPECT_EQ(Diffs(watcher), Texts{R"({"joins":{},"leaves":{"ann":{"metas":[{"phx_ref":")" +
                                    RefIn(joins[0], "joins", "ann") + R"(","user":"ann"}]}}})"}) << how;
    EXPECT_EQ(Say(watcher, PresenceJoin("watcher")).back(), R"(["1",null,"realtime:room","presence_state",{}])") << how;
    engine_->Disconnected(session);
    EXPECT_EQ(Diffs(watcher), Texts()) << how << ": told twice";
  };
  end_of("phx_leave", [&](SessionId id) { engine_->Receive(id, R"(["1","9","realtime:room","phx_leave",{}])", false, now_); });
  end_of("socket loss", [&](SessionId id) { engine_->Disconnected(id); });
  end_of("cut off", [&](SessionId id) { engine_->CutSlow(id, "test"); });
  end_of("another join", [&](SessionId id) { engine_->Receive(id, PresenceJoin("ann"), false, now_); });
  end_of("a bad token", [&](SessionId id) {
    engine_->Receive(id, R"(["1","9","realtime:room","access_token",{"access_token":"x"}])", false, now_);
  });
  end_of("silence", [&](SessionId) {
    Advance(settings_.idle_timeout_ms / 2);
    engine_->Alive(watcher, now_);
    Advance(settings_.idle_timeout_ms / 2);
  });
}

TEST_F(EnginePresenceTest, AnUpdateIsOneDiff) {
  SessionId ann = Member("ann");
  SessionId bob = Member("bob", kRoom, false);
  Track(ann, R"({"x":1})");
  std::string first = RefIn(Diffs(bob).at(0), "joins", "ann");
  Track(ann, R"({"x":2})");
  Texts diffs = Diffs(bob);
  ASSERT_EQ(diffs.size(), 1u);
  std::string second = RefIn(diffs[0], "joins", "ann");
  EXPECT_NE(first, second);
  EXPECT_EQ(diffs[0], R"({"joins":{"ann":{"metas":[{"phx_ref":")" + second + R"(","phx_ref_prev":")" + first +
                          R"(","x":2}]}},"leaves":{"ann":{"metas":[{"phx_ref":")" + first + R"(","x":1}]}}})");
}

TEST_F(EnginePresenceTest, TheSamePayloadIsNoNews) {
  SessionId ann = Member("ann");
  Track(ann, R"({"x":1,"y":2})");
  EXPECT_EQ(Say(ann, TrackMessage(R"({"y":2,"x":1})")),
            Texts{R"(["1","7","realtime:room","phx_reply",{"status":"ok","response":{}}])"});
}

TEST_F(EnginePresenceTest, UntrackIsToldToAllAndTheSenderToo) {
  SessionId ann = Member("ann");
  SessionId bob = Member("bob");
  Track(ann, R"({"x":1})");
  std::string ref = RefIn(Diffs(bob).at(0), "joins", "ann");
  std::string diff = R"({"joins":{},"leaves":{"ann":{"metas":[{"phx_ref":")" + ref + R"(","x":1}]}}})";
  EXPECT_EQ(Say(ann, UntrackMessage()),
            (Texts{R"([null,null,"realtime:room","presence_diff",)" + diff + "]",
                   R"(["1","7","realtime:room","phx_reply",{"status":"ok","response":{}}])"}));
  EXPECT_EQ(Diffs(bob), Texts{diff});
  EXPECT_EQ(Say(ann, UntrackMessage()).size(), 1u) << "nothing is tracked any more";
  Say(ann, TrackMessage(R"({"x":1})"));
  std::string again = Diffs(bob).at(0);
  EXPECT_EQ(again.find("phx_ref_prev"), std::string::npos);
  EXPECT_NE(RefIn(again, "joins", "ann"), ref);
}

TEST_F(EnginePresenceTest, TwoTabsAreTwoMetasOfOneKey) {
  SessionId first = Member("ann");
  SessionId second = Member("ann");
  Track(first, R"({"tab":1})");
  Track(second, R"({"tab":2})");
  SessionId third = Connect();
  PresenceFold fold;
  engine_->Receive(third, PresenceJoin("bob"), false, now_);
  ASSERT_EQ(fold.Reset(Hear(third, "presence_state").at(0)), "");
  EXPECT_EQ(fold.there["ann"].size(), 2u);
  engine_->Disconnected(first);
  ASSERT_EQ(fold.Apply(Diffs(third).at(0)), "");
  ASSERT_EQ(fold.there["ann"].size(), 1u);
  EXPECT_EQ(fold.there["ann"].begin()->second["tab"], "2");
}

TEST_F(EnginePresenceTest, WithoutAKeyEveryJoinGetsItsOwn) {
  SessionId watcher = Member("watcher");
  SessionId ann = Member("");
  Track(ann, R"({"x":1})");
  Say(ann, PresenceJoin(""));
  Track(ann, R"({"x":1})");
  PresenceFold fold;
  std::set<std::string> keys;
  for (const std::string& diff : Diffs(watcher)) {
    EXPECT_EQ(fold.Apply(diff), "");
    for (const auto& [key, metas] : fold.there) keys.insert(key);
  }
  EXPECT_EQ(keys.size(), 2u);
  for (const std::string& key : keys) EXPECT_EQ(key.size(), 36u) << key;
}

TEST_F(EnginePresenceTest, PublicMembersHearOfPresenceWithoutAsking) {
  SessionId quiet = Connect();
  EXPECT_EQ(Say(quiet, PresenceJoin("quiet", "", kRoom, false)).size(), 1u) << "no state";
  SessionId ann = Member("ann");
  Track(ann, "{}");
  std::vector<Heard> heard = Take(quiet);
  ASSERT_EQ(heard.size(), 1u);
  EXPECT_EQ(heard[0].event, "presence_diff");
  EXPECT_EQ(heard[0].join_ref, "null");
  Track(quiet, R"({"me":true})");
  EXPECT_NE(RefIn(Diffs(ann).at(0), "joins", "quiet"), "");
  EXPECT_EQ(Hear(quiet, "presence_state"), Texts());
}

TEST_F(EnginePresenceTest, OtherTopicsHearNothing) {
  SessionId ann = Member("ann");
  SessionId other = Member("other", "realtime:room2");
  SessionId insider = PrivateMember("insider", Rights::All());
  Track(ann, "{}");
  engine_->Disconnected(ann);
  EXPECT_EQ(Take(other).size(), 0u);
  EXPECT_EQ(Take(insider).size(), 0u) << "a private topic of the same name is another topic";
}

TEST_F(EnginePresenceTest, Version1) {
  SessionId v1 = Connect("1.0.0");
  SessionId v2 = Member("bob");
  Texts joined = Say(v1, R"({"topic":"realtime:room","event":"phx_join","payload":{"config":{"presence":{"key":"ann","enabled":true}}},"ref":"1"})");
  ASSERT_EQ(joined.size(), 2u);
  EXPECT_EQ(joined[1], R"({"event":"presence_state","payload":{},"ref":null,"topic":"realtime:room"})");
  Texts said = Say(v1, R"({"topic":"realtime:room","event":"presence","payload":{"event":"track","payload":{"x":1}},"ref":"2"})");
  std::string diff = Diffs(v2).at(0);
  EXPECT_EQ(said, (Texts{R"({"event":"presence_diff","payload":)" + diff + R"(,"ref":null,"topic":"realtime:room"})",
                         R"({"event":"phx_reply","payload":{"status":"ok","response":{}},"ref":"2","topic":"realtime:room"})"}));
}

TEST_F(EnginePresenceTest, OneFrameForAllOfOneVersion) {
  SessionId ann = Member("ann");
  SessionId bob = Member("bob");
  engine_->Receive(ann, TrackMessage("{}"), false, now_);
  EXPECT_EQ(sink_.frames[ann].at(0), sink_.frames[bob].at(0));
  EXPECT_EQ(sink_.frames[bob].at(0).use_count(), 2);
}

// ---- private channels ----

TEST_F(EnginePresenceTest, PrivateMembersNeedTheRightToRead) {
  SessionId ann = PrivateMember("ann", Rights::All());
  SessionId deaf = PrivateMember("deaf", {.read_broadcast = true, .write_presence = true});
  Track(ann, "{}");
  EXPECT_EQ(Take(deaf).size(), 0u);
  EXPECT_EQ(Track(deaf, "{}"), kOk);
  EXPECT_NE(RefIn(Diffs(ann).at(0), "joins", "deaf"), "");
}

TEST_F(EnginePresenceTest, PrivateMembersNeedTheRightToWrite) {
  SessionId ann = PrivateMember("ann", {.read_presence = true});
  SessionId bob = PrivateMember("bob", Rights::All());
  EXPECT_EQ(Track(ann, "{}"), Refusal("Unauthorized: You do not have permissions to write presence on this Channel "
                                      "topic: room"));
  EXPECT_EQ(Call(ann, UntrackMessage()), kOk) << "there is nothing to take back";
  EXPECT_EQ(Diffs(bob), Texts());
  Track(bob, "{}");
  EXPECT_EQ(Diffs(ann).size(), 1u) << "the channel stays";
}

TEST_F(EnginePresenceTest, PrivateMembersWhoDidNotAskHearFromTheirFirstTrackOn) {
  SessionId ann = PrivateMember("ann", Rights::All());
  SessionId quiet = PrivateMember("quiet", Rights::All(), false);
  Track(ann, R"({"x":1})");
  EXPECT_EQ(Take(quiet).size(), 0u);
  engine_->Receive(quiet, TrackMessage("{}"), false, now_);
  std::vector<Heard> heard = Take(quiet);
  ASSERT_EQ(heard.size(), 2u);
  EXPECT_EQ(heard[0].event, "presence_diff");
  EXPECT_EQ(heard[0].join_ref, "\"1\"");
  EXPECT_EQ(Take(ann).back().join_ref, "null");
  engine_->Receive(quiet, UntrackMessage(), false, now_);
  EXPECT_EQ(Take(quiet).at(0).event, "presence_diff");
  Track(ann, R"({"x":2})");
  EXPECT_EQ(Diffs(quiet).size(), 1u);
}

TEST_F(EnginePresenceTest, WhoMayWriteNoLongerIsPresentNoLonger) {
  SessionId ann = PrivateMember("ann", Rights::All());
  SessionId bob = PrivateMember("bob", Rights::All());
  Track(ann, "{}");
  std::string ref = RefIn(Diffs(bob).at(0), "joins", "ann");
  engine_->Receive(ann, R"(["1","9","realtime:room","access_token",{"access_token":")" +
                            TokenFor("anon", kStartS + 7200, "ann") + "\"}]", false, now_);
  Grant({.read_presence = true});
  EXPECT_EQ(RefIn(Diffs(bob).at(0), "leaves", "ann"), ref);
  EXPECT_EQ(RefIn(Diffs(ann).at(0), "leaves", "ann"), ref);
}

TEST_F(EnginePresenceTest, WhoMayReadFromNowOnGetsTheState) {
  SessionId ann = PrivateMember("ann", Rights::All());
  SessionId bob = PrivateMember("bob", {.read_broadcast = true});
  Track(ann, R"({"n":1})");
  EXPECT_EQ(Take(bob).size(), 0u);
  auto present_token = [&](std::string_view sub) {
    engine_->Receive(bob, R"(["1","9","realtime:room","access_token",{"access_token":")" +
                              TokenFor("anon", kStartS + 7200, std::string(sub)) + "\"}]", false, now_);
  };
  present_token("bob");
  Grant(Rights::All());
  EXPECT_EQ(Hear(bob, "presence_state").size(), 1u);
  present_token("bob again");
  Grant(Rights::All());
  EXPECT_EQ(Take(bob).size(), 0u) << "once is enough";
  Track(ann, R"({"n":2})");
  EXPECT_EQ(Diffs(bob).size(), 1u);
}

TEST_F(EnginePresenceTest, StateOfAJoinUnderWayHoldsTheDiffsSinceItsBeginning) {
  SessionId ann = PrivateMember("ann", Rights::All());
  SessionId bob = Connect();
  engine_->Receive(bob, PresenceJoin("bob", R"(,"private":true,"postgres_changes":)" + std::string(kTodos)), false, now_);
  Grant(Rights::All());
  Track(ann, "{}");
  EXPECT_EQ(Take(bob).size(), 0u);
  EXPECT_EQ(Call(bob, TrackMessage("{}")), Refusal("The channel is not joined yet"));
  Answer(TakeSubscribe(), SubscribeResult::Outcome::kLive);
  std::vector<std::string> events;
  for (const Heard& heard : Take(bob)) events.push_back(heard.event);
  EXPECT_EQ(events, (Texts{"phx_reply", "presence_state", "system"}));
}

}  // namespace
}  // namespace realtime
