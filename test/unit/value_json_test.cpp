// PostgreSQL text to JSON. The expectations were compared with to_jsonb of PostgreSQL 15.
#include "core/value_json.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "core/json.h"

namespace realtime {
namespace {

using Kind = TypeShape::Kind;
using ShapePtr = std::shared_ptr<const TypeShape>;

ShapePtr Of(Kind kind) {
  auto shape = std::make_shared<TypeShape>();
  shape->kind = kind;
  return shape;
}

ShapePtr ArrayOf(ShapePtr element, char delimiter = ',') {
  auto shape = std::make_shared<TypeShape>();
  shape->kind = Kind::kArray;
  shape->element = std::move(element);
  shape->delimiter = delimiter;
  return shape;
}

ShapePtr CompositeOf(std::vector<std::pair<std::string, ShapePtr>> fields) {
  auto shape = std::make_shared<TypeShape>();
  shape->kind = Kind::kComposite;
  shape->fields = std::move(fields);
  return shape;
}

// The JSON text, or "no". Whatever is accepted must be JSON, and a refusal must leave the output alone.
std::string Json(const ShapePtr& shape, std::string_view text, bool nested = false) {
  std::string out = "before";
  bool ok = AppendJson(*shape, text, nested, &out);
  EXPECT_EQ(out.substr(0, 6), "before");
  if (!ok) {
    EXPECT_EQ(out, "before");
    return "no";
  }
  out.erase(0, 6);
  EXPECT_TRUE(json::Parse(out).ok()) << out;
  return out;
}

std::string Json(Kind kind, std::string_view text, bool nested = false) { return Json(Of(kind), text, nested); }

TEST(ValueJson, Numbers) {
  for (const char* same : {"0", "-1", "9007199254740993", "-9223372036854775808", "123.4500", "0.000", "1e+20", "1.5e-07",
                           "99999999999999999999999999.0001", "-0"}) {
    EXPECT_EQ(Json(Kind::kNumber, same), same);
  }
  for (const std::string text : {"NaN", "Infinity", "-Infinity"}) {
    EXPECT_EQ(Json(Kind::kNumber, text), "null");
    EXPECT_EQ(Json(Kind::kNumber, text, true), '"' + text + '"');
  }
  for (const char* bad : {"", "-", "01", "1.", ".5", "+1", "1e", "1e+", "1x", " 1", "0x1", "nan", "1,2", "--1"}) {
    EXPECT_EQ(Json(Kind::kNumber, bad), "no") << bad;
  }
}

TEST(ValueJson, Booleans) {
  EXPECT_EQ(Json(Kind::kBool, "t"), "true");
  EXPECT_EQ(Json(Kind::kBool, "f"), "false");
  EXPECT_EQ(Json(Kind::kBool, "true"), "no");
  EXPECT_EQ(Json(Kind::kBool, ""), "no");
}

TEST(ValueJson, StringsAreEscaped) {
  EXPECT_EQ(Json(Kind::kString, ""), R"("")");
  EXPECT_EQ(Json(Kind::kString, "ab   "), R"("ab   ")") << "char(n) keeps its width";
  EXPECT_EQ(Json(Kind::kString, "101"), R"("101")") << "bit(n) keeps its width";
  EXPECT_EQ(Json(Kind::kString, "a\"b\\c/d"), R"("a\"b\\c/d")");
  EXPECT_EQ(Json(Kind::kString, "\b\t\n\f\r\x01\x1f\x7f"), "\"\\b\\t\\n\\f\\r\\u0001\\u001f\x7f\"");
  EXPECT_EQ(Json(Kind::kString, std::string_view("a\0b", 3)), R"("a\u0000b")");
  EXPECT_EQ(Json(Kind::kString, "é 漢字 😀"), "\"é 漢字 😀\"");
}

// The scan takes eight bytes at a time: every byte at every place in and around a word.
TEST(ValueJson, EveryByteAtEveryOffset) {
  for (int c = 1; c < 0x80; c++) {
    for (size_t at = 0; at < 20; at++) {
      std::string text(20, 'x');
      text[at] = static_cast<char>(c);
      Result<json::Value> value = json::Parse(Json(Kind::kString, text));
      ASSERT_TRUE(value.ok());
      ASSERT_EQ(value.value.string, text);
    }
  }
}

TEST(ValueJson, BytesThatAreNotUtf8BecomeReplacementCharacters) {
  EXPECT_EQ(Json(Kind::kString, "a\x80z"), "\"a\uFFFDz\"");
  EXPECT_EQ(Json(Kind::kString, "\xff"), "\"\uFFFD\"");
  EXPECT_EQ(Json(Kind::kString, "\xc3"), "\"\uFFFD\"") << "cut sequence";
  EXPECT_EQ(Json(Kind::kString, "\xc0\xaf"), "\"\uFFFD\uFFFD\"") << "overlong";
  EXPECT_EQ(Json(Kind::kString, "\xe0\x80\x80"), "\"\uFFFD\uFFFD\uFFFD\"");
  EXPECT_EQ(Json(Kind::kString, "\xed\xa0\x80"), "\"\uFFFD\uFFFD\uFFFD\"") << "surrogate";
  EXPECT_EQ(Json(Kind::kString, "\xf4\x90\x80\x80"), "\"\uFFFD\uFFFD\uFFFD\uFFFD\"") << "past U+10FFFF";
  EXPECT_EQ(Json(Kind::kString, "\xf4\x8f\xbf\xbf\xed\x9f\xbf\xef\xbf\xbf"),
            "\"\xf4\x8f\xbf\xbf\xed\x9f\xbf\xef\xbf\xbf\"");
}

TEST(ValueJson, JsonIsEmbedded) {
  EXPECT_EQ(Json(Kind::kJson, "{\"b\":1,\n \"a\":[1, 2]}"), "{\"b\":1,\n \"a\":[1, 2]}");
  EXPECT_EQ(Json(Kind::kJson, "1.50"), "1.50");
  EXPECT_EQ(Json(Kind::kJson, "\"\xff\""), "no");
  EXPECT_EQ(Json(Kind::kJson, ""), "no");
}

TEST(ValueJson, Timestamps) {
  EXPECT_EQ(Json(Kind::kTimestamp, "2021-01-02 03:04:05"), R"("2021-01-02T03:04:05")");
  EXPECT_EQ(Json(Kind::kTimestamp, "2021-01-02 03:04:05.5"), R"("2021-01-02T03:04:05.5")");
  EXPECT_EQ(Json(Kind::kTimestamp, "294276-12-31 23:59:59.999999"), R"("294276-12-31T23:59:59.999999")");
  EXPECT_EQ(Json(Kind::kTimestamp, "0001-01-01 00:00:00 BC"), R"("0001-01-01T00:00:00 BC")");
  EXPECT_EQ(Json(Kind::kTimestamp, "infinity"), R"("infinity")");
  EXPECT_EQ(Json(Kind::kTimestamp, "-infinity"), R"("-infinity")");
  for (const char* bad : {"", " ", "2021-01-02", "2021-01-02 ", "2021-01-02 03:04:05+00", "2021-01-02 03:04:05 AD",
                          "2021-01-02 03:04:05 BC BC", "2021-01-02\"03:04:05", "Infinity"}) {
    EXPECT_EQ(Json(Kind::kTimestamp, bad), "no") << bad;
  }
}

TEST(ValueJson, TimestampsWithTimeZone) {
  EXPECT_EQ(Json(Kind::kTimestamptz, "2021-01-02 01:04:05.123456+00"), R"("2021-01-02T01:04:05.123456+00:00")");
  EXPECT_EQ(Json(Kind::kTimestamptz, "2021-01-01 22:04:05-05"), R"("2021-01-01T22:04:05-05:00")");
  EXPECT_EQ(Json(Kind::kTimestamptz, "2021-01-02 06:34:05+05:30"), R"("2021-01-02T06:34:05+05:30")");
  EXPECT_EQ(Json(Kind::kTimestamptz, "1800-01-02 08:57:33.5+05:53:28"), R"("1800-01-02T08:57:33.5+05:53:28")");
  EXPECT_EQ(Json(Kind::kTimestamptz, "0044-03-15 12:00:00.25+00 BC"), R"("0044-03-15T12:00:00.25+00:00 BC")");
  EXPECT_EQ(Json(Kind::kTimestamptz, "infinity"), R"("infinity")");
  EXPECT_EQ(Json(Kind::kTimestamptz, "2021-01-02 01:04:05"), "no");
}

TEST(ValueJson, ByteaLosesItsPrefixOnlyAtTheTop) {
  EXPECT_EQ(Json(Kind::kBytea, "\\xdeadbeef"), R"("deadbeef")");
  EXPECT_EQ(Json(Kind::kBytea, "\\x"), R"("")");
  EXPECT_EQ(Json(Kind::kBytea, "\\xdeadbeef", true), R"("\\xdeadbeef")") << "a domain over bytea";
  EXPECT_EQ(Json(ArrayOf(Of(Kind::kBytea)), R"({"\\xdeadbeef","\\x",NULL})"), R"(["\\xdeadbeef","\\x",null])");
  EXPECT_EQ(Json(CompositeOf({{"z", Of(Kind::kBytea)}}), R"(("\\x00ff"))"), R"({"z":"\\x00ff"})");
  EXPECT_EQ(Json(Kind::kBytea, "abc"), "no") << "escape format";
  EXPECT_EQ(Json(Kind::kBytea, "\\xde\"d"), "no");
}

TEST(ValueJson, Arrays) {
  ShapePtr ints = ArrayOf(Of(Kind::kNumber));
  EXPECT_EQ(Json(ints, "{}"), "[]");
  EXPECT_EQ(Json(ints, "{1,2,NULL}"), "[1,2,null]");
  EXPECT_EQ(Json(ints, "{{1,2},{3,NULL}}"), "[[1,2],[3,null]]");
  EXPECT_EQ(Json(ints, "[0:1]={1,2}"), "[1,2]");
  EXPECT_EQ(Json(ints, "[-1:0][2:3]={{1,2},{3,4}}"), "[[1,2],[3,4]]");
  EXPECT_EQ(Json(ArrayOf(Of(Kind::kBool)), "{t,f,NULL}"), "[true,false,null]");
  EXPECT_EQ(Json(ArrayOf(Of(Kind::kTimestamptz)), R"({"2021-01-01 22:04:05.1+00",NULL})"),
            R"(["2021-01-01T22:04:05.1+00:00",null])");
  EXPECT_EQ(Json(ArrayOf(Of(Kind::kJson)), R"({"{\"a\": \"b\\\"c\"}","[1, 2]",NULL,"null"})"),
            R"([{"a": "b\"c"},[1, 2],null,null])");
  EXPECT_EQ(Json(ArrayOf(Of(Kind::kString), ';'), "{(1,1),(0,0);(2,2),(1,1);NULL}"),
            R"x(["(1,1),(0,0)","(2,2),(1,1)",null])x");
  EXPECT_EQ(Json(ArrayOf(ints), R"({"{1,2}","{3}"})"), "[[1,2],[3]]") << "elements of a domain over int[]";
}

