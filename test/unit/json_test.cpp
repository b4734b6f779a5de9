#include "core/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace realtime::json {
namespace {

Value MustParse(std::string_view text) {
  Result<Value> parsed = Parse(text);
  EXPECT_TRUE(parsed.ok()) << text << ": " << parsed.status.message();
  return std::move(parsed.value);
}

TEST(JsonParse, DecodesEveryType) {
  std::string text = R"( {"a":null,"b":true,"c":false,"d":-12,"e":1.5,"f":"x\n\u00e9\ud83d\ude00","g":[1,[2]],"h":{}} )";
  Value value = MustParse(text);
  ASSERT_TRUE(value.IsObject());
  EXPECT_EQ(value.members.size(), 8u);
  EXPECT_TRUE(value.Find("a")->IsNull());
  EXPECT_TRUE(value.Find("b")->boolean);
  EXPECT_FALSE(value.Find("c")->boolean);
  EXPECT_EQ(value.Find("c")->type, Type::kBool);
  EXPECT_TRUE(value.Find("d")->is_integer);
  EXPECT_EQ(value.Find("d")->integer, -12);
  EXPECT_FALSE(value.Find("e")->is_integer);
  EXPECT_EQ(value.Find("e")->number, 1.5);
  EXPECT_EQ(value.Find("f")->string, "x\n\xc3\xa9\xf0\x9f\x98\x80");
  EXPECT_EQ(value.Find("g")->elements[1].elements[0].integer, 2);
  EXPECT_TRUE(value.Find("h")->members.empty());
  EXPECT_EQ(value.Find("zzz"), nullptr);
}

TEST(JsonParse, RawIsTheValuesOwnText) {
  std::string text = " { \"k\" : [ 1 , \"a\\\"b\" , { \"x\" : true } , -0.50e+1 ] , \"n\":null } ";
  Value value = MustParse(text);
  EXPECT_EQ(value.raw, "{ \"k\" : [ 1 , \"a\\\"b\" , { \"x\" : true } , -0.50e+1 ] , \"n\":null }");
  const Value& k = *value.Find("k");
  EXPECT_EQ(k.raw, "[ 1 , \"a\\\"b\" , { \"x\" : true } , -0.50e+1 ]");
  EXPECT_EQ(k.elements[0].raw, "1");
  EXPECT_EQ(k.elements[1].raw, "\"a\\\"b\"");
  EXPECT_EQ(k.elements[2].raw, "{ \"x\" : true }");
  EXPECT_EQ(k.elements[2].Find("x")->raw, "true");
  EXPECT_EQ(k.elements[3].raw, "-0.50e+1");
  EXPECT_TRUE(k.elements[3].is_integer);
  EXPECT_EQ(k.elements[3].integer, -5);
  EXPECT_EQ(value.Find("n")->raw, "null");
}

TEST(JsonParse, FindTakesTheLastOfEqualNamesAndKeepsBoth) {
  std::string text = R"({"a":1,"a":2})";
  Value value = MustParse(text);
  EXPECT_EQ(value.members.size(), 2u);
  EXPECT_EQ(value.Find("a")->integer, 2);
}

TEST(JsonParse, KeepsPrecisionOfIntegersAndRefusesToInventThem) {
  std::string text = "[9223372036854775807,-9223372036854775808,9223372036854775808,1e3]";
  Value value = MustParse(text);
  EXPECT_EQ(value.elements[0].integer, INT64_MAX);
  EXPECT_EQ(value.elements[1].integer, INT64_MIN);
  EXPECT_FALSE(value.elements[2].is_integer);
  EXPECT_EQ(value.elements[3].integer, 1000);
}

TEST(JsonParse, RefusesWhatIsNotOneJsonValue) {
  using namespace std::string_literals;
  for (const std::string& text :
       {""s, " "s, "{"s, "[1,]"s, "[,1]"s, "{\"a\"}"s, "{\"a\":1,}"s, "nul"s, "01"s, "+1"s, "1."s, ".5"s, "NaN"s, "[1] 2"s,
        "\"a"s, "\"a\nb\""s, "\"\\x\""s, "'a'"s, "[1]\0"s, "\0"s, "[1\0]"s, "\"a\0b\""s, "{a:1}"s, "//x\n1"s, "1e999"s,
        "\xEF\xBB\xBF[]"s}) {
    Result<Value> parsed = Parse(text);
    EXPECT_EQ(parsed.status.code(), Code::kMalformed) << text;
    EXPECT_EQ(ParseShallow(text).status.code(), Code::kMalformed) << text;
  }
}

TEST(JsonParse, RefusesInvalidUtf8AndLoneSurrogates) {
  for (const char* text : {"\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\\ud800\"", "\"\\udc00\"",
                           "\"\\ud800\\u0041\"", "{\"\\udc00\":1}", "[[[\"\\udc00\"]]]"}) {
    EXPECT_EQ(Parse(text).status.code(), Code::kMalformed) << text;
    EXPECT_EQ(ParseShallow(text).status.code(), Code::kMalformed) << text;
    EXPECT_EQ(json::Check(text, 8).code(), Code::kMalformed) << text;
  }
}

TEST(JsonParse, BoundsDepthWithoutRecursion) {
  Limits limits;
  limits.max_depth = 3;
  EXPECT_TRUE(Parse("[[[1]]]", limits).ok());
  EXPECT_EQ(Parse("[[[[1]]]]", limits).status.code(), Code::kTooLarge);
  EXPECT_EQ(ParseShallow("[[[{}]]]", limits).status.code(), Code::kTooLarge);
  std::string deep(1000000, '[');
  EXPECT_EQ(Parse(deep).status.code(), Code::kTooLarge);
  EXPECT_EQ(ParseShallow(deep).status.code(), Code::kTooLarge);
}

TEST(JsonParse, BoundsTheNumberOfValues) {
  Limits limits;
  limits.max_values = 4;
  EXPECT_TRUE(Parse("[1,2,3]", limits).ok());
  EXPECT_EQ(Parse("[1,2,3,4]", limits).status.code(), Code::kTooLarge);
}

TEST(JsonParseShallow, DecodesScalarsAndKeepsContainersRaw) {
  std::string text = R"(["1",null, "t" ,{"a":[1,2]}, [ ]])";
  Result<Value> parsed = ParseShallow(text);
  ASSERT_TRUE(parsed.ok());
  const std::vector<Value>& e = parsed.value.elements;
  ASSERT_EQ(e.size(), 5u);
  EXPECT_EQ(e[0].string, "1");
  EXPECT_EQ(e[0].raw, "\"1\"");
  EXPECT_EQ(e[2].string, "t");
  EXPECT_EQ(e[3].raw, "{\"a\":[1,2]}");
  EXPECT_TRUE(e[3].members.empty());
  EXPECT_EQ(e[4].raw, "[ ]");
}

TEST(JsonParseShallow, NestedValuesDoNotCountButAreValidated) {
  Limits limits;
  limits.max_values = 3;
  EXPECT_TRUE(ParseShallow("[1,[1,2,3,4,5,6,7,8]]", limits).ok());
  EXPECT_EQ(ParseShallow("[1,[1,2,,3]]", limits).status.code(), Code::kMalformed);
}

TEST(JsonParseShallow, KeysOfNestedObjectsDoNotLeakIntoTheOuterOne) {
  std::string text = R"({"a":{"x":1,"y":{"z":2}},"b":3})";
  Result<Value> parsed = ParseShallow(text);
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed.value.members.size(), 2u);
  EXPECT_EQ(parsed.value.members[0].first, "a");
  EXPECT_EQ(parsed.value.members[1].first, "b");
  EXPECT_EQ(parsed.value.Find("b")->integer, 3);
}

