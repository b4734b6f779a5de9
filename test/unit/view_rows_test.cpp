#include "core/view_rows.h"

#include <cstring>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

namespace realtime {
namespace {

std::vector<std::optional<std::string>> Values(const ViewRows& rows) {
  std::vector<std::optional<std::string>> values;
  const std::string& bytes = rows.bytes();
  for (size_t at = 0; at < bytes.size();) {
    int32_t length = 0;
    memcpy(&length, bytes.data() + at, sizeof(length));
    at += sizeof(length);
    if (length < 0) {
      values.emplace_back();
      continue;
    }
    values.emplace_back(bytes.substr(at, static_cast<size_t>(length)));
    at += static_cast<size_t>(length);
  }
  return values;
}

TEST(ViewRows, KeepsValuesInOrder) {
  ViewRows rows;
  rows.Number(UINT64_MAX);
  rows.Bool(true);
  rows.Null();
  rows.Text("");
  rows.Seconds(1700000000007);
  rows.EndRow();
  EXPECT_EQ(rows.count(), 1u);
  const std::vector<std::optional<std::string>> expected = {"18446744073709551615", "t", std::nullopt, "", "1700000000.007"};
  EXPECT_EQ(Values(rows), expected);
}

TEST(ViewRows, CutsTextAtACharacter) {
  ViewRows rows;
  rows.Text(std::string(kMaxViewText - 1, 'a') + "\xC3\xA4");
  rows.Text(std::string(kMaxViewText - 2, 'a') + "\xC3\xA4");
  rows.Text(std::string(kMaxViewText + 10, '\x80'));
  EXPECT_EQ(Values(rows)[0]->size(), kMaxViewText - 1);
  EXPECT_EQ(Values(rows)[1]->size(), kMaxViewText);
  EXPECT_LE(Values(rows)[2]->size(), kMaxViewText);
}

TEST(ViewRows, HoldsNoNul) {
  ViewRows rows;
  rows.Text(std::string("a\0b\0", 4));
  EXPECT_EQ(Values(rows)[0], "a?b?");
}

TEST(ViewRows, IsFullAtItsBounds) {
  ViewRows rows;
  for (size_t i = 0; i + 1 < kMaxViewRows; ++i) rows.EndRow();
  EXPECT_FALSE(rows.full());
  ViewRows one;
  one.EndRow();
  rows.Append(one);
  EXPECT_TRUE(rows.full());
}

}  // namespace
}  // namespace realtime
