#include "core/wal_position.h"

#include <gtest/gtest.h>

namespace realtime {
namespace {

TEST(WalPosition, IsFormattedAsPostgresDoes) {
  EXPECT_EQ(FormatWalPosition(0), "0/0");
  EXPECT_EQ(FormatWalPosition(0x16B3748), "0/16B3748");
  EXPECT_EQ(FormatWalPosition(0x16B374D848), "16/B374D848");
  EXPECT_EQ(FormatWalPosition(0x100000000), "1/0");
  EXPECT_EQ(FormatWalPosition(UINT64_MAX), "FFFFFFFF/FFFFFFFF");
}

TEST(WalPosition, ComesBackAsItWas) {
  for (uint64_t position = 1; position != 0; position <<= 1) {
    EXPECT_EQ(ParseWalPosition(FormatWalPosition(position)), position);
    EXPECT_EQ(ParseWalPosition(FormatWalPosition(position - 1)), position - 1);
  }
}

}  // namespace
}  // namespace realtime
