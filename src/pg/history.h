// The last rows of the stream, for clients that come back: bounded by realtime.history_size, in the order of the stream.
// Database thread only.
#ifndef REALTIME_PG_HISTORY_H_
#define REALTIME_PG_HISTORY_H_

#include <cstdint>
#include <deque>

#include "pg/stream_row.h"

namespace realtime {

class History {
 public:
  // What came before `lsn` is not known, and will not be.
  void Restart(uint64_t lsn);
  void Add(StreamRow row);
  // What is beyond the bound goes. After Add, and after realtime.history_size was lowered.
  void Trim();

  // Whether everything after the point is here.
  bool Covers(const ResumePoint& point) const;
  uint64_t first_lsn() const { return floor_.commit_lsn; }

  // Rows are numbered in the order of the stream, and keep their numbers: those from begin() to before end() are here.
  uint64_t begin() const { return begin_; }
  uint64_t end() const { return begin_ + rows_.size(); }
  const StreamRow& At(uint64_t number) const { return rows_[number - begin_]; }
  // The first one after the point; end() when there is none.
  uint64_t FirstAfter(const ResumePoint& point) const;

  size_t rows() const { return rows_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  std::deque<StreamRow> rows_;
  uint64_t begin_ = 0;
  size_t bytes_ = 0;
  ResumePoint floor_;  // rows up to here, this one included, are not here any more
};

}  // namespace realtime

#endif  // REALTIME_PG_HISTORY_H_
