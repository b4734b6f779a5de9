#include "core/join.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"

namespace realtime {
namespace {

constexpr int kDepth = 64;

JoinRequest Join(std::string_view payload, std::string_view subtopic = "room") {
  Result<JoinRequest> join = ParseJoin(subtopic, payload, kDepth);
  EXPECT_TRUE(join.ok()) << payload << ": " << join.status.message();
  return std::move(join.value);
}

JoinRequest JoinWith(std::string_view changes) {
  return Join(std::string("{\"config\":{\"postgres_changes\":").append(changes).append("}}"));
}

std::string ErrorOf(std::string_view object) {
  JoinRequest join = JoinWith(std::string("[").append(object).append("]"));
  return join.binding_error.value_or("none");
}

std::string WithId(std::string_view front, const Binding& binding) {
  return std::string(front).append("\"id\":").append(std::to_string(binding.id)).append("}");
}

TEST(Join, WhatTheNewestClientSends) {
  JoinRequest join = Join(
      R"({"config":{"broadcast":{"ack":true,"self":false},"presence":{"key":"k","enabled":true},)"
      R"("postgres_changes":[],"private":true},"access_token":"a.b.c"})");
  EXPECT_TRUE(join.modern);
  EXPECT_TRUE(join.is_private);
  EXPECT_TRUE(join.broadcast_ack);
  EXPECT_FALSE(join.broadcast_self);
  EXPECT_TRUE(join.presence_enabled);
  EXPECT_EQ(join.presence_key, "k");
  EXPECT_EQ(join.token, "a.b.c");
  EXPECT_TRUE(join.bindings.empty());
  EXPECT_EQ(join.bindings_echo, "[]");
  EXPECT_FALSE(join.binding_error);
}

TEST(Join, BooleansMayBeStringsInAnyCase) {
  JoinRequest join = Join(R"({"config":{"broadcast":{"ack":"TRUE","self":"yes"},"private":"True","presence":{"enabled":1}}})");
  EXPECT_TRUE(join.broadcast_ack);
  EXPECT_FALSE(join.broadcast_self);
  EXPECT_TRUE(join.is_private);
  EXPECT_FALSE(join.presence_enabled);
}

TEST(Join, WrongTypesAreTolerated) {
  for (const char* payload :
       {R"({"config":null})", R"({"config":"x"})", R"({"config":{"broadcast":"x","presence":[],"private":null}})",
        R"({"config":{"postgres_changes":null}})", R"({"config":{"postgres_changes":{}}})",
        R"({"config":{"postgres_changes":"x"},"access_token":5})"}) {
    JoinRequest join = Join(payload);
    EXPECT_TRUE(join.modern) << payload;
    EXPECT_FALSE(join.is_private) << payload;
    EXPECT_FALSE(join.token) << payload;
    EXPECT_EQ(join.bindings_echo, "[]") << payload;
    EXPECT_FALSE(join.binding_error) << payload;
  }
  EXPECT_EQ(Join(R"({"config":{"presence":{"key":17}}})").presence_key, "17");
  EXPECT_EQ(Join(R"({"config":{"presence":{"key":null}}})").presence_key, "");
}

TEST(Join, PayloadMustBeABoundedObject) {
  EXPECT_EQ(ParseJoin("r", "[]", kDepth).status.code(), Code::kMalformed);
  EXPECT_EQ(ParseJoin("r", "{", kDepth).status.code(), Code::kMalformed);
  EXPECT_EQ(ParseJoin("r", R"({"config":{"a":[[[]]]}})", 4).status.code(), Code::kTooLarge);
}

TEST(JoinToken, UserTokenWinsAndOpaqueKeysMeanTheConnection) {
  EXPECT_EQ(Join(R"({"config":{},"access_token":"a","user_token":"u"})").token, "u");
  EXPECT_EQ(Join(R"({"config":{},"access_token":"a","user_token":null})").token, "a");
  EXPECT_EQ(Join(R"({"config":{},"access_token":"sb_publishable_x"})").token, std::nullopt);
  EXPECT_EQ(Join(R"({"config":{},"access_token":"a","user_token":"sb_x"})").token, std::nullopt);
  EXPECT_EQ(Join(R"({"config":{},"access_token":null})").token, std::nullopt);
}

JoinRequest JoinWithReplay(std::string_view replay, std::string_view is_private = "true") {
  return Join(std::string("{\"config\":{\"private\":")
                  .append(is_private)
                  .append(",\"broadcast\":{\"replay\":")
                  .append(replay)
                  .append("}}}"));
}

TEST(JoinReplay, SinceAndLimit) {
  JoinRequest join = JoinWithReplay(R"({"since":1767323045678,"limit":10})");
  EXPECT_FALSE(join.replay_error);
  ASSERT_TRUE(join.replay);
  EXPECT_EQ(join.replay->since_ms, 1767323045678);
  EXPECT_EQ(join.replay->limit, 10);
}

TEST(JoinReplay, LimitIsOptionalAndClamped) {
  for (const auto& [limit, expected] : std::vector<std::pair<std::string, int>>{
           {"", 25}, {",\"limit\":null", 25}, {",\"limit\":0", 1}, {",\"limit\":-7", 1}, {",\"limit\":1", 1},
           {",\"limit\":26", 25}, {",\"limit\":9223372036854775807", 25}}) {
    JoinRequest join = JoinWithReplay("{\"since\":0" + limit + "}");
    ASSERT_TRUE(join.replay) << limit;
    EXPECT_EQ(join.replay->limit, expected) << limit;
  }
}

TEST(JoinReplay, OtherThingsThanIntegersAreRefused) {
  for (const char* replay :
       {"{}", R"({"limit":1})", R"({"since":null})", R"({"since":"1"})", R"({"since":1.5})", R"({"since":1,"limit":"5"})",
        R"({"since":1,"limit":2.5})", R"({"since":1,"limit":[]})", R"({"since":true})", R"({"since":-1})",
        R"({"since":253402300800000})", R"({"since":1e300})"}) {
    JoinRequest join = JoinWithReplay(replay);
    EXPECT_FALSE(join.replay) << replay;
    EXPECT_EQ(join.replay_error, "UnableToReplayMessages: Replay params are not valid") << replay;
  }
}

TEST(JoinReplay, IsForPrivateChannelsOnly) {
  for (const char* replay : {R"({"since":1})", "{}"}) {
    JoinRequest join = JoinWithReplay(replay, "false");
    EXPECT_FALSE(join.replay);
    EXPECT_EQ(join.replay_error, "UnableToReplayMessages: Replay is not allowed for public channels");
  }
}

TEST(JoinReplay, NothingIsAskedForByWhatIsNoObject) {
  for (const char* replay : {"null", "[]", "5", "\"x\"", "true"}) {
    for (const char* is_private : {"true", "false"}) {
      JoinRequest join = JoinWithReplay(replay, is_private);
      EXPECT_FALSE(join.replay) << replay;
      EXPECT_FALSE(join.replay_error) << replay;
    }
  }
}

TEST(JoinReady, AnythingButNullAndFalseAsksForIt) {
  auto ready = [](const std::string& value) {
    return Join("{\"config\":{\"broadcast\":{\"replication_ready\":" + value + "}}}").replication_ready;
  };
  for (const char* yes : {"true", "\"false\"", "\"\"", "0", "{}", "[]"}) EXPECT_TRUE(ready(yes)) << yes;
  for (const char* no : {"false", "null"}) EXPECT_FALSE(ready(no)) << no;
  EXPECT_FALSE(Join(R"({"config":{"broadcast":{}}})").replication_ready);
}

JoinRequest JoinWithOptions(std::string_view options) {
  return Join(std::string("{\"config\":{\"postgres_changes_options\":").append(options).append("}}"));
}

TEST(JoinChangesOptions, WaitAndTimeout) {
  JoinRequest join = JoinWithOptions(R"({"wait":true,"timeout":5000})");
  EXPECT_TRUE(join.wait);
  EXPECT_EQ(join.wait_timeout_ms, 5000);
  EXPECT_TRUE(JoinWithOptions(R"({"wait":"TRUE"})").wait);
  EXPECT_FALSE(JoinWithOptions(R"({"wait":1,"timeout":5000})").wait);
  for (const char* options : {"null", "[]", "5", "{}"}) {
    EXPECT_FALSE(JoinWithOptions(options).wait) << options;
    EXPECT_EQ(JoinWithOptions(options).wait_timeout_ms, 15000) << options;
  }
}

TEST(JoinChangesOptions, TimeoutIsClamped) {
  for (const auto& [timeout, expected] : std::vector<std::pair<std::string, int64_t>>{
           {"0", 0}, {"-1", 0}, {"20000", 20000}, {"20001", 20000}, {"1e300", 20000}, {"-1e300", 0}, {"1500.7", 1500},
           {"\"1\"", 15000}, {"null", 15000}, {"{}", 15000}, {"99999999999999999999", 20000}}) {
    EXPECT_EQ(JoinWithOptions("{\"timeout\":" + timeout + "}").wait_timeout_ms, expected) << timeout;
  }
}

TEST(JoinBindings, AreEchoedVerbatimWithAnId) {
  JoinRequest join = JoinWith(
      R"([{"event":"INSERT","schema":"public","table":"todos","filter":"id=eq.1","extra":{"x":[1]}},null,{ "schema" : "s" }])");
  ASSERT_EQ(join.bindings.size(), 2u);
  EXPECT_NE(join.bindings[0].id, 0u);
  EXPECT_NE(join.bindings[0].id, join.bindings[1].id);
  EXPECT_EQ(join.bindings_echo,
            "[" +
                WithId(R"({"event":"INSERT","schema":"public","table":"todos","filter":"id=eq.1","extra":{"x":[1]},)",
                       join.bindings[0]) +
                "," + WithId("{ \"schema\" : \"s\" ,", join.bindings[1]) + "]");
  EXPECT_FALSE(join.binding_error);
}

TEST(JoinBindings, AnIdOfTheClientsIsReplaced) {
  JoinRequest join = JoinWith(R"([{"id":7,"schema":"s","id":"x","t":[1, 2]},{"id":1}])");
  EXPECT_EQ(join.bindings_echo, "[" + WithId(R"({"schema":"s","t":[1, 2],)", join.bindings[0]) + "," +
                                    WithId("{", join.bindings[1]) + "]");
}

TEST(JoinBindings, AnEmptyObjectIsEchoedToo) {
  JoinRequest join = JoinWith("[{}]");
  EXPECT_EQ(join.bindings_echo, "[" + WithId("{", join.bindings[0]) + "]");
  EXPECT_EQ(join.binding_error,
            "No subscription params provided. Please provide at least a `schema` or `table` to subscribe to: %{}");
}

TEST(JoinBindings, EqualObjectsShareTheirIdOnEveryChannel) {
  JoinRequest first = JoinWith(R"([{"schema":"a"},{"schema":"a"},{"schema":"b"}])");
  JoinRequest second = JoinWith(R"([{"schema":"b"}])");
  ASSERT_EQ(first.bindings.size(), 3u);
  EXPECT_EQ(first.bindings[0].id, first.bindings[1].id);
  EXPECT_NE(first.bindings[0].id, first.bindings[2].id);
  EXPECT_EQ(first.bindings[2].id, second.bindings[0].id);
}

TEST(JoinBindings, AThousandDifferentOnesHaveDifferentIdsAndMoreAreRefused) {
  std::string changes = "[";
  for (int i = 0; i < 1000; i++) changes += (i > 0 ? "," : "") + std::string("{\"table\":\"t") + std::to_string(i) + "\"}";
  std::set<uint32_t> ids;
  for (const Binding& binding : JoinWith(changes + "]").bindings) {
    EXPECT_GT(binding.id, 0u);
    EXPECT_LT(binding.id, 0x80000000u);
    ids.insert(binding.id);
  }
  EXPECT_EQ(ids.size(), 1000u);
  std::string more = "{\"config\":{\"postgres_changes\":" + changes + ",{\"table\":\"more\"}]}}";
  EXPECT_EQ(ParseJoin("r", more, kDepth).status.code(), Code::kTooLarge);
}

TEST(JoinBindings, SchemaAndTableDefaults) {
  JoinRequest join = JoinWith(R"([{"schema":"s"},{"table":"t"},{"schema":"s","table":"t"},{"schema":"*","table":"*"}])");
  ASSERT_EQ(join.bindings.size(), 4u);
  EXPECT_EQ(join.bindings[0].table, "*");
  EXPECT_TRUE(join.bindings[0].wildcard());
  EXPECT_EQ(join.bindings[1].schema, "public");
  EXPECT_FALSE(join.bindings[1].wildcard());
  EXPECT_EQ(join.bindings[2].schema, "s");
  EXPECT_EQ(join.bindings[2].table, "t");
  EXPECT_TRUE(join.bindings[3].wildcard());
}

TEST(JoinBindings, EventsInAnyCaseAndAllOtherwise) {
  JoinRequest join = JoinWith(
      R"([{"table":"t","event":"insert"},{"table":"t","event":"UPDATE"},{"table":"t","event":"Delete"},)"
      R"({"table":"t","event":"*"},{"table":"t","event":"truncate"},{"table":"t"},{"table":"t","event":5}])");
  ASSERT_EQ(join.bindings.size(), 7u);
  EXPECT_EQ(join.bindings[0].events, MaskOf(ChangeKind::kInsert));
  EXPECT_EQ(join.bindings[1].events, MaskOf(ChangeKind::kUpdate));
  EXPECT_EQ(join.bindings[2].events, MaskOf(ChangeKind::kDelete));
  for (size_t i = 3; i < 7; i++) EXPECT_EQ(join.bindings[i].events, kAllEvents) << i;
}

TEST(JoinBindings, FilterAndSelectAreParsed) {
  JoinRequest join =
      JoinWith(R"([{"schema":"s","table":"t","filter":"id=in.(1,2),name=eq.x","select":["id",5,"name"]}])");
  ASSERT_FALSE(join.binding_error) << *join.binding_error;
  ASSERT_EQ(join.bindings[0].filters.size(), 2u);
  EXPECT_EQ(join.bindings[0].filters[0].elements, (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(join.bindings[0].columns, (std::vector<std::string>{"id", "name"}));
  EXPECT_TRUE(JoinWith(R"([{"schema":"*","select":[]}])").bindings[0].columns.empty());
  EXPECT_FALSE(JoinWith(R"([{"schema":"*","select":[]}])").binding_error);
}

TEST(JoinExtensions, AreOffUnlessAskedFor) {
  JoinRequest join = JoinWith(R"([{"table":"t"},{"table":"t","old":null,"since":null,"since_row":null},{"table":"t","old":1}])");
  ASSERT_FALSE(join.binding_error) << *join.binding_error;
  for (const Binding& binding : join.bindings) {
    EXPECT_FALSE(binding.old);
    EXPECT_FALSE(binding.since);
  }
  Binding legacy = Join(R"({"old":true,"since":"0/1"})", "public:todos").bindings[0];
  EXPECT_FALSE(legacy.old);
  EXPECT_FALSE(legacy.since);
}

TEST(JoinExtensions, OldIsABooleanOrItsName) {
  JoinRequest join = JoinWith(R"([{"table":"t","old":true},{"table":"t","old":"True"},{"table":"t","old":false}])");
  EXPECT_TRUE(join.bindings[0].old);
  EXPECT_TRUE(join.bindings[1].old);
  EXPECT_FALSE(join.bindings[2].old);
}

TEST(JoinExtensions, SinceIsAWalPosition) {
  JoinRequest join = JoinWith(
      R"([{"table":"t","since":"16/B374D848"},{"table":"t","since":"0/0"},{"table":"t","since":"ffffffff/00abcdef"},)"
      R"({"table":"t","since":"0/16B3748","since_row":3},{"table":"t","since":"0/16B3748","since_row":0}])");
  ASSERT_FALSE(join.binding_error) << *join.binding_error;
  EXPECT_EQ(join.bindings[0].since, (ResumePoint{0x16B374D848, UINT64_MAX}));
  EXPECT_EQ(join.bindings[1].since, (ResumePoint{0, UINT64_MAX}));
  EXPECT_EQ(join.bindings[2].since, (ResumePoint{0xFFFFFFFF00ABCDEF, UINT64_MAX}));
  EXPECT_EQ(join.bindings[3].since, (ResumePoint{0x16B3748, 3}));
  EXPECT_EQ(join.bindings[4].since, (ResumePoint{0x16B3748, 0}));
}

TEST(JoinExtensions, StayOutOfTheReferencesTexts) {
  Binding binding = JoinWith(R"([{"schema":"s","table":"t","old":true,"since":"0/1"}])").bindings[0];
  EXPECT_EQ(binding.Describe(), "event: *, schema: s, table: t, filters: [], select: nil");
}

TEST(JoinErrors, SinceIsNoWalPosition) {
  const std::string expected = "Error parsing `since` params: expected a WAL position, e.g. since: \"0/16B3748\"";
  for (const char* since : {R"("")", R"("/")", R"("0")", R"("0/")", R"("/0")", R"("0/123456789")", R"("123456789/0")",
                            R"("0/G")", R"("0/-1")", R"("0x1/0")", R"(" 0/1")", R"("0/1 ")", R"("0/1/2")", R"("0/1\u0000")",
                            "5", "true", "{}", R"(["0/1"])"}) {
    EXPECT_EQ(ErrorOf(std::string(R"({"table":"t","since":)") + since + "}"), expected) << since;
  }
  EXPECT_EQ(ErrorOf(R"({"table":"t","since_row":1})"), expected);
  EXPECT_EQ(ErrorOf(R"({"table":"t","since":null,"since_row":1})"), expected);
}

TEST(JoinErrors, SinceRowIsNoNumber) {
  for (const char* row : {"-1", "1.5", R"("1")", "true", "1e30", "[]"}) {
    EXPECT_EQ(ErrorOf(std::string(R"({"table":"t","since":"0/1","since_row":)") + row + "}"),
              "Error parsing `since_row` params: expected the number of a row, e.g. since_row: 3")
        << row;
  }
}

TEST(JoinErrors, CarryTheReferencesText) {
  const std::string no_params =
      "No subscription params provided. Please provide at least a `schema` or `table` to subscribe to: ";
  EXPECT_EQ(ErrorOf(R"({"event":"*"})"), no_params + R"(%{"event" => "*"})");
  EXPECT_EQ(ErrorOf(R"({"table":null})"), no_params + R"(%{"table" => nil})");
  EXPECT_EQ(ErrorOf(R"({"table":"t","filter":"a=eq.1"})"), no_params + R"(%{"filter" => "a=eq.1", "table" => "t"})");
  EXPECT_EQ(ErrorOf(R"({"schema":"s","table":"t","filter":null})"),
            no_params + R"(%{"filter" => nil, "schema" => "s", "table" => "t"})");
  EXPECT_EQ(ErrorOf(R"({"user_token":"secret"})"), no_params + "<redacted>");
  EXPECT_EQ(ErrorOf(R"({"schema":"s","table":"t","filter":"a=foo.hey"})"),
            "Error parsing `filter` params: [\"foo\", \"hey\"]");
  EXPECT_EQ(ErrorOf(R"({"schema":"s","table":"t","select":"id"})"),
            "Error parsing `select` params: expected a list of column name strings, e.g. select: [\"col1\", \"col2\"]");
  EXPECT_EQ(ErrorOf(R"({"schema":"s","select":["id"]})"),
            "Column selection is not supported for wildcard subscriptions. Provide an explicit schema and table name.");
  EXPECT_EQ(ErrorOf("5"), no_params + "5");
}

TEST(JoinErrors, OfInListsQuoteTheParameters) {
  EXPECT_EQ(ErrorOf(R"j({"event":"INSERT","schema":"s","table":"t","filter":"a=in.(1,)"})j"),
            "Unable to subscribe to changes with given parameters. An exception happened so please check your connect "
            "parameters: [event: INSERT, schema: s, table: t, filters: [{\"a\", \"in\", \"{1,}\", false}], select: nil]. "
            "Exception: ERROR 22P02 (invalid_text_representation) malformed array literal: \"{1,}\"");
  std::string list = "0";
  for (int i = 0; i < 100; i++) list += ",1";
  std::string error = ErrorOf("{\"schema\":\"s\",\"table\":\"t\",\"filter\":\"a=in.(" + list + ")\"}");
  EXPECT_TRUE(error.ends_with("Exception: ERROR P0001 (raise_exception) too many values for `in` filter. Maximum 100"));
}

TEST(JoinErrors, NamesWithNulAreRefused) {
  EXPECT_NE(ErrorOf(R"({"schema":"s","table":"t\u0000x"})").find("character_not_in_repertoire"), std::string::npos);
  EXPECT_NE(ErrorOf(R"({"schema":"s","table":"t","filter":"a=eq.\u0000"})").find("0x00"), std::string::npos);
}

TEST(JoinErrors, OneBadBindingIsReportedAndAllAreStillEchoed) {
  JoinRequest join = JoinWith(R"([{"table":"t"},{"x":1},{"y":2}])");
  EXPECT_EQ(join.bindings.size(), 3u);
  ASSERT_TRUE(join.binding_error);
  EXPECT_NE(join.binding_error->find("%{\"x\" => 1}"), std::string::npos);
  EXPECT_EQ(json::Parse(join.bindings_echo).value.elements.size(), 3u);
}

TEST(JoinErrors, StayShort) {
  std::string huge(1000000, 'x');
  EXPECT_LT(ErrorOf("{\"a\":\"" + huge + "\",\"b\":\"" + huge + "\",\"c\":\"" + huge + "\"}").size(), 20000u);
  EXPECT_LT(ErrorOf("{\"schema\":\"" + huge + "\",\"table\":\"" + huge + "\",\"filter\":\"a=in.(" + huge + ",)\"}").size(),
            30000u);
}

TEST(JoinLegacy, TheTopicIsTheFilter) {
  JoinRequest join = Join(R"({"user_token":"u","private":true})", "public:todos:id=eq.1:2");
  EXPECT_FALSE(join.modern);
  EXPECT_FALSE(join.is_private);
  EXPECT_EQ(join.token, "u");
  ASSERT_EQ(join.bindings.size(), 1u);
  EXPECT_EQ(join.bindings[0].schema, "public");
  EXPECT_EQ(join.bindings[0].table, "todos");
  ASSERT_EQ(join.bindings[0].filters.size(), 1u);
  EXPECT_EQ(join.bindings[0].filters[0].value, "1:2");
  EXPECT_EQ(join.bindings_echo,
            "[" + WithId(R"({"schema":"public","table":"todos","filter":"id=eq.1:2",)", join.bindings[0]) + "]");
}

TEST(JoinLegacy, SchemaAloneAndStar) {
  JoinRequest join = Join("{}", "room");
  EXPECT_EQ(join.bindings[0].schema, "room");
  EXPECT_EQ(join.bindings[0].table, "*");
  EXPECT_EQ(join.bindings_echo, "[" + WithId(R"({"schema":"room",)", join.bindings[0]) + "]");
  EXPECT_TRUE(Join("{}", "*").bindings[0].wildcard());
  EXPECT_EQ(Join("{}", "a:b").bindings[0].table, "b");
}

TEST(JoinDescribe, RendersAsTheReference) {
  Binding binding = JoinWith(R"([{"schema":"public","table":"todos","event":"INSERT"}])").bindings[0];
  EXPECT_EQ(binding.Describe(), "event: INSERT, schema: public, table: todos, filters: [], select: nil");
  binding = JoinWith(R"([{"schema":"public","table":"todos","filter":"id=eq.1","select":["id","x"]}])").bindings[0];
  EXPECT_EQ(binding.Describe(),
            "event: *, schema: public, table: todos, filters: [{\"id\", \"eq\", \"1\", false}], select: [\"id\", \"x\"]");
}

}  // namespace
}  // namespace realtime
