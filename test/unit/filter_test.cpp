#include "core/filter.h"

#include <gtest/gtest.h>

#include <iterator>
#include <string>

namespace realtime {
namespace {

FilterClause One(std::string_view text) {
  Result<std::vector<FilterClause>> parsed = ParseFilter(text);
  EXPECT_TRUE(parsed.ok()) << text << ": " << parsed.status.message();
  EXPECT_EQ(parsed.value.size(), 1u) << text;
  return parsed.value.empty() ? FilterClause() : parsed.value[0];
}

std::string ErrorOf(std::string_view text) { return ParseFilter(text).status.message(); }

TEST(Filter, EveryOperatorAndItsNegation) {
  const FilterOp ops[] = {FilterOp::kEq,    FilterOp::kNeq,    FilterOp::kLt, FilterOp::kLte,
                          FilterOp::kGt,    FilterOp::kGte,    FilterOp::kLike, FilterOp::kIlike,
                          FilterOp::kMatch, FilterOp::kImatch, FilterOp::kIs, FilterOp::kIsDistinct};
  for (FilterOp op : ops) {
    for (bool negated : {false, true}) {
      FilterClause clause = One(std::string(negated ? "id=not." : "id=") + std::string(FilterOpName(op)) + ".5");
      EXPECT_EQ(clause.column, "id");
      EXPECT_EQ(clause.op, op);
      EXPECT_EQ(clause.value, "5");
      EXPECT_EQ(clause.negated, negated);
    }
  }
  EXPECT_EQ(One("id=in.(1)").op, FilterOp::kIn);
  EXPECT_TRUE(One("id=not.in.(1)").negated);
  EXPECT_EQ(One("id=not.in.(1)").elements, std::vector<std::string>{"1"});
  const std::string_view names[] = {"eq", "neq", "lt", "lte", "gt", "gte", "in", "like", "ilike", "match", "imatch", "is",
                                    "isdistinct"};
  for (size_t i = 0; i < std::size(names); i++) EXPECT_EQ(FilterOpName(static_cast<FilterOp>(i)), names[i]);
}

TEST(Filter, BlankMeansNoFilter) {
  EXPECT_TRUE(ParseFilter("").value.empty());
  EXPECT_TRUE(ParseFilter(" \t\n").ok());
  EXPECT_TRUE(ParseFilter(" \t\n").value.empty());
}

TEST(Filter, FirstEqualsEndsTheColumnAndFirstDotTheOperator) {
  FilterClause clause = One("a.b=eq.c=d.e");
  EXPECT_EQ(clause.column, "a.b");
  EXPECT_EQ(clause.value, "c=d.e");
  EXPECT_EQ(One("a=eq.").value, "");
}

TEST(Filter, SegmentsAreTrimmedAndAllHold) {
  Result<std::vector<FilterClause>> parsed = ParseFilter("  a=eq.1 , b=gt.2  ");
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed.value.size(), 2u);
  EXPECT_EQ(parsed.value[0].value, "1");
  EXPECT_EQ(parsed.value[1].column, "b");
  EXPECT_EQ(parsed.value[1].op, FilterOp::kGt);
}

TEST(Filter, ErrorsCarryTheReferencesText) {
  EXPECT_EQ(ErrorOf("subject=foo.hey"), "Error parsing `filter` params: [\"foo\", \"hey\"]");
  EXPECT_EQ(ErrorOf("undefined"), "Error parsing `filter` params: [\"undefined\"]");
  EXPECT_EQ(ErrorOf("a=eq"), "Error parsing `filter` params: [\"eq\"]");
  EXPECT_EQ(ErrorOf("a=eq.1,,b=eq.2"),
            "Error parsing `filter` params: filter must not contain empty segments (check for extra commas)");
  EXPECT_EQ(ErrorOf("a=eq.1,"),
            "Error parsing `filter` params: filter must not contain empty segments (check for extra commas)");
  EXPECT_EQ(ErrorOf("id=in.1,2"), "Error parsing `filter` params: `in` filter value must be wrapped by parentheses");
  EXPECT_EQ(ErrorOf("id=foo.a\"b\\#{c}\n"), "Error parsing `filter` params: [\"foo\", \"a\\\"b\\\\\\#{c}\"]");
}

TEST(Filter, NotIsAPrefixOnceAndInLowerCase) {
  EXPECT_EQ(ErrorOf("a=not.5"), "Error parsing `filter` params: [\"5\"]");
  EXPECT_EQ(ErrorOf("a=not"), "Error parsing `filter` params: [\"not\"]");
  EXPECT_EQ(ErrorOf("a=not."), "Error parsing `filter` params: [\"\"]");
  EXPECT_EQ(ErrorOf("a=not.foo.hey"), "Error parsing `filter` params: [\"foo\", \"hey\"]");
  EXPECT_EQ(ErrorOf("a=not.not.eq.5"), "Error parsing `filter` params: [\"not\", \"eq.5\"]");
  EXPECT_EQ(ErrorOf("a=NOT.eq.5"), "Error parsing `filter` params: [\"NOT\", \"eq.5\"]");
  EXPECT_EQ(ErrorOf("a=EQ.5"), "Error parsing `filter` params: [\"EQ\", \"5\"]");
  EXPECT_EQ(ErrorOf("a=not.in.1"), "Error parsing `filter` params: `in` filter value must be wrapped by parentheses");
  EXPECT_EQ(One("not.eq=eq.not.eq.5").value, "not.eq.5");
}

TEST(Filter, ClausesThatDifferInNegationOnlyDiffer) { EXPECT_FALSE(One("a=eq.5") == One("a=not.eq.5")); }

TEST(Filter, PatternsKeepTheirCharacters) {
  EXPECT_EQ(One("a=like.%x_y%").value, "%x_y%");
  EXPECT_EQ(One("a=like.a\\%").value, "a\\%");
  EXPECT_EQ(One("a=match.^(a|b,c){2}$").value, "^(a|b,c){2}$");
  EXPECT_EQ(One("a=match.\"^a{2,3}$\"").value, "^a{2,3}$");
  EXPECT_EQ(ErrorOf("a=match.^a{2,3}$"), "Error parsing `filter` params: [\"3}$\"]");  // a comma outside of quotes splits
}

TEST(Filter, QuotedValuesHideCommasAndDropEscapes) {
  EXPECT_EQ(One("a=eq.\"x,y\"").value, "x,y");
  EXPECT_EQ(One("a=eq.\"x\\\"y\\\\z\"").value, "x\"y\\z");
  EXPECT_EQ(One("a=eq.\"\"").value, "");
  EXPECT_EQ(One("a=eq.\"(\"").value, "(");
}

TEST(Filter, ValuesQuotedOnlyInPartAreLiteral) {
  EXPECT_EQ(One("a=eq.\"x").value, "\"x");
  EXPECT_EQ(One("a=eq.\"x\"y").value, "\"x\"y");
  Result<std::vector<FilterClause>> inches = ParseFilter("a=eq.5\",b=eq.6\"");
  ASSERT_TRUE(inches.ok());
  ASSERT_EQ(inches.value.size(), 2u);
  EXPECT_EQ(inches.value[0].value, "5\"");
}

TEST(Filter, ParenthesesHideCommas) {
  Result<std::vector<FilterClause>> parsed = ParseFilter("a=eq.f(x,y),b=in.(1,2)");
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed.value.size(), 2u);
  EXPECT_EQ(parsed.value[0].value, "f(x,y)");
  EXPECT_EQ(parsed.value[1].value, "(1,2)");
}

