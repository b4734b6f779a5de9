// Topics whose names a client has chosen so that they share one hash.
#include "core/topics.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/session.h"

namespace realtime {
namespace {

// What std::hash of a string is in libstdc++ on 64 bits (MurmurHash64A): each block of eight bytes is mixed by a function that
// has an inverse, so after any first block there is a second that leads to a wanted state.
constexpr uint64_t kMul = 0xc6a4a7935bd1e995u;
uint64_t Fold(uint64_t x) { return x ^ (x >> 47); }

uint64_t Inverse(uint64_t odd) {
  uint64_t x = odd;
  for (int i = 0; i < 6; ++i) x *= 2 - odd * x;
  return x;
}

uint64_t BlockOf(const char* bytes) {
  uint64_t block;
  memcpy(&block, bytes, sizeof(block));
  return Fold(block * kMul) * kMul;
}

// Topics' key begins with a letter of its own, 'o' for public ones.
std::vector<std::string> SameHash(size_t count) {
  constexpr char kStart[] = "oroom123";
  const uint64_t inverse = Inverse(kMul);
  const uint64_t begin = ((0xc70f6907u ^ (24 * kMul)) ^ BlockOf(kStart)) * kMul;
  std::mt19937_64 random(1);
  std::vector<std::string> names;
  while (names.size() < count) {
    char text[25] = "";
    memcpy(text, kStart, 8);
    const uint64_t bits = random();
    for (int i = 0; i < 8; ++i) text[8 + i] = static_cast<char>('0' + ((bits >> (6 * i)) & 63));
    const uint64_t state = (begin ^ BlockOf(text + 8)) * kMul;
    const uint64_t second = Fold((state ^ 0x123456789abcdefu) * inverse) * inverse;
    memcpy(text + 16, &second, 8);
    bool printable = true;
    for (int i = 16; i < 24; ++i) printable = printable && text[i] > ' ' && text[i] < 0x7f;
    if (printable) names.emplace_back(text + 1, 23);
  }
  return names;
}

int64_t UsToJoinAndLeave(const std::vector<std::string>& names) {
  std::vector<std::unique_ptr<Channel>> channels;
  for (const std::string& name : names) {
    channels.push_back(std::make_unique<Channel>());
    channels.back()->topic = "realtime:" + name;
  }
  Topics topics;
  auto start = std::chrono::steady_clock::now();
  for (auto& channel : channels) topics.Join(channel.get());
  for (auto& channel : channels) EXPECT_EQ(topics.Find(false, channel->subtopic()), channel->room);
  for (auto& channel : channels) topics.Leave(channel.get());
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
}

TEST(TopicsTest, NamesOfOneHashCostNoMoreThanOthers) {
  constexpr size_t kCount = 10000;
  std::vector<std::string> same = SameHash(kCount);
  std::unordered_set<size_t> hashes;
  for (const std::string& name : same) hashes.insert(std::hash<std::string>()("o" + name));
  if (hashes.size() != 1) GTEST_SKIP() << "this library has another hash";
  std::vector<std::string> usual;
  for (size_t i = 0; i < kCount; ++i) usual.push_back("room" + std::to_string(100000 + i) + "-------------");
  UsToJoinAndLeave(usual);
  // Each searched among all others would be a hundred million steps.
  EXPECT_LT(UsToJoinAndLeave(same), 10 * UsToJoinAndLeave(usual) + 10000);
}

}  // namespace
}  // namespace realtime