TEST(JsonQuote, EscapesWhatJsonDemandsAndNothingElse) {
  EXPECT_EQ(Quote(std::string("a\"\\/\b\f\n\r\t\x01\x1f\0\xc3\xa9", 14)),
            "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\\u0000\xc3\xa9\"");
  std::string all;
  for (int c = 0; c < 128; c++) all.push_back(static_cast<char>(c));
  std::string quoted = Quote(all);
  EXPECT_EQ(MustParse(quoted).string, all);
}

TEST(JsonUtf8, AcceptsTheEdgesOfEverySequenceLength) {
  for (const char* text : {"", "a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xf0\x90\x80\x80",
                           "\xf4\x8f\xbf\xbf", "12345678\xc3\xa9"}) {
    EXPECT_TRUE(IsValidUtf8(text)) << text;
  }
  for (const char* text : {"\x80", "\xc2", "\xc1\xbf", "\xe0\x9f\xbf", "\xe1\x80", "\xf0\x8f\xbf\xbf", "\xf5\x80\x80\x80",
                           "1234567\xff", "12345678\xe2\x82"}) {
    EXPECT_FALSE(IsValidUtf8(text)) << text;
  }
}

TEST(JsonCheck, AcceptsWhatParseAccepts) {
  for (const char* text : {"{}", "[]", " [1, {\"a\":[null]}] ", "5", "-1.5e3", "\"x\"", "true", "null", "\"\\u00e9\""}) {
    EXPECT_TRUE(json::Check(text, 8).ok()) << text;
  }
  for (const char* text : {"", " ", "{", "[1,]", "{\"a\"}", "{} {}", "nul", "01", "'x'", "\"\xff\"", "[1]x", "NaN"}) {
    EXPECT_EQ(json::Check(text, 8).code(), Code::kMalformed) << text;
  }
  EXPECT_FALSE(json::Check(std::string_view("[1]\0", 4), 8).ok());
}

TEST(JsonCheck, BoundsDepthAndNothingElse) {
  EXPECT_TRUE(json::Check("[[[[]]],[[{}]]]", 4).ok());
  EXPECT_EQ(json::Check("[[[[]]],[[{}]]]", 3).code(), Code::kTooLarge);
  EXPECT_EQ(json::Check("[]", 0).code(), Code::kTooLarge);
  EXPECT_TRUE(json::Check("1", 0).ok());
  EXPECT_EQ(json::Check(std::string(1000000, '['), 64).code(), Code::kTooLarge);
  std::string wide = "[0";
  for (int i = 0; i < 500000; i++) wide += ",0";
  EXPECT_TRUE(json::Check(wide + "]", 1).ok());
}

}  // namespace
}  // namespace realtime::json
