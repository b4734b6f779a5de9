#include "pg/history.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "pg/settings.h"

namespace realtime {

void History::Restart(uint64_t lsn) {
  begin_ = end();
  rows_.clear();
  bytes_ = 0;
  floor_ = {lsn, 0};
}

void History::Add(StreamRow row) {
  bytes_ += row.bytes();
  rows_.push_back(std::move(row));
}

void History::Trim() {
  while (!rows_.empty() && bytes_ > guc::HistoryBytes()) {
    const StreamPosition& position = rows_.front().position;
    floor_ = {position.commit->lsn, position.row};
    bytes_ -= rows_.front().bytes();
    rows_.pop_front();
    ++begin_;
  }
}

bool History::Covers(const ResumePoint& point) const {
  return std::tie(point.commit_lsn, point.row) >= std::tie(floor_.commit_lsn, floor_.row);
}

uint64_t History::FirstAfter(const ResumePoint& point) const {
  auto before = [&](const StreamRow& row) { return !row.position.IsAfter(point); };
  return begin_ + static_cast<uint64_t>(std::partition_point(rows_.begin(), rows_.end(), before) - rows_.begin());
}

}  // namespace realtime
