#include "core/stall_clock.h"

#include <gtest/gtest.h>

namespace realtime {
namespace {

constexpr int64_t kLimitMs = 1000;

TEST(StallClock, CountsFromTheFirstLookAtAPosition) {
  StallClock clock;
  EXPECT_FALSE(clock.Expired(10, 20, 5000, kLimitMs));
  EXPECT_FALSE(clock.Expired(10, 20, 6000, kLimitMs));
  EXPECT_TRUE(clock.Expired(10, 20, 6001, kLimitMs));
}

TEST(StallClock, StartsOverWhenThePositionMoves) {
  StallClock clock;
  EXPECT_FALSE(clock.Expired(10, 20, 0, kLimitMs));
  EXPECT_FALSE(clock.Expired(11, 20, 900, kLimitMs));
  EXPECT_FALSE(clock.Expired(11, 30, 1900, kLimitMs));
  EXPECT_TRUE(clock.Expired(11, 30, 1901, kLimitMs));
}

TEST(StallClock, NothingToConfirmIsNoStall) {
  StallClock clock;
  EXPECT_FALSE(clock.Expired(20, 20, 0, kLimitMs));
  EXPECT_FALSE(clock.Expired(20, 20, 900000, kLimitMs));
  EXPECT_FALSE(clock.Expired(20, 21, 901000, kLimitMs));
  EXPECT_TRUE(clock.Expired(20, 21, 901001, kLimitMs));
}

TEST(StallClock, ALargeTransactionThatIsReadIsNoStall) {
  StallClock clock;
  EXPECT_FALSE(clock.Expired(10, 20, 0, kLimitMs));
  for (int64_t second = 1; second <= 3600; second++) {
    for (int i = 0; i < 100; i++) clock.OnMessage();
    ASSERT_FALSE(clock.Expired(10, 20, second * 1000, kLimitMs)) << second;
  }
  EXPECT_TRUE(clock.Expired(10, 20, 3601001, kLimitMs)) << "and once the reading stops, the limit counts";
}

TEST(StallClock, ATricklingTransactionIsAStall) {
  StallClock clock;
  int64_t now_ms = 0;
  while (!clock.Expired(10, 20, now_ms, kLimitMs)) {
    clock.OnMessage();
    now_ms += 100;
    ASSERT_LT(now_ms, 2 * kLimitMs);
  }
  EXPECT_GT(now_ms, kLimitMs);
}

TEST(StallClock, WhatWasReadBeforeBuysNothing) {
  StallClock clock;
  for (int i = 0; i < 100000; i++) clock.OnMessage();
  EXPECT_FALSE(clock.Expired(10, 20, 0, kLimitMs));
  EXPECT_TRUE(clock.Expired(10, 20, 1001, kLimitMs));
}

TEST(StallClock, ZeroIsNoLimitAndANewOneCountsFromTheSamePoint) {
  StallClock clock;
  EXPECT_FALSE(clock.Expired(10, 20, 0, 0));
  EXPECT_FALSE(clock.Expired(10, 20, 1000000, 0));
  EXPECT_TRUE(clock.Expired(10, 20, 1000001, kLimitMs));
}

TEST(StallClock, RestartForgetsThePosition) {
  StallClock clock;
  EXPECT_FALSE(clock.Expired(10, 20, 0, kLimitMs));
  clock.Restart();
  EXPECT_FALSE(clock.Expired(10, 20, 5000, kLimitMs));
  EXPECT_FALSE(clock.Expired(10, 20, 6000, kLimitMs));
}

}  // namespace
}  // namespace realtime
