#include "core/message_row.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <utility>

namespace realtime {
namespace {

constexpr uint32_t kText = 25;
constexpr uint32_t kBool = 16;
constexpr uint32_t kBytea = 17;
constexpr uint32_t kJsonb = 3802;
constexpr uint32_t kUuid = 2950;
constexpr size_t kLimit = 1000;

RelationInfo Messages() {
  RelationInfo relation;
  relation.schema = "realtime";
  relation.table = "messages";
  for (const auto& [name, type] : {std::pair<const char*, uint32_t>{"topic", kText},
                                   {"extension", kText},
                                   {"payload", kJsonb},
                                   {"event", kText},
                                   {"private", kBool},
                                   {"inserted_at", 1114},
                                   {"id", kUuid},
                                   {"binary_payload", kBytea}}) {
    relation.columns.push_back({name, type, -1, false});
  }
  return relation;
}

// A row with these values, the rest null. Texts must outlive it.
Row RowOf(const RelationInfo& relation, const std::map<std::string, std::string_view>& values) {
  Row row;
  for (const RelationColumn& column : relation.columns) {
    auto found = values.find(column.name);
    if (found == values.end()) {
      row.push_back({Cell::Kind::kNull, {}});
    } else {
      row.push_back({Cell::Kind::kText, found->second});
    }
  }
  return row;
}

const std::map<std::string, std::string_view> kWhole = {
    {"topic", "room:1"}, {"extension", "broadcast"}, {"payload", "{\"a\": 1}"}, {"event", "moved"},
    {"private", "t"},    {"inserted_at", "2026-01-01 00:00:00"}, {"id", "6b8d2a0c-0000-4000-8000-000000000001"}};

std::map<std::string, std::string_view> With(const std::string& name, std::optional<std::string_view> value) {
  std::map<std::string, std::string_view> values = kWhole;
  values.erase(name);
  if (value) values[name] = *value;
  return values;
}

Result<BroadcastPtr> Read(const std::map<std::string, std::string_view>& values, size_t limit = kLimit) {
  const RelationInfo relation = Messages();
  return ReadMessageRow(relation, RowOf(relation, values), limit);
}

TEST(MessagesTable, IsKnownByItsName) {
  RelationInfo relation = Messages();
  EXPECT_TRUE(IsMessagesTable(relation));
  relation.schema = "public";
  EXPECT_FALSE(IsMessagesTable(relation));
  relation = Messages();
  relation.table = "messages_2026_01_01";
  EXPECT_FALSE(IsMessagesTable(relation));
}

TEST(MessageRow, IsABroadcastWithItsPayloadUntouched) {
  Result<BroadcastPtr> read = Read(kWhole);
  ASSERT_TRUE(read.ok());
  ASSERT_NE(read.value, nullptr);
  EXPECT_EQ(read.value->topic, "room:1");
  EXPECT_EQ(read.value->event, "moved");
  EXPECT_TRUE(read.value->is_private);
  EXPECT_EQ(read.value->form, Broadcast::Form::kJson);
  EXPECT_EQ(*read.value->payload, "{\"a\": 1}");
  EXPECT_EQ(read.value->id, "6b8d2a0c-0000-4000-8000-000000000001");
  EXPECT_FALSE(read.value->replayed);
}

TEST(MessageRow, IsReadByColumnNameWhateverTheOrder) {
  RelationInfo relation = Messages();
  std::swap(relation.columns[0], relation.columns[6]);
  Result<BroadcastPtr> read = ReadMessageRow(relation, RowOf(relation, kWhole), kLimit);
  ASSERT_TRUE(read.ok() && read.value != nullptr);
  EXPECT_EQ(read.value->topic, "room:1");
}

TEST(MessageRow, IsPublicWhenItsFlagSaysSo) {
  Result<BroadcastPtr> read = Read(With("private", "f"));
  ASSERT_TRUE(read.ok() && read.value != nullptr);
  EXPECT_FALSE(read.value->is_private);
}

TEST(MessageRow, NeedsTopicEventFlagAndPayload) {
  for (const char* name : {"topic", "event", "private", "payload"}) {
    Result<BroadcastPtr> read = Read(With(name, std::nullopt));
    EXPECT_TRUE(read.ok()) << name;
    EXPECT_EQ(read.value, nullptr) << name;
  }
}

TEST(MessageRow, DoesNotLookAtItsExtensionAndDoesNotNeedAnId) {
  EXPECT_NE(Read(With("extension", "presence")).value, nullptr);
  EXPECT_NE(Read(With("extension", std::nullopt)).value, nullptr);
  Result<BroadcastPtr> read = Read(With("id", std::nullopt));
  ASSERT_NE(read.value, nullptr);
  EXPECT_EQ(read.value->id, "");
}

TEST(MessageRow, MayCarryBytes) {
  auto values = With("payload", std::nullopt);
  values["binary_payload"] = "\\x00ff7Fa0";
  Result<BroadcastPtr> read = Read(values);
  ASSERT_TRUE(read.ok() && read.value != nullptr);
  EXPECT_EQ(read.value->form, Broadcast::Form::kBinary);
  EXPECT_EQ(*read.value->payload, std::string("\x00\xff\x7f\xa0", 4));
  values["binary_payload"] = "\\x";
  read = Read(values);
  ASSERT_TRUE(read.ok() && read.value != nullptr);
  EXPECT_EQ(*read.value->payload, "");
}

TEST(MessageRow, RefusesBytesWhoseNamesFitNoBinaryFrame) {
  const std::string longest(255, 'e');
  const std::string too_long(256, 'e');
  auto values = With("event", longest);
  EXPECT_TRUE(Read(values).ok());
  values["event"] = too_long;
  EXPECT_TRUE(Read(values).ok()) << "JSON goes as text";
  values.erase("payload");
  values["binary_payload"] = "\\x00";
  EXPECT_EQ(Read(values).status.code(), Code::kMalformed);
  values["event"] = longest;
  EXPECT_TRUE(Read(values).ok());
}

TEST(MessageRow, RefusesBytesThatAreNotHexadecimal) {
  auto values = With("payload", std::nullopt);
  for (const char* text : {"", "x", "00", "\\x0", "\\x0g", "\\xzz", "abc\\x00"}) {
    values["binary_payload"] = text;
    EXPECT_EQ(Read(values).status.code(), Code::kMalformed) << text;
  }
}

TEST(MessageRow, CountsThePayloadAlone) {
  EXPECT_TRUE(Read(With("payload", "\"12345678\""), 10).ok());
  EXPECT_EQ(Read(With("payload", "\"123456789\""), 10).status.code(), Code::kTooLarge);
  auto values = With("payload", std::nullopt);
  values["binary_payload"] = "\\x00112233";
  EXPECT_TRUE(Read(values, 4).ok());
  Status status = Read(values, 3).status;
  EXPECT_EQ(status.code(), Code::kTooLarge);
  EXPECT_EQ(status.message(), "its payload has 4 bytes, more than the 3 of realtime.max_payload_size");
}

TEST(MessageRow, RefusesTextThatIsNotUtf8) {
  EXPECT_EQ(Read(With("topic", "\xff")).status.code(), Code::kMalformed);
  EXPECT_EQ(Read(With("event", "\xc3")).status.code(), Code::kMalformed);
  EXPECT_EQ(Read(With("payload", "\"\xff\"")).status.code(), Code::kMalformed);
}

// A table of that name whose columns are of other types is not ours.
TEST(MessageRow, RefusesColumnsOfOtherTypes) {
  for (size_t column : {2, 4}) {
    RelationInfo relation = Messages();
    relation.columns[column].type_oid = kText;
    EXPECT_EQ(ReadMessageRow(relation, RowOf(relation, kWhole), kLimit).status.code(), Code::kMalformed) << column;
  }
}

TEST(MessageRow, SurvivesARowThatDoesNotFitItsRelation) {
  const RelationInfo relation = Messages();
  Row row = RowOf(relation, kWhole);
  row.resize(3);
  EXPECT_EQ(ReadMessageRow(relation, row, kLimit).value, nullptr);
  EXPECT_EQ(ReadMessageRow(relation, {}, kLimit).value, nullptr);
  EXPECT_EQ(ReadMessageRow(RelationInfo(), RowOf(relation, kWhole), kLimit).value, nullptr);
}

}  // namespace
}  // namespace realtime
