// A judged change as the JSON text of the `data` object. Database thread only, inside a batch: a type
// with a user-defined cast to json calls the backend, as the table's owner.
#ifndef REALTIME_PG_ROW_JSON_H_
#define REALTIME_PG_ROW_JSON_H_

#include <cstdint>
#include <string>

#include "pg/batch.h"
#include "pg/judge.h"
#include "pg/relation_feed.h"

namespace realtime {

// A change whose texts together pass realtime.max_record_bytes is sent as an "Error 413" event that keeps values whose JSON
// is at most this long.
inline constexpr size_t kSmallValueBytes = 64;

// Microseconds since 2000-01-01 UTC as "2026-01-02T03:04:05.678Z".
std::string FormatCommitTime(int64_t commit_time_us);

struct EncodeInput {
  const RelationFeed* feed;
  const JudgedChange* change;
  const Projection* projection;
  Verdict verdict;
  std::string commit_time;  // as formatted
  uint64_t commit_lsn = 0;
  uint64_t commit_row = 0;  // of the commit's rows, the first is 1
};

// Never raises; on an error of a cast the value is sent as its text, and the log says so once a minute. That error aborts
// the batch, which is opened again.
std::string EncodeChange(const EncodeInput& input, Batch* batch);

}  // namespace realtime

#endif  // REALTIME_PG_ROW_JSON_H_
