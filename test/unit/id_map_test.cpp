#include "core/id_map.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <random>

namespace realtime {
namespace {

std::array<int, 4096> g_values;

void ExpectSame(const IdMap<int>& map, const std::map<uint64_t, int*>& model) {
  ASSERT_EQ(map.size(), model.size());
  ASSERT_EQ(map.empty(), model.empty());
  std::map<uint64_t, int*> seen;
  for (const auto& [id, value] : map) ASSERT_TRUE(seen.emplace(id, value).second) << "twice: " << id;
  ASSERT_EQ(seen, model);
}

TEST(IdMap, FindsWhatWasPutInAndNothingElse) {
  IdMap<int> map;
  EXPECT_EQ(map.find(1), map.end());
  map.erase(1);
  for (uint64_t id = 1; id <= 1000; ++id) map.emplace(id, &g_values[id]);
  for (uint64_t id = 1; id <= 1000; ++id) {
    ASSERT_NE(map.find(id), map.end());
    ASSERT_EQ(map.find(id)->second, &g_values[id]);
  }
  EXPECT_EQ(map.find(1001), map.end());
  EXPECT_EQ(map.find(0), map.end());
  map.erase(0);
  EXPECT_EQ(map.size(), 1000U);
  EXPECT_EQ(map.find(uint64_t{1} << 40), map.end());
}

// Ids that come and go, some neighbours and some far apart, against std::map.
TEST(IdMap, AgreesWithAnOrdinaryMap) {
  std::mt19937_64 random(7);
  for (uint64_t range : {20U, 300U, 4000U}) {
    IdMap<int> map;
    std::map<uint64_t, int*> model;
    for (int step = 0; step < 20000; ++step) {
      const uint64_t id = 1 + random() % range * (random() % 8 == 0 ? uint64_t{1} << 33 : 1);
      const bool there = model.contains(id);
      ASSERT_EQ(map.find(id) != map.end(), there);
      if (there) {
        ASSERT_EQ(map.find(id)->second, model[id]);
      }
      if (there && random() % 2 == 0) {
        map.erase(id);
        model.erase(id);
      } else if (!there) {
        int* value = &g_values[random() % g_values.size()];
        map.emplace(id, value);
        model.emplace(id, value);
      }
      if (step % 1000 == 0) ExpectSame(map, model);
    }
    while (!model.empty()) {
      map.erase(model.begin()->first);
      model.erase(model.begin());
    }
    ExpectSame(map, model);
  }
}

}  // namespace
}  // namespace realtime
