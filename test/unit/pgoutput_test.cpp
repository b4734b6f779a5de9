// Messages of the replication stream. The long constants are what PostgreSQL 15 sent on a logical slot, byte for byte.
#include "core/pgoutput.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace realtime {
namespace {

using Kind = PgoutputMessage::Kind;

std::string Hex(std::string_view digits) {
  auto nibble = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  for (size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes.push_back(static_cast<char>(nibble(digits[i]) * 16 + nibble(digits[i + 1])));
  }
  return bytes;
}

// "plain" has a dropped column, a generated one (neither is listed), an enum, a domain and an external text.
const std::string kBegin = Hex("420000000001547070000303e66be15306000002df");
const std::string kTypeEnum = Hex("59000040017075626c6963006d6f6f6400");
const std::string kTypeDomain = Hex("590000400600696e743400");
const std::string kRelationPlain = Hex(
    "52000040087075626c696300706c61696e006400060169640000000017ffffffff006e616d650000000019ffffffff00626f6479000000"
    "0019ffffffff00707269636500000006a4000a0006006665656c696e670000004001ffffffff006e0000004006ffffffff");
// Values (1, 'é "q"', 3000 times x, 12.50, 'ok', 7).
std::string InsertPlain() {
  return Hex("49000040084e00067400000001317400000006c3a9202271227400000bb8") + std::string(3000, 'x') +
         Hex("740000000531322e353074000000026f6b740000000137");
}
// SET name = null, then SET id = 2: the external text did not change.
const std::string kUpdatePlain = Hex("55000040084e00067400000001316e75740000000531322e353074000000026f6b740000000137");
const std::string kUpdateKey = Hex(
    "55000040084b00067400000001316e6e6e6e6e4e00067400000001326e75740000000531322e353074000000026f6b740000000137");
const std::string kDeleteKey = Hex("44000040084b00067400000001326e6e6e6e6e");
const std::string kRelationFull =
    Hex("52000040107075626c69630077686f6c65006600020169640000000017ffffffff016e6f7465000000041300000018");
const std::string kUpdateFull = Hex("55000040104f00027400000001317400000001614e00027400000001317400000000");
const std::string kDeleteFull = Hex("44000040104f00027400000001317400000000");
const std::string kRelationIndex =
    Hex("52000040146f646420536368656d6100542e310069000201610000000017ffffffff006220630000000b86ffffffff");
const std::string kMessage = Hex("4d010000000001546dc8707265000000000568656c6c6f");
const std::string kTruncate = Hex("54000000010000004010");
const std::string kOrigin = Hex("4f0000000000abcdef6f3100");
const std::string kCommit = Hex("4300000000000154707000000000015470e8000303e66be15306");

std::vector<std::string> AllMessages() {
  return {kBegin,     kTypeEnum,   kTypeDomain,   kRelationPlain, InsertPlain(),  kUpdatePlain, kUpdateKey, kDeleteKey,
          kRelationFull, kUpdateFull, kDeleteFull, kRelationIndex, kMessage, kTruncate, kOrigin, kCommit};
}

PgoutputMessage Parsed(std::string_view bytes) {
  PgoutputMessage message;
  Status status = ParsePgoutput(bytes, &message);
  EXPECT_TRUE(status.ok()) << status.message();
  return message;
}

std::string ErrorOf(std::string_view bytes) {
  PgoutputMessage message;
  Status status = ParsePgoutput(bytes, &message);
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.code(), Code::kMalformed);
  return status.message();
}

// "1|-|~|?": texts as they are, - for NULL, ~ for unchanged.
std::string Show(const Row& row) {
  std::string shown;
  for (const Cell& cell : row) {
    if (!shown.empty()) shown += "|";
    switch (cell.kind) {
      case Cell::Kind::kNull: shown += "-"; break;
      case Cell::Kind::kUnchanged: shown += "~"; break;
      case Cell::Kind::kText: shown += cell.text.empty() ? std::string("''") : std::string(cell.text); break;
      case Cell::Kind::kAbsent: shown += "?"; break;
    }
  }
  return shown;
}

