// One row change of the replication stream as a value. Produced by pgoutput.h, consumed by pg/.
#ifndef REALTIME_CORE_CHANGE_H_
#define REALTIME_CORE_CHANGE_H_

#include "core/pure.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace realtime {

enum class ChangeKind : uint8_t { kInsert = 0, kUpdate = 1, kDelete = 2 };

// "INSERT", "UPDATE", "DELETE".
std::string_view ChangeKindName(ChangeKind kind);

// One column's value in a tuple. `text` is PostgreSQL output text made under the stream's fixed session settings; it
// points into the message it was parsed from.
struct Cell {
  enum class Kind : uint8_t {
    kNull,
    kText,
    kUnchanged,  // TOASTed and not modified: the stream does not carry it
    kAbsent,     // not in the tuple at all (non-key column of a key tuple; filled in by pg/)
  };
  Kind kind = Kind::kAbsent;
  std::string_view text;
};

using Row = std::vector<Cell>;  // in the order of RelationInfo::columns

struct RelationColumn {
  std::string name;
  uint32_t type_oid = 0;
  int32_t typmod = -1;
  bool identity = false;  // part of the replica identity (all columns under REPLICA IDENTITY FULL)
  bool operator==(const RelationColumn&) const = default;
};

// A table as it was when the change was made. Generated and dropped columns are not listed (PostgreSQL 15).
struct RelationInfo {
  uint32_t oid = 0;
  std::string schema;
  std::string table;
  char replica_identity = 'd';  // 'd' default, 'n' nothing, 'f' full, 'i' index
  std::vector<RelationColumn> columns;
  bool operator==(const RelationInfo&) const = default;
};

enum class OldRow : uint8_t { kNone, kKey, kFull };

struct RowChange {
  ChangeKind kind = ChangeKind::kInsert;
  uint32_t relation_oid = 0;
  OldRow old_kind = OldRow::kNone;
  Row old_row;  // empty when old_kind is kNone; under kKey non-identity columns are kNull on the wire
  Row new_row;  // empty for DELETE
};

}  // namespace realtime

#endif  // REALTIME_CORE_CHANGE_H_
