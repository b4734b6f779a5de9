#include "core/burst.h"

#include <gtest/gtest.h>

namespace realtime {
namespace {

constexpr size_t kMuch = Burst::kWorthwhile;
constexpr int64_t kNever = INT64_MAX;

TEST(BurstTest, LittleIsNoBurst) {
  Burst burst;
  burst.Note(kMuch - 1, 1000);
  burst.Note(0, 1001);
  EXPECT_EQ(burst.Deadline(), kNever);
  EXPECT_FALSE(burst.TakeEnd(1001 + 10 * Burst::kQuietMs));
}

TEST(BurstTest, ItEndsOnceAfterATimeWithLittle) {
  Burst burst;
  burst.Note(kMuch, 1000);
  burst.Note(kMuch / 2, 5000);
  burst.Note(kMuch / 4, 6000);
  EXPECT_EQ(burst.Deadline(), 5000 + Burst::kQuietMs);
  EXPECT_FALSE(burst.TakeEnd(5000 + Burst::kQuietMs - 1));
  EXPECT_TRUE(burst.TakeEnd(5000 + Burst::kQuietMs));
  burst.Note(kMuch / 4, 5000 + Burst::kQuietMs + 1);
  EXPECT_FALSE(burst.TakeEnd(kNever - 1));
}

TEST(BurstTest, WhatComesInWavesDoesNotEndBetweenThem) {
  Burst burst;
  int64_t now = 1000;
  for (int wave = 0; wave < 10; ++wave) {
    burst.Note(kMuch, now);
    burst.Note(0, now + 1);
    now += Burst::kQuietMs - 1;
    EXPECT_FALSE(burst.TakeEnd(now));
  }
  EXPECT_TRUE(burst.TakeEnd(now + 1));
}

}  // namespace
}  // namespace realtime
