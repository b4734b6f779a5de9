#include "core/presence.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "presence_fold.h"

namespace realtime {
namespace {

PresenceMeta Of(std::string key) {
  PresenceMeta meta;
  meta.key = std::move(key);
  return meta;
}

class PresenceTest : public ::testing::Test {
 protected:
  bool Track(PresenceMeta* meta, std::string_view payload) {
    Result<json::Value> parsed = json::ParseShallow(payload);
    EXPECT_TRUE(parsed.ok()) << payload;
    return presence_.Track(meta, parsed.value, &names_);
  }
  // The diff that follows, empty when nothing has changed.
  std::string Tracked(PresenceMeta* meta, std::string_view payload) {
    return Track(meta, payload) ? presence_.TakeDiff() : "";
  }
  std::string Untracked(PresenceMeta* meta) { return presence_.Untrack(meta) ? presence_.TakeDiff() : ""; }

  NameSource names_{1};
  Presence presence_;
  PresenceMeta ann_ = Of("ann");
  PresenceMeta bob_ = Of("bob");
};

TEST(NameSource, RefsAreSixteenCharactersAndNeverTheSame) {
  NameSource names(7);
  std::set<std::string> seen;
  for (int i = 0; i < 20000; ++i) {
    std::string ref = names.Ref();
    ASSERT_EQ(ref.size(), 16u);
    ASSERT_EQ(ref.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
              std::string::npos) << ref;
    ASSERT_TRUE(seen.insert(ref).second);
  }
  std::set<char> last_characters;
  for (const std::string& ref : seen) last_characters.insert(ref.back());
  EXPECT_EQ(last_characters.size(), 64u);
}

TEST(NameSource, UuidsHaveTheirFormAndNeverTheSame) {
  NameSource names(7);
  std::set<std::string> seen;
  for (int i = 0; i < 20000; ++i) {
    std::string uuid = names.Uuid();
    ASSERT_EQ(uuid.size(), 36u);
    for (size_t at = 0; at < uuid.size(); ++at) {
      bool dash = at == 8 || at == 13 || at == 18 || at == 23;
      std::string_view allowed = dash ? "-" : at == 14 ? "4" : at == 19 ? "89ab" : "0123456789abcdef";
      ASSERT_NE(allowed.find(uuid[at]), std::string_view::npos) << uuid;
    }
    ASSERT_TRUE(seen.insert(uuid).second);
  }
}

TEST(NameSource, AnotherSeedGivesOtherNames) {
  std::set<std::string> seen;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    NameSource names(seed * 0x100000001u);
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(seen.insert(names.Ref()).second);
  }
}

TEST_F(PresenceTest, FirstTrackJoins) {
  EXPECT_EQ(presence_.State(), "{}");
  std::string diff = Tracked(&ann_, R"({"user":"ann","at":1})");
  EXPECT_EQ(diff, R"({"joins":{"ann":{"metas":[{"phx_ref":")" + ann_.ref +
                      R"(","at":1,"user":"ann"}]}},"leaves":{}})");
  EXPECT_EQ(presence_.State(), R"({"ann":{"metas":[{"phx_ref":")" + ann_.ref + R"(","at":1,"user":"ann"}]}})");
}

TEST_F(PresenceTest, AnEmptyPayloadHasOnlyItsRef) {
  std::string diff = Tracked(&ann_, "{}");
  EXPECT_EQ(diff, R"({"joins":{"ann":{"metas":[{"phx_ref":")" + ann_.ref + R"("}]}},"leaves":{}})");
  EXPECT_EQ(Tracked(&ann_, " { } "), "");
}

TEST_F(PresenceTest, AnUpdateJoinsAndLeavesInOneDiff) {
  Tracked(&ann_, R"({"x":1})");
  std::string old_ref = ann_.ref;
  std::string diff = Tracked(&ann_, R"({"x":2})");
  EXPECT_NE(ann_.ref, old_ref);
  EXPECT_EQ(diff, R"({"joins":{"ann":{"metas":[{"phx_ref":")" + ann_.ref + R"(","phx_ref_prev":")" + old_ref +
                      R"(","x":2}]}},"leaves":{"ann":{"metas":[{"phx_ref":")" + old_ref + R"(","x":1}]}}})");
  EXPECT_EQ(presence_.State(), R"({"ann":{"metas":[{"phx_ref":")" + ann_.ref + R"(","x":2}]}})");
}