TEST(test_postgres_payload_deserialize, begin) {
  PgoutputMessage message = Parsed(kBegin);
  EXPECT_EQ(message.kind, Kind::kBegin);
  EXPECT_EQ(message.commit_lsn, 0x1547070u);
  EXPECT_EQ(message.commit_time_us, 0x000303e66be15306);
  EXPECT_EQ(message.xid, 735u);
}

TEST(test_postgres_payload_deserialize, commit) {
  PgoutputMessage message = Parsed(kCommit);
  EXPECT_EQ(message.kind, Kind::kCommit);
  EXPECT_EQ(message.commit_lsn, 0x1547070u);
  EXPECT_EQ(message.end_lsn, 0x15470e8u);
  EXPECT_EQ(message.commit_time_us, Parsed(kBegin).commit_time_us);
}

TEST(test_postgres_payload_deserialize, kinds_without_the_rest) {
  for (const std::string& bytes : AllMessages()) {
    Kind kind = Parsed(bytes).kind;
    EXPECT_EQ(IsRow(bytes), kind == Kind::kRow);
    EXPECT_EQ(IsCommit(bytes), kind == Kind::kCommit);
    int64_t time_us = 0;
    EXPECT_EQ(ReadBegin(bytes, &time_us), kind == Kind::kBegin);
    EXPECT_EQ(time_us, kind == Kind::kBegin ? Parsed(kBegin).commit_time_us : 0);
  }
  int64_t time_us = 0;
  EXPECT_FALSE(IsRow(""));
  EXPECT_FALSE(IsCommit(""));
  EXPECT_FALSE(ReadBegin("", &time_us));
  EXPECT_FALSE(ReadBegin(kBegin.substr(0, 16), &time_us));
}

TEST(test_postgres_payload_deserialize, commit_before_2000_is_negative) {
  std::string bytes = kCommit.substr(0, kCommit.size() - 8) + std::string(8, '\xff');
  EXPECT_EQ(Parsed(bytes).commit_time_us, -1);
}

TEST(test_postgres_payload_deserialize, insert) {
  std::string bytes = InsertPlain();
  PgoutputMessage message = Parsed(bytes);
  EXPECT_EQ(message.kind, Kind::kRow);
  EXPECT_EQ(message.row.kind, ChangeKind::kInsert);
  EXPECT_EQ(message.row.relation_oid, 0x4008u);
  EXPECT_EQ(message.row.old_kind, OldRow::kNone);
  EXPECT_TRUE(message.row.old_row.empty());
  EXPECT_EQ(Show(message.row.new_row), "1|\u00e9 \"q\"|" + std::string(3000, 'x') + "|12.50|ok|7");
  const char* first = message.row.new_row[0].text.data();
  EXPECT_TRUE(first > bytes.data() && first < bytes.data() + bytes.size()) << "cells must point into the message";
}

TEST(test_postgres_payload_deserialize, update_with_unchanged_toast_and_null) {
  PgoutputMessage message = Parsed(kUpdatePlain);
  EXPECT_EQ(message.row.kind, ChangeKind::kUpdate);
  EXPECT_EQ(message.row.old_kind, OldRow::kNone);
  EXPECT_EQ(Show(message.row.new_row), "1|-|~|12.50|ok|7");
}

TEST(test_postgres_payload_deserialize, update_of_the_key_carries_the_old_key) {
  PgoutputMessage message = Parsed(kUpdateKey);
  EXPECT_EQ(message.row.old_kind, OldRow::kKey);
  EXPECT_EQ(Show(message.row.old_row), "1|-|-|-|-|-");
  EXPECT_EQ(Show(message.row.new_row), "2|-|~|12.50|ok|7");
}

TEST(test_postgres_payload_deserialize, update_under_replica_identity_full) {
  PgoutputMessage message = Parsed(kUpdateFull);
  EXPECT_EQ(message.row.old_kind, OldRow::kFull);
  EXPECT_EQ(Show(message.row.old_row), "1|a");
  EXPECT_EQ(Show(message.row.new_row), "1|''") << "an empty text is not NULL";
}

