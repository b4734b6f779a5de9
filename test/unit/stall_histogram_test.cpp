#include "core/stall_histogram.h"

#include <gtest/gtest.h>

namespace realtime {
namespace {

TEST(StallHistogram, NothingIsZero) {
  StallHistogram stalls;
  EXPECT_EQ(stalls.Quantile(0.99, 1000), 0);
}

TEST(StallHistogram, RoundsUpByAQuarterAtMost) {
  for (int64_t us = 0; us < 5000000; us = us * 5 / 4 + 1) {
    StallHistogram stalls;
    stalls.Add(us, 1000);
    EXPECT_GE(stalls.Quantile(0.99, 1000), us);
    EXPECT_LE(stalls.Quantile(0.99, 1000), us + us / 4 + 1) << us;
  }
}

TEST(StallHistogram, SurvivesAnyValue) {
  StallHistogram stalls;
  stalls.Add(-5, 1000);
  stalls.Add(INT64_MAX, 1000);
  EXPECT_GT(stalls.Quantile(1, 1000), int64_t{1} << 32);
  EXPECT_EQ(stalls.Quantile(0.5, 1000), 0);
}

TEST(StallHistogram, OneInAHundredDoesNotCountAndTwoDo) {
  StallHistogram stalls;
  for (int i = 0; i < 99; ++i) stalls.Add(3, 1000);
  stalls.Add(1000000, 1000);
  EXPECT_EQ(stalls.Quantile(0.99, 1000), 3);
  stalls.Add(1000000, 1000);
  EXPECT_GE(stalls.Quantile(0.99, 1000), 1000000);
}

TEST(StallHistogram, ForgetsAfterTwoPeriods) {
  StallHistogram stalls;
  stalls.Add(1000, 0);
  EXPECT_GE(stalls.Quantile(0.99, StallHistogram::kPeriodMs), 1000);
  stalls.Add(1, StallHistogram::kPeriodMs + 1);
  EXPECT_GE(stalls.Quantile(0.99, 2 * StallHistogram::kPeriodMs - 1), 1000);
  EXPECT_EQ(stalls.Quantile(0.99, 2 * StallHistogram::kPeriodMs), 1);
  EXPECT_EQ(stalls.Quantile(0.99, 9 * StallHistogram::kPeriodMs), 0);
}

}  // namespace
}  // namespace realtime
