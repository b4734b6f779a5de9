#include "pg/parking.h"

#include <algorithm>
#include <string>
#include <utility>

#include "pg/failure_log.h"
#include "pg/log.h"
#include "pg/settings.h"

namespace realtime {
namespace {

constexpr int64_t kRetryMs = 20;       // an attempt costs about a millisecond ...
constexpr size_t kMaxShare = 5;        // ... and several tables ask so much more often, that no one waits for many others
constexpr int64_t kLongWaitMs = 5000;  // worth a line in the log

}  // namespace

bool Parking::Holds(uint32_t relation) const {
  return std::any_of(tables_.begin(), tables_.end(), [=](const Table& table) { return table.relation == relation; });
}

bool Parking::full() const { return bytes_ >= guc::MaxParkedBytes(); }

const StreamCommit* Parking::oldest() const {
  const StreamCommit* oldest = nullptr;
  for (const Table& table : tables_) {
    const StreamCommit* first = table.rows.front().position.commit.get();
    if (oldest == nullptr || first->lsn < oldest->lsn) oldest = first;
  }
  return oldest;
}

bool Parking::HoldsFor(const Audience& audience) const {
  return std::any_of(tables_.begin(), tables_.end(), [&](const Table& table) {
    return std::any_of(table.shapes.begin(), table.shapes.end(), [&](const std::shared_ptr<RelationFeed>& shape) {
      return audience.Matches(shape->info().schema, shape->info().table);
    });
  });
}

void Parking::ForgetPositions() {
  for (Table& table : tables_) {
    for (StreamRow& row : table.rows) row.position.commit->confirmable_lsn = 0;
  }
}

void Parking::Add(StreamRow row, int64_t now_ms) {
  const uint32_t relation = row.relation->info().oid;
  auto held = std::find_if(tables_.begin(), tables_.end(), [=](const Table& table) { return table.relation == relation; });
  if (held == tables_.end()) {
    if (tables_.empty()) next_retry_ms_ = now_ms + kRetryMs;
    held = tables_.insert(tables_.end(), Table{relation, {}, {}, now_ms});
  }
  ++rows_;
  bytes_ += row.bytes();
  if (held->shapes.empty() || held->shapes.back() != row.relation) held->shapes.push_back(row.relation);
  held->rows.push_back(std::move(row));
}

Parking::Drained Parking::Drain(const Deliver& deliver, const std::function<bool()>& may_go_on) {
  std::deque<StreamRow>& rows = tables_.front().rows;
  while (!rows.empty()) {
    if (!may_go_on()) return Drained::kInterrupted;
    if (deliver(rows.front()) == Dispatcher::Outcome::kLocked) return Drained::kLocked;
    --rows_;
    bytes_ -= rows.front().bytes();
    rows.pop_front();
  }
  return Drained::kAll;
}

void Parking::Rotate() {
  tables_.push_back(std::move(tables_.front()));
  tables_.pop_front();
}

void Parking::Retry(const Deliver& deliver, const std::function<bool()>& may_go_on, int64_t now_ms) {
  if (now_ms < next_retry_ms()) return;
  next_retry_ms_ = now_ms;
  while (!tables_.empty()) {
    const Drained drained = Drain(deliver, may_go_on);
    if (drained == Drained::kInterrupted) {
      // The next turn begins with another one: this one's rows may be slow to judge.
      return Rotate();
    }
    if (drained == Drained::kAll) {
      tables_.pop_front();
      continue;
    }
    LogLongWait(tables_.front(), now_ms);
    Rotate();
    next_retry_ms_ = now_ms + kRetryMs / static_cast<int64_t>(std::min(tables_.size(), kMaxShare));
    return;
  }
}

void Parking::LogLongWait(const Table& table, int64_t now_ms) {
  if (now_ms - table.since_ms < kLongWaitMs) return;
  const RelationInfo& info = table.rows.front().relation->info();
  if (!failure_log::Due("parked " + info.schema + "." + info.table)) return;
  Log(LogLevel::kInfo,
      "changes of table \"" + info.schema + "." + info.table + "\" wait until a lock is released, " +
          std::to_string(table.rows.size()) + " so far",
      "Somebody holds an ACCESS EXCLUSIVE lock on this table, or on one that its policies read: look into pg_locks. Other "
      "tables go on until realtime.max_parked_size is reached.");
}

}  // namespace realtime
