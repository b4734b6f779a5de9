#include "core/slow_tables.h"

#include <gtest/gtest.h>

namespace realtime {
namespace {

constexpr uint32_t kSlow = 1;
constexpr uint32_t kOther = 2;
// All that can be spent at once: half of it comes back while it lasts.
constexpr int64_t kAll = 2 * SlowTables::kBurstMs;

class SlowTablesTest : public ::testing::Test {
 protected:
  // The table takes so long, and others wait.
  void Take(uint32_t table, int64_t ms, bool others_wait = true) {
    now_ += ms;
    tables_.Judged(table, ms, now_, others_wait, &samples_[table]);
  }
  bool MustYield(uint32_t table) { return tables_.MustYield(table, now_); }
  // When it need not any more.
  int64_t YieldsFor(uint32_t table) {
    const int64_t begin = now_;
    while (MustYield(table)) ++now_;
    return now_ - begin;
  }

  SlowTables tables_;
  SlowTables::Sample samples_[3];
  int64_t now_ = 1000000;
};

TEST_F(SlowTablesTest, WhatIsFastNeverYields) {
  for (int i = 0; i < 10000; ++i) Take(kSlow, i % 10 == 0 ? 4 : 0);  // as a clock with steps of 4 ms sees rows of 0.4 ms
  EXPECT_TRUE(tables_.empty());
  EXPECT_FALSE(MustYield(kSlow));
}

TEST_F(SlowTablesTest, ATableThatHasUsedUpTheAccountYieldsAndTheOthersDoNot) {
  Take(kSlow, kAll);
  EXPECT_TRUE(MustYield(kSlow));
  EXPECT_FALSE(MustYield(kOther));
}

TEST_F(SlowTablesTest, WhatFitsIntoTheBurstDoesNotYield) {
  Take(kSlow, kAll - 1);
  EXPECT_FALSE(MustYield(kSlow));
}

TEST_F(SlowTablesTest, TheOthersHaveAsLongAsTheyHadToWait) {
  Take(kSlow, kAll);
  Take(kSlow, 800);
  EXPECT_NEAR(static_cast<double>(YieldsFor(kSlow)), 800, 2);
}

TEST_F(SlowTablesTest, ManyChangesThatTakeSomeMillisecondsCountTogether) {
  for (int i = 0; i < 1000; ++i) Take(kSlow, 7);
  EXPECT_NEAR(static_cast<double>(YieldsFor(kSlow)), 7000 - kAll, SlowTables::kSampleMs);
}

TEST_F(SlowTablesTest, WhatManyTablesTookIsOwedByEach) {
  Take(kSlow, kAll);
  Take(kOther, 1000);
  EXPECT_TRUE(MustYield(kOther));
  EXPECT_NEAR(static_cast<double>(YieldsFor(kSlow)), 1000, 2);
}

TEST_F(SlowTablesTest, WhatWasDoneWhileNobodyWaitedIsNotOwedButForItsLastPart) {
  for (int i = 0; i < 100; ++i) Take(kSlow, 500, false);
  EXPECT_NEAR(static_cast<double>(YieldsFor(kSlow)), 500, 2);
}

TEST_F(SlowTablesTest, AFastChangeInBetweenChangesNothing) {
  Take(kSlow, 1000);
  Take(kSlow, 0);
  EXPECT_TRUE(MustYield(kSlow));
}

// Something held it up, once.
TEST_F(SlowTablesTest, ATableWhoseChangesAreFastAgainIsForgotten) {
  Take(kSlow, SlowTables::kSlowMs);
  EXPECT_TRUE(tables_.Has(kSlow));
  for (int i = 0; i < 1000; ++i) Take(kSlow, i % 10 == 0 ? 4 : 0);
  EXPECT_FALSE(tables_.Has(kSlow));
}

TEST_F(SlowTablesTest, ATableThatWasNotSlowForLongIsForgotten) {
  Take(kSlow, 1000);
  now_ += SlowTables::kForgetMs;
  EXPECT_FALSE(MustYield(kSlow));
  EXPECT_FALSE(tables_.empty());
  ++now_;
  EXPECT_FALSE(MustYield(kSlow));
  EXPECT_TRUE(tables_.empty());
}

TEST_F(SlowTablesTest, TablesThatAreGoneForLongAreNotKept) {
  for (uint32_t table = 10; table < 10010; ++table) tables_.Judged(table, 20, now_, true, &samples_[0]);
  now_ += SlowTables::kForgetMs + 1;
  tables_.Judged(kSlow, 20, now_, true, &samples_[0]);
  EXPECT_FALSE(tables_.MustYield(10, now_));
  tables_.MustYield(kSlow, now_ + SlowTables::kForgetMs + 1);
  EXPECT_TRUE(tables_.empty());
}

}  // namespace
}  // namespace realtime
