// The rows of a commit that comes by. They are counted, because a connection that is lost in the midst of it brings it again from
// its beginning, and the same WAL decodes to the same rows.
#ifndef REALTIME_PG_ROW_COUNT_H_
#define REALTIME_PG_ROW_COUNT_H_

#include <cstdint>

namespace realtime {

struct RowCount {
  uint64_t read = 0;     // of this commit, on this connection ...
  uint64_t to_skip = 0;  // ... and how many of them were handed over before the connection was lost in its midst

  bool handed_over() const { return read < to_skip; }
  // It is lost; `again`: as before, in the midst of the same commit.
  void Break(bool again) {
    if (!again || read > to_skip) to_skip = read;
  }
};

}  // namespace realtime

#endif  // REALTIME_PG_ROW_COUNT_H_