TEST(ValueJson, ArraysOfText) {
  ShapePtr texts = ArrayOf(Of(Kind::kString));
  EXPECT_EQ(Json(texts, R"({a,"b c","","NULL",null,NULL,"\"","\\","a,b","{x}"," lead"})"),
            R"(["a","b c","","NULL","null",null,"\"","\\","a,b","{x}"," lead"])");
  EXPECT_EQ(Json(texts, R"({{a,b},{c,"}"}})"), R"([["a","b"],["c","}"]])");
}

TEST(ValueJson, BadArrays) {
  ShapePtr texts = ArrayOf(Of(Kind::kString));
  for (const char* bad : {"", "a", "{", "{a", "{a,", "{a,}", "{,a}", "{a}b", "{\"a}", "{\"a\"b}", "{a\"b}", "{a\\", "{{a}",
                          "{a}}", "[0:1]", "[0:1={a}", "[x]={a}", "=", "[", "{}{}", "{\"a\\"}) {
    EXPECT_EQ(Json(texts, bad), "no") << bad;
  }
  EXPECT_EQ(Json(ArrayOf(Of(Kind::kNumber)), "{1,x}"), "no");
  EXPECT_EQ(Json(ArrayOf(nullptr), "{1}"), "no");
}

TEST(ValueJson, Composites) {
  ShapePtr shape = CompositeOf({{"a", Of(Kind::kNumber)},
                                {"b \"c", Of(Kind::kString)},
                                {"d", Of(Kind::kTimestamptz)},
                                {"e", ArrayOf(Of(Kind::kNumber))}});
  EXPECT_EQ(Json(shape, R"((1,x,"2021-01-02 03:04:05+00","{1,NULL}"))"),
            R"({"a":1,"b \"c":"x","d":"2021-01-02T03:04:05+00:00","e":[1,null]})");
  EXPECT_EQ(Json(shape, "(,,,)"), R"({"a":null,"b \"c":null,"d":null,"e":null})");
  EXPECT_EQ(Json(shape, R"((1,"",infinity,{}))"), R"({"a":1,"b \"c":"","d":"infinity","e":[]})");
  EXPECT_EQ(Json(shape, R"((-5,"a ""q"" \\ (p), ,é",,"{{1},{2}}"))"),
            R"({"a":-5,"b \"c":"a \"q\" \\ (p), ,é","d":null,"e":[[1],[2]]})");
  EXPECT_EQ(Json(shape, "(1,NULL,,)"), R"({"a":1,"b \"c":"NULL","d":null,"e":null})");
  ShapePtr one = CompositeOf({{"v", Of(Kind::kString)}});
  EXPECT_EQ(Json(one, "()"), R"({"v":null})");
  EXPECT_EQ(Json(one, R"(("\\"""))"), R"({"v":"\\\""})");
  EXPECT_EQ(Json(CompositeOf({}), "()"), "{}");
}

TEST(ValueJson, CompositesInArraysInComposites) {
  ShapePtr inner = CompositeOf({{"a", Of(Kind::kNumber)}, {"t", Of(Kind::kString)}});
  ShapePtr outer = CompositeOf({{"x", inner}, {"y", ArrayOf(inner)}});
  EXPECT_EQ(Json(outer, R"x(("(1,""x""""\\\\,()"")","{""(2,\\""{\\""\\""y\\""\\""}\\"")"",NULL}"))x"),
            R"x({"x":{"a":1,"t":"x\"\\,()"},"y":[{"a":2,"t":"{\"y\"}"},null]})x");
}