TEST(test_postgres_payload_deserialize, deletes) {
  PgoutputMessage key = Parsed(kDeleteKey);
  EXPECT_EQ(key.row.kind, ChangeKind::kDelete);
  EXPECT_EQ(key.row.old_kind, OldRow::kKey);
  EXPECT_EQ(Show(key.row.old_row), "2|-|-|-|-|-");
  EXPECT_TRUE(key.row.new_row.empty());
  PgoutputMessage full = Parsed(kDeleteFull);
  EXPECT_EQ(full.row.old_kind, OldRow::kFull);
  EXPECT_EQ(Show(full.row.old_row), "1|''");
}

TEST(test_postgres_payload_deserialize, other_messages_are_checked_and_ignored) {
  for (const std::string& bytes : {kTypeEnum, kTypeDomain, kMessage, kTruncate, kOrigin}) {
    EXPECT_EQ(Parsed(bytes).kind, Kind::kIgnored) << bytes[0];
  }
}

TEST(test_postgres_payload_deserialize, reuse_leaves_nothing_of_the_message_before) {
  PgoutputMessage message;
  std::string insert = InsertPlain();
  for (const std::string& bytes : {kUpdateKey, insert, kDeleteFull, kRelationPlain, kRelationFull}) {
    ASSERT_TRUE(ParsePgoutput(bytes, &message).ok());
    PgoutputMessage fresh = Parsed(bytes);
    EXPECT_EQ(message.kind, fresh.kind);
    if (message.kind == Kind::kRow) {
      EXPECT_EQ(message.row.old_kind, fresh.row.old_kind);
      EXPECT_EQ(Show(message.row.old_row), Show(fresh.row.old_row));
      EXPECT_EQ(Show(message.row.new_row), Show(fresh.row.new_row));
    } else {
      EXPECT_EQ(message.relation.columns.size(), fresh.relation.columns.size());
    }
  }
}

// A heap copy of the exact size, so that AddressSanitizer sees a read past the end.
TEST(test_postgres_payload_deserialize, every_truncation_fails) {
  for (const std::string& whole : AllMessages()) {
    for (size_t length = 0; length < whole.size(); length++) {
      std::vector<char> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
      PgoutputMessage message;
      Status status = ParsePgoutput(std::string_view(cut.data(), cut.size()), &message);
      ASSERT_FALSE(status.ok()) << whole[0] << " cut to " << length;
      ASSERT_EQ(status.code(), Code::kMalformed);
      ASSERT_FALSE(status.message().empty());
    }
  }
}

TEST(test_postgres_payload_deserialize, a_byte_too_many_fails) {
  for (const std::string& whole : AllMessages()) {
    PgoutputMessage message;
    EXPECT_FALSE(ParsePgoutput(whole + '\0', &message).ok()) << whole[0];
  }
}

TEST(test_postgres_payload_deserialize, errors_name_message_and_field) {
  EXPECT_EQ(ErrorOf(""), "pgoutput: empty message");
  EXPECT_EQ(ErrorOf("S123"), "pgoutput message type 83: unknown");
  EXPECT_EQ(ErrorOf(Hex("4200")), "pgoutput Begin: message too short");
  EXPECT_EQ(ErrorOf("B" + std::string(20, '\0')), "pgoutput Begin: final LSN is not set");
  EXPECT_EQ(ErrorOf("C\x01" + kCommit.substr(2)), "pgoutput Commit: unknown flags");
  EXPECT_EQ(ErrorOf(Hex("49000040084b0000")), "pgoutput Insert: no new tuple");
  EXPECT_EQ(ErrorOf(Hex("55000040084b00004b0000")), "pgoutput Update: no new tuple");
  EXPECT_EQ(ErrorOf(Hex("44000040084e0000")), "pgoutput Delete: no old tuple");
  EXPECT_EQ(ErrorOf(Hex("49000040084e0001") + "b" + Hex("0000000131")), "pgoutput Insert: bad new tuple");
  EXPECT_EQ(ErrorOf(Hex("54ffffffff0000004010")), "pgoutput Truncate: bad number of relations");
}

TEST(test_postgres_payload_deserialize, lengths_that_lie_do_not_read_or_allocate) {
  ErrorOf(Hex("49000040084e000174ffffffff31"));
  ErrorOf(Hex("49000040084e0001747fffffff31"));
  ErrorOf(Hex("49000040084effff") + std::string(100, 'n'));
  ErrorOf(Hex("4d010000000001546dc87072650080000000") + "x");
}

