#include "core/slow_tables.h"

#include <gtest/gtest.h>

namespace realtime {
namespace {

constexpr uint32_t kSlow = 1;
constexpr uint32_t kOther = 2;

TEST(SlowTablesTest, WhatIsFastNeverYields) {
  SlowTables tables;
  for (int64_t now = 0; now < 1000; ++now) tables.Judged(kSlow, SlowTables::kSlowMs - 1, now);
  EXPECT_TRUE(tables.empty());
  EXPECT_FALSE(tables.MustYield(kSlow, 1000));
}

// Half of it comes back while it lasts.
constexpr int64_t kAll = 2 * SlowTables::kBurstMs;

TEST(SlowTablesTest, ATableThatHasUsedUpTheAccountYieldsAndTheOthersDoNot) {
  SlowTables tables;
  tables.Judged(kSlow, kAll, kAll);
  EXPECT_TRUE(tables.MustYield(kSlow, kAll));
  EXPECT_FALSE(tables.MustYield(kOther, kAll));
}

TEST(SlowTablesTest, WhatFitsIntoTheBurstDoesNotYield) {
  SlowTables tables;
  tables.Judged(kSlow, kAll - 1, kAll);
  EXPECT_FALSE(tables.MustYield(kSlow, kAll));
}

TEST(SlowTablesTest, TheOthersHaveAsLongAsTheyHadToWait) {
  SlowTables tables;
  tables.Judged(kSlow, kAll, kAll);
  tables.Judged(kSlow, 800, kAll + 800);
  EXPECT_TRUE(tables.MustYield(kSlow, kAll + 1599));
  EXPECT_FALSE(tables.MustYield(kSlow, kAll + 1601));
}

TEST(SlowTablesTest, WhatWasDoneWhileNobodyWaitedIsNotOwed) {
  SlowTables tables;
  for (int64_t now = kAll; now <= 100 * kAll; now += kAll) tables.Judged(kSlow, kAll, now);
  EXPECT_TRUE(tables.MustYield(kSlow, 101 * kAll - 1));
  EXPECT_FALSE(tables.MustYield(kSlow, 101 * kAll + 1));
}

TEST(SlowTablesTest, SlowTablesShareOneAccount) {
  SlowTables tables;
  tables.Judged(kSlow, kAll / 2, kAll / 2);
  tables.Judged(kOther, kAll / 2, kAll);
  EXPECT_TRUE(tables.MustYield(kSlow, kAll));
  EXPECT_TRUE(tables.MustYield(kOther, kAll));
}

TEST(SlowTablesTest, AFastChangeInBetweenChangesNothing) {
  SlowTables tables;
  tables.Judged(kSlow, 1000, 1000);
  tables.Judged(kSlow, 0, 1000);
  EXPECT_TRUE(tables.MustYield(kSlow, 1000));
}

TEST(SlowTablesTest, NothingIsRememberedOfTablesThatWereNotSlowForLong) {
  SlowTables tables;
  tables.Judged(kSlow, 1000, 1000);
  EXPECT_TRUE(tables.MustYield(kSlow, 1100));
  EXPECT_FALSE(tables.MustYield(kSlow, 1700));
  EXPECT_FALSE(tables.empty());
  EXPECT_FALSE(tables.MustYield(kSlow, 3000));
  EXPECT_TRUE(tables.empty());
}

}  // namespace
}  // namespace realtime