TEST(ValueJson, BadComposites) {
  ShapePtr shape = CompositeOf({{"a", Of(Kind::kNumber)}, {"b", Of(Kind::kString)}});
  for (const char* bad : {"", "(", ")", "()", "(1)", "(1,x", "(1,x)y", "(1,x,y)", "(1,\"x)", "(1,\"x\"y)", "(x,y)", "1,x)"}) {
    EXPECT_EQ(Json(shape, bad), "no") << bad;
  }
  EXPECT_EQ(Json(CompositeOf({}), "(1)"), "no");
  EXPECT_EQ(Json(CompositeOf({{"a", nullptr}}), "(1)"), "no");
}

TEST(ValueJson, UserCastsAreLeftToTheBackendAtAnyDepth) {
  EXPECT_EQ(Json(Kind::kCast, "x"), "no");
  EXPECT_EQ(Json(ArrayOf(Of(Kind::kCast)), "{x}"), "no");
  EXPECT_EQ(Json(ArrayOf(Of(Kind::kCast)), "{NULL}"), "[null]");
  EXPECT_EQ(Json(CompositeOf({{"a", Of(Kind::kNumber)}, {"b", Of(Kind::kCast)}}), "(1,x)"), "no");
}

TEST(ValueJson, DepthIsBounded) {
  ShapePtr ints = ArrayOf(Of(Kind::kNumber));
  auto nested = [](size_t n) { return std::string(n, '{') + "1" + std::string(n, '}'); };
  EXPECT_NE(Json(ints, nested(60)), "no");
  EXPECT_EQ(Json(ints, nested(65)), "no");
  EXPECT_EQ(Json(ints, std::string(1000000, '{')), "no");
  ShapePtr deep = Of(Kind::kNumber);
  for (int i = 0; i < 100; i++) deep = CompositeOf({{"a", deep}});
  EXPECT_EQ(Json(deep, std::string(100, '(') + "1" + std::string(100, ')')), "no");
}

}  // namespace
}  // namespace realtime