std::string InsertOfNulls(uint16_t columns) {
  std::string bytes = Hex("49000040084e");
  bytes.push_back(static_cast<char>(columns >> 8));
  bytes.push_back(static_cast<char>(columns & 255));
  return bytes + std::string(columns, 'n');
}

TEST(test_postgres_payload_deserialize, number_of_columns_is_bounded) {
  EXPECT_EQ(Parsed(InsertOfNulls(0)).row.new_row.size(), 0u);
  EXPECT_EQ(Parsed(InsertOfNulls(kMaxColumns)).row.new_row.size(), 1664u);
  EXPECT_EQ(ErrorOf(InsertOfNulls(kMaxColumns + 1)), "pgoutput Insert: bad new tuple");
}

void ExpectColumn(const RelationColumn& column, std::string_view name, uint32_t type, int32_t typmod, bool identity) {
  EXPECT_EQ(column.name, name);
  EXPECT_EQ(column.type_oid, type) << name;
  EXPECT_EQ(column.typmod, typmod) << name;
  EXPECT_EQ(column.identity, identity) << name;
}

TEST(test_column_info_mapping, names_types_modifiers_and_identity) {
  RelationInfo relation = Parsed(kRelationPlain).relation;
  EXPECT_EQ(relation.oid, 0x4008u);
  EXPECT_EQ(relation.schema, "public");
  EXPECT_EQ(relation.table, "plain");
  EXPECT_EQ(relation.replica_identity, 'd');
  ASSERT_EQ(relation.columns.size(), 6u);
  ExpectColumn(relation.columns[0], "id", 23, -1, true);                           // int4
  ExpectColumn(relation.columns[1], "name", 25, -1, false);                        // text
  ExpectColumn(relation.columns[2], "body", 25, -1, false);
  ExpectColumn(relation.columns[3], "price", 1700, ((10 << 16) | 2) + 4, false);   // numeric(10,2)
  ExpectColumn(relation.columns[4], "feeling", 0x4001, -1, false);                 // an enum's own OID
  ExpectColumn(relation.columns[5], "n", 0x4006, -1, false);                       // a domain's own OID
}

TEST(test_column_info_mapping, replica_identity_full_marks_every_column) {
  RelationInfo relation = Parsed(kRelationFull).relation;
  EXPECT_EQ(relation.replica_identity, 'f');
  ASSERT_EQ(relation.columns.size(), 2u);
  ExpectColumn(relation.columns[0], "id", 23, -1, true);
  ExpectColumn(relation.columns[1], "note", 1043, 24, true);  // varchar(20)
}

TEST(test_column_info_mapping, replica_identity_index_and_names_that_need_quotes) {
  RelationInfo relation = Parsed(kRelationIndex).relation;
  EXPECT_EQ(relation.schema, "odd Schema");
  EXPECT_EQ(relation.table, "T.1");
  EXPECT_EQ(relation.replica_identity, 'i');
  ASSERT_EQ(relation.columns.size(), 2u);
  ExpectColumn(relation.columns[0], "a", 23, -1, true);
  ExpectColumn(relation.columns[1], "b c", 2950, -1, false);  // uuid
}

TEST(test_column_info_mapping, an_empty_schema_is_pg_catalog) {
  RelationInfo relation = Parsed(Hex("520000000100") + Hex("7400") + "n" + Hex("0000")).relation;
  EXPECT_EQ(relation.schema, "pg_catalog");
  EXPECT_EQ(relation.table, "t");
  EXPECT_TRUE(relation.columns.empty());
}

TEST(test_column_info_mapping, bad_relations) {
  EXPECT_EQ(ErrorOf("R"), "pgoutput Relation: bad name");
  EXPECT_EQ(ErrorOf(Hex("5200000001007400") + "x" + Hex("0000")), "pgoutput Relation: unknown replica identity");
  EXPECT_EQ(ErrorOf(Hex("5200000001007400") + "d" + Hex("ffff")), "pgoutput Relation: bad number of columns");
  EXPECT_EQ(ErrorOf(Hex("5200000001007400") + "d" + Hex("0001") + std::string(12, 'x')),
            "pgoutput Relation: bad column");
}

}  // namespace
}  // namespace realtime