TEST(Filter, InSplitsAsAnArrayLiteral) {
  FilterClause clause = One("a=in.( a ,\"b,c\", d\\,e ,NULL,\"NULL\",n\\ull, x y )");
  std::vector<std::string> expected = {"a", "b,c", "d,e", "", "NULL", "null", "x y"};
  EXPECT_EQ(clause.elements, expected);
  EXPECT_EQ(clause.is_null, (std::vector<bool>{false, false, false, true, false, false, false}));
  EXPECT_TRUE(One("a=in.()").elements.empty());
  EXPECT_TRUE(One("a=in.( )").elements.empty());
  EXPECT_EQ(One("a=in.(\"\")").elements, std::vector<std::string>{""});
  EXPECT_EQ(One("a=in.(a\\ )").elements, std::vector<std::string>{"a "});
}

TEST(Filter, InRefusesMalformedArrayLiterals) {
  for (const char* text : {"a=in.(1,)", "a=in.(,1)", "a=in.(1,,2)", "a=in.({1,2})", "a=in.(a\"b)", "a=in.(\"a\"b)", "a=in.(})",
                           "a=in.(\\)"}) {
    EXPECT_EQ(ParseFilter(text).status.code(), Code::kMalformed) << text;
  }
  EXPECT_EQ(ErrorOf("a=in.(1,)"), "malformed array literal: \"{1,}\"");
}

TEST(Filter, CountsAreBounded) {
  std::string list = "0";
  for (int i = 1; i < 100; i++) list += "," + std::to_string(i);
  EXPECT_EQ(One("a=in.(" + list + ")").elements.size(), 100u);
  EXPECT_EQ(ParseFilter("a=in.(" + list + ",100)").status.code(), Code::kTooLarge);
  EXPECT_EQ(ErrorOf("a=in.(" + list + ",100)"), "too many values for `in` filter. Maximum 100");
  std::string many = "a=eq.1";
  for (int i = 1; i < 100; i++) many += ",a=eq.1";
  EXPECT_EQ(ParseFilter(many).value.size(), 100u);
  EXPECT_FALSE(ParseFilter(many + ",a=eq.1").ok());
}

TEST(Filter, DescribesClausesAsTheReferenceDoes) {
  EXPECT_EQ(DescribeFilters(ParseFilter("id=eq.1,n=in.(a,b)").value),
            "[{\"id\", \"eq\", \"1\", false}, {\"n\", \"in\", \"{a,b}\", false}]");
  EXPECT_EQ(DescribeFilters(ParseFilter("id=not.is.null,n=not.in.(a)").value),
            "[{\"id\", \"is\", \"null\", true}, {\"n\", \"in\", \"{a}\", true}]");
  EXPECT_EQ(DescribeFilters({}), "[]");
  EXPECT_LT(DescribeFilters(ParseFilter("id=eq." + std::string(1000000, 'x')).value).size(), 20000u);
}

}  // namespace
}  // namespace realtime