TEST_F(PresenceTest, TheSamePayloadChangesNothing) {
  Tracked(&ann_, R"({"x":1,"y":[1, 2]})");
  std::string ref = ann_.ref;
  EXPECT_EQ(Tracked(&ann_, R"({"x":1,"y":[1, 2]})"), "");
  EXPECT_EQ(Tracked(&ann_, R"( { "y" : [1, 2] , "x" : 1 } )"), "") << "in another order";
  EXPECT_EQ(Tracked(&ann_, R"({"y":0,"x":7,"y":[1, 2],"x":1})"), "") << "the last of equal names counts";
  EXPECT_EQ(Tracked(&ann_, R"({"\u0078":1,"y":[1, 2]})"), "") << "x, spelled otherwise";
  EXPECT_EQ(Tracked(&ann_, R"({"x":1,"y":[1, 2],"phx_ref":"mine"})"), "") << "no member of the payload";
  EXPECT_EQ(ann_.ref, ref);
  for (std::string_view other : {R"({"x":1})", R"({"x":1,"y":[2, 1]})", R"({"x":"1","y":[2, 1]})", "{}",
                                 R"({"x":1,"y":[1, 2],"z":null})"}) {
    EXPECT_NE(Tracked(&ann_, other), "") << other;
  }
}

TEST_F(PresenceTest, RefsOfThePayloadAreStripped) {
  std::string diff = Tracked(&ann_, R"({"phx_ref":"mine","a":1,"phx_ref_prev":{"x":1},"phx_ref_":2,"\u0070hx_ref":3})");
  EXPECT_EQ(diff, R"({"joins":{"ann":{"metas":[{"phx_ref":")" + ann_.ref +
                      R"(","a":1,"phx_ref_":2}]}},"leaves":{}})");
}

TEST_F(PresenceTest, ValuesAreForwardedAsTheyCame) {
  std::string diff = Tracked(&ann_, R"({"a":1.50e+2,"b":{ "c" : [ ] },"d":"\u00e9\/"})");
  EXPECT_NE(diff.find(R"("a":1.50e+2,"b":{ "c" : [ ] },"d":"\u00e9\/"})"), std::string::npos) << diff;
}

TEST_F(PresenceTest, UntrackLeavesWithTheLastMeta) {
  EXPECT_EQ(Untracked(&ann_), "");
  Tracked(&ann_, R"({"x":1})");
  Tracked(&ann_, R"({"x":2})");
  std::string ref = ann_.ref;
  EXPECT_EQ(Untracked(&ann_), R"({"joins":{},"leaves":{"ann":{"metas":[{"phx_ref":")" + ref + R"(","x":2}]}}})");
  EXPECT_FALSE(ann_.tracked());
  EXPECT_TRUE(presence_.empty());
  EXPECT_EQ(presence_.State(), "{}");
  EXPECT_EQ(Untracked(&ann_), "");
  std::string again = Tracked(&ann_, R"({"x":2})");
  EXPECT_NE(ann_.ref, ref);
  EXPECT_EQ(again.find("phx_ref_prev"), std::string::npos);
}

TEST_F(PresenceTest, SeveralMetasUnderOneKey) {
  PresenceMeta tab = Of("ann");
  Tracked(&ann_, R"({"tab":1})");
  Tracked(&bob_, "{}");
  Tracked(&tab, R"({"tab":2})");
  EXPECT_EQ(presence_.State(), R"({"ann":{"metas":[{"phx_ref":")" + ann_.ref + R"(","tab":1},{"phx_ref":")" + tab.ref +
                                   R"(","tab":2}]},"bob":{"metas":[{"phx_ref":")" + bob_.ref + R"("}]}})");
  std::string diff = Untracked(&ann_);
  EXPECT_EQ(diff.find(tab.ref), std::string::npos);
  EXPECT_EQ(presence_.State(), R"({"ann":{"metas":[{"phx_ref":")" + tab.ref + R"(","tab":2}]},"bob":{"metas":[{"phx_ref":")" +
                                   bob_.ref + R"("}]}})");
}

TEST_F(PresenceTest, KeysAreQuoted) {
  PresenceMeta odd = Of("a\"\\\n\xc3\xa9");
  std::string diff = Tracked(&odd, "{}");
  EXPECT_EQ(diff, "{\"joins\":{\"a\\\"\\\\\\n\xc3\xa9\":{\"metas\":[{\"phx_ref\":\"" + odd.ref + "\"}]}},\"leaves\":{}}");
}

