// A row change of the stream that outlives its turn: parked, or kept in the history. Database thread only.
#ifndef REALTIME_PG_STREAM_ROW_H_
#define REALTIME_PG_STREAM_ROW_H_

#include <cstdint>
#include <memory>
#include <string>

#include "core/door.h"

namespace realtime {

class RelationFeed;

// The transaction that a row is of.
struct StreamCommit {
  uint32_t xid = 0;
  uint64_t lsn = 0;               // of the commit record
  std::string time;               // as events have it
  uint64_t confirmable_lsn = 0;   // the end of the commit before it: what may be confirmed while it is not dealt with
  bool ended = false;             // for other backends too (commit_end.h)
};
using StreamCommitPtr = std::shared_ptr<StreamCommit>;

// Where a row is in the stream, which is in the order of commits.
struct StreamPosition {
  StreamCommitPtr commit;
  uint64_t row = 0;  // of the commit, from 1

  bool IsAfter(const ResumePoint& point) const {
    return commit->lsn > point.commit_lsn || (commit->lsn == point.commit_lsn && row > point.row);
  }
};

struct StreamRow {
  std::shared_ptr<RelationFeed> relation;  // as it was announced for this row
  StreamPosition position;
  std::string message;        // of pgoutput
  size_t relation_bytes = 0;  // of the relation, where it is counted with this row

  // Of memory, all in all.
  size_t bytes() const { return sizeof(StreamRow) + message.capacity() + relation_bytes; }
};

}  // namespace realtime

#endif  // REALTIME_PG_STREAM_ROW_H_
