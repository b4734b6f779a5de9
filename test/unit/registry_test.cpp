// Who gets which commit: start points, and bindings that are held back until they have caught up.
#include "pg/registry.h"

#include <gtest/gtest.h>

#include <chrono>

namespace realtime {
namespace {

constexpr uint32_t kXid = 1000;  // of the commits here: at or behind every snapshot's xmin, so that positions alone decide

std::shared_ptr<const StartPoint> StartAt(uint64_t lsn) {
  auto start = std::make_shared<StartPoint>();
  start->xmin = start->xmax = kXid + 1;
  start->lsn = lsn;
  return start;
}

Subscribe Request(ChannelId channel, const std::string& claims = "{}", std::vector<uint32_t> binding_ids = {1}) {
  Subscribe request;
  request.channel = channel;
  auto identity = std::make_shared<Identity>();
  identity->role = "authenticated";
  identity->claims = claims;
  request.identity = identity;
  for (uint32_t id : binding_ids) {
    Binding binding;
    binding.id = id;
    binding.schema = "public";
    binding.table = "t";
    request.bindings.push_back(binding);
  }
  return request;
}

// Each (channel, binding) that gets the commit.
std::vector<std::pair<ChannelId, uint32_t>> Receivers(const Registry& registry, uint64_t commit_lsn) {
  std::vector<std::pair<ChannelId, uint32_t>> receivers;
  for (const std::shared_ptr<Audience>& audience : registry.audiences()) {
    TargetList targets = audience->TargetsFor(kXid, commit_lsn);
    if (!targets) continue;
    for (const Target& target : *targets) receivers.emplace_back(target.channel, target.binding_id);
  }
  return receivers;
}
using List = std::vector<std::pair<ChannelId, uint32_t>>;

TEST(Registry, AChannelGetsCommitsFromItsStartPointOn) {
  Registry registry;
  registry.Add(Request(1), nullptr);
  registry.Add(Request(2), StartAt(100));
  EXPECT_EQ(Receivers(registry, 99), (List{{1, 1}}));
  EXPECT_EQ(Receivers(registry, 100), (List{{1, 1}, {2, 1}}));
  registry.OnCommit(99);
  EXPECT_EQ(Receivers(registry, 99), (List{{1, 1}}));
  registry.OnCommit(100);
  EXPECT_EQ(Receivers(registry, 99), (List{{1, 1}, {2, 1}})) << "all that comes now is behind it";
}

TEST(Registry, OneCommitSettlesOnlyWhoStartsBeforeIt) {
  Registry registry;
  for (ChannelId id = 1; id <= 3; ++id) registry.Add(Request(id), StartAt(id * 100));
  registry.OnCommit(200);
  EXPECT_EQ(Receivers(registry, 50), (List{{1, 1}, {2, 1}}));
  registry.OnCommit(300);
  EXPECT_EQ(Receivers(registry, 50), (List{{1, 1}, {2, 1}, {3, 1}}));
}

TEST(Registry, WhoLeavesBeforeHisStartIsForgotten) {
  Registry registry;
  registry.Add(Request(1), StartAt(100));
  registry.Remove(1);
  registry.Add(Request(1), StartAt(200));  // the same channel once more
  registry.OnCommit(150);
  EXPECT_EQ(Receivers(registry, 150), List{}) << "the first start point was another subscription's";
  registry.OnCommit(200);
  EXPECT_EQ(Receivers(registry, 150), (List{{1, 1}}));
}

TEST(Registry, ANewIdentityKeepsTheStartPoint) {
  Registry registry;
  registry.Add(Request(1, "old"), StartAt(100));
  registry.Add(Request(1, "new"), StartAt(500));
  EXPECT_EQ(Receivers(registry, 99), List{});
  EXPECT_EQ(Receivers(registry, 100), (List{{1, 1}}));
}

TEST(Registry, AHeldBindingGetsNothingAndItsNeighbourEverything) {
  Registry registry;
  registry.Add(Request(1, "{}", {1, 2}), nullptr);
  ASSERT_TRUE(registry.Hold(1, 1));
  EXPECT_EQ(Receivers(registry, 10), (List{{1, 2}}));
  EXPECT_NE(registry.Held(1, 1), nullptr);
  EXPECT_EQ(registry.Held(1, 2), nullptr);
  registry.Release(1, 1);
  EXPECT_EQ(registry.Held(1, 1), nullptr);
  EXPECT_EQ(Receivers(registry, 10), (List{{1, 1}, {1, 2}}));
}

TEST(Registry, ABindingIsHeldAcrossANewIdentity) {
  Registry registry;
  registry.Add(Request(1, "old"), StartAt(100));
  ASSERT_TRUE(registry.Hold(1, 1));
  registry.Add(Request(1, "new"), StartAt(100));
  EXPECT_EQ(Receivers(registry, 200), List{});
  ASSERT_NE(registry.Held(1, 1), nullptr);
  EXPECT_EQ(registry.Held(1, 1)->identity->claims, "new");
}

TEST(Registry, WhatIsReleasedGetsCommitsFromBeforeItsStartPointAlsoAfterANewIdentity) {
  Registry registry;
  registry.Add(Request(1, "old", {1, 2}), StartAt(100));
  ASSERT_TRUE(registry.Hold(1, 1));
  registry.Release(1, 1);  // caught up with a stream that is behind the start point
  EXPECT_EQ(Receivers(registry, 60), (List{{1, 1}}));
  registry.Add(Request(1, "new", {1, 2}), StartAt(100));
  EXPECT_EQ(Receivers(registry, 60), (List{{1, 1}}));
  EXPECT_EQ(Receivers(registry, 100), (List{{1, 1}, {1, 2}}));
}

TEST(Registry, AChannelOrBindingThatIsNotThereIsNeverHeld) {
  Registry registry;
  EXPECT_FALSE(registry.Hold(7, 1));
  EXPECT_EQ(registry.Held(7, 1), nullptr);
  registry.Release(7, 1);
  registry.Add(Request(7), nullptr);
  ASSERT_TRUE(registry.Hold(7, 9));
  EXPECT_EQ(registry.Held(7, 9), nullptr);
  EXPECT_EQ(Receivers(registry, 1), (List{{7, 1}}));
}

TEST(Registry, DeadAudiencesGoWithANewLayout) {
  Registry registry;
  const uint64_t layout = registry.layout();
  for (ChannelId id = 1; id <= 200; ++id) registry.Add(Request(id, std::to_string(id)), nullptr);
  std::weak_ptr<Audience> first = registry.audiences().front();
  for (ChannelId id = 1; id <= 199; ++id) registry.Remove(id);
  EXPECT_NE(registry.layout(), layout);
  EXPECT_TRUE(first.expired());
  EXPECT_LT(registry.audiences().size(), 100u);
  EXPECT_EQ(Receivers(registry, 1), (List{{200, 1}}));
}

// Each of these was a pass over all others once: 10^10 steps take a minute, and 10^5 no second.
TEST(Registry, AHundredThousandComeHoldLeaveAndStartWithoutLookingAtEachOther) {
  constexpr ChannelId kChannels = 100000;
  Registry registry;
  const auto begin = std::chrono::steady_clock::now();
  for (ChannelId id = 1; id <= kChannels; ++id) registry.Add(Request(id), StartAt(id));
  for (ChannelId id = 1; id <= kChannels; ++id) ASSERT_TRUE(registry.Hold(id, 1));
  registry.OnCommit(kChannels / 2);
  for (ChannelId id = kChannels; id >= 1; --id) registry.Release(id, 1);
  EXPECT_EQ(Receivers(registry, 1).size(), kChannels);
  for (ChannelId id = kChannels; id >= 1; --id) registry.Remove(id);
  EXPECT_EQ(registry.channel_count(), 0u);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

}  // namespace
}  // namespace realtime