TEST_F(PresenceTest, ManyMembersAreNoTrouble) {
  std::string payload = "{";
  for (int i = 0; i < 90000; ++i) payload += (i > 0 ? ",\"" : "\"") + std::to_string(i % 45000) + "\":" + std::to_string(i);
  payload += "}";
  EXPECT_NE(Tracked(&ann_, payload), "");
  EXPECT_EQ(Tracked(&ann_, payload), "");
  PresenceFold fold;
  EXPECT_EQ(fold.Reset(presence_.State()), "");
  EXPECT_EQ(fold.there["ann"][ann_.ref].size(), 45000u);
  EXPECT_EQ(fold.there["ann"][ann_.ref]["44999"], "89999");
}

// ---- several changes in one diff ----

TEST_F(PresenceTest, ChangesOfSeveralAreToldTogether) {
  Tracked(&ann_, R"({"x":1})");
  std::string ann_ref = ann_.ref;
  Track(&ann_, R"({"x":2})");
  Track(&ann_, R"({"x":3})");
  Track(&bob_, "{}");
  EXPECT_EQ(presence_.TakeDiff(),
            R"({"joins":{"ann":{"metas":[{"phx_ref":")" + ann_.ref + R"(","phx_ref_prev":")" + ann_ref +
                R"(","x":3}]},"bob":{"metas":[{"phx_ref":")" + bob_.ref + R"("}]}},"leaves":{"ann":{"metas":[{"phx_ref":")" +
                ann_ref + R"(","x":1}]}}})");
  EXPECT_EQ(presence_.TakeDiff(), "");
}

TEST_F(PresenceTest, WhoCameAndWentInBetweenWasNeverThere) {
  Track(&ann_, "{}");
  presence_.Untrack(&ann_);
  EXPECT_EQ(presence_.TakeDiff(), "");

  Tracked(&ann_, R"({"x":1})");
  std::string ref = ann_.ref;
  Track(&ann_, R"({"x":2})");
  presence_.Untrack(&ann_);
  EXPECT_EQ(presence_.TakeDiff(), R"({"joins":{},"leaves":{"ann":{"metas":[{"phx_ref":")" + ref + R"(","x":1}]}}})");
}

TEST_F(PresenceTest, TheStateIsWhatTheDiffsHaveTold) {
  PresenceMeta zoe = Of("zoe");
  PresenceMeta tab = Of("bob");
  PresenceFold fold;
  ASSERT_EQ(fold.Apply(Tracked(&ann_, R"({"x":1})")), "");
  ASSERT_EQ(fold.Apply(Tracked(&bob_, R"({"x":1})")), "");
  ASSERT_EQ(fold.Apply(Tracked(&zoe, R"({"x":1})")), "");
  ASSERT_EQ(fold.Apply(Tracked(&tab, R"({"tab":2})")), "");
  std::string told = presence_.State();
  Track(&bob_, R"({"x":2})");
  presence_.Untrack(&ann_);
  presence_.Untrack(&zoe);
  PresenceFold newcomer;
  ASSERT_EQ(newcomer.Reset(presence_.State()), "");
  EXPECT_EQ(newcomer.there, fold.there);
  std::string diff = presence_.TakeDiff();
  EXPECT_EQ(newcomer.Apply(diff), "");
  EXPECT_EQ(fold.Apply(diff), "");
  EXPECT_EQ(newcomer.there.size(), 1u);
  EXPECT_EQ(newcomer.there["bob"].size(), 2u);
  ASSERT_EQ(fold.Reset(presence_.State()), "");
  EXPECT_EQ(newcomer.there, fold.there);
}

// A key counts as long as it is written.
TEST_F(PresenceTest, SizeIsOfWhatIsThere) {
  EXPECT_EQ(presence_.size(), 0u);
  Track(&ann_, R"({"x":1})");
  EXPECT_EQ(presence_.size(), 5u + 5u);
  Track(&ann_, R"({"x":100})");
  EXPECT_EQ(presence_.size(), 5u + 7u);
  Track(&bob_, "{}");
  EXPECT_EQ(presence_.size(), 5u + 7u + 5u);
  presence_.Untrack(&ann_);
  presence_.Untrack(&bob_);
  EXPECT_EQ(presence_.size(), 0u);
}

}  // namespace
}  // namespace realtime
