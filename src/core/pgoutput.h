// Parser of the pgoutput plugin's messages, protocol version 1, text format.
// Format: PostgreSQL documentation, "Logical Replication Message Formats". Pure and bounded; fuzzed.
#ifndef REALTIME_CORE_PGOUTPUT_H_
#define REALTIME_CORE_PGOUTPUT_H_

#include "core/pure.h"

#include <cstdint>
#include <string_view>

#include "core/change.h"
#include "core/status.h"

namespace realtime {

struct PgoutputMessage {
  enum class Kind : uint8_t { kBegin, kCommit, kRelation, kRow, kIgnored };  // kIgnored: Type, Origin, Truncate, Message
  Kind kind = Kind::kIgnored;

  // kBegin: commit_lsn is the LSN of the commit record. kCommit: commit_lsn likewise, end_lsn the one to confirm.
  uint64_t commit_lsn = 0;
  uint64_t end_lsn = 0;
  int64_t commit_time_us = 0;  // microseconds since 2000-01-01 UTC
  uint32_t xid = 0;            // kBegin only

  RelationInfo relation;  // kRelation
  RowChange row;          // kRow; cells point into the parsed bytes
};

// Parses one message (the payload of one XLogData) into *out, whose vectors are reused between calls. On failure *out is
// unspecified and the status says which message and field was wrong.
// At most kMaxColumns columns (PostgreSQL's MaxTupleAttributeNumber is 1664).
inline constexpr int kMaxColumns = 1664;
Status ParsePgoutput(std::string_view bytes, PgoutputMessage* out);

// What a message is, and of a Begin its time, without the rest: for counting. Of bytes that parse.
bool IsRow(std::string_view bytes);
bool IsCommit(std::string_view bytes);
bool ReadBegin(std::string_view bytes, int64_t* commit_time_us);

}  // namespace realtime

#endif  // REALTIME_CORE_PGOUTPUT_H_
