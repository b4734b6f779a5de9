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

constexpr char kLockedHint[] =
    "Somebody holds an ACCESS EXCLUSIVE lock on this table, or on one that its policies read: look into pg_locks. Other "
    "tables go on until realtime.max_parked_size is reached.";
constexpr char kSlowHint[] =
    "Make its row-level security policies faster, and the functions that they, filters and generated columns call. Other "
    "tables have as much time, until realtime.max_parked_size is reached.";

}  // namespace

bool Parking::Holds(uint32_t relation) const {
  return std::any_of(tables_.begin(), tables_.end(), [=](const Table& table) { return table.relation == relation; });
}

bool Parking::HoldsLocked(uint32_t relation) const {
  return std::any_of(tables_.begin(), tables_.end(),
                     [=](const Table& table) { return table.relation == relation && !table.slow; });
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

void Parking::Hold(StreamRow row, Dispatcher::Outcome why, std::vector<Target> judged, int64_t now_ms) {
  if (tables_.empty()) next_lock_retry_ms_ = now_ms + kRetryMs;
  Table table;
  table.relation = row.relation->info().oid;
  table.judged = std::move(judged);
  table.slow = why == Dispatcher::Outcome::kUnfinished;
  table.since_ms = now_ms;
  tables_.push_back(std::move(table));
  Append(std::move(row));
}

void Parking::Append(StreamRow row) {
  const uint32_t relation = row.relation->info().oid;
  auto held = std::find_if(tables_.begin(), tables_.end(), [=](const Table& table) { return table.relation == relation; });
  ++rows_;
  bytes_ += row.bytes();
  if (held->shapes.empty() || held->shapes.back() != row.relation) held->shapes.push_back(row.relation);
  held->rows.push_back(std::move(row));
}

Parking::Drained Parking::Drain(const Deliver& deliver, const std::function<bool()>& may_go_on) {
  Table& table = tables_.front();
  while (!table.rows.empty()) {
    if (!may_go_on()) return Drained::kInterrupted;
    const Dispatcher::Outcome outcome = deliver(table.rows.front(), &table.judged);
    if (outcome == Dispatcher::Outcome::kLocked) return Drained::kLocked;
    if (outcome == Dispatcher::Outcome::kUnfinished) return Drained::kUnfinished;
    --rows_;
    bytes_ -= table.rows.front().bytes();
    table.rows.pop_front();
    table.judged.clear();
  }
  return Drained::kAll;
}

void Parking::Rotate() {
  tables_.push_back(std::move(tables_.front()));
  tables_.pop_front();
}

// What is slow waits for the others' turn only, what is locked is asked now and then.
bool Parking::IsDue(const Table& table, Dispatcher* dispatcher, int64_t now_ms) const {
  return (table.slow || now_ms >= next_lock_retry_ms_) && !dispatcher->MustYield(table.relation);
}

bool Parking::IsDue(Dispatcher* dispatcher, int64_t now_ms) const {
  return std::any_of(tables_.begin(), tables_.end(),
                     [&](const Table& table) { return IsDue(table, dispatcher, now_ms); });
}

int64_t Parking::next_retry_ms() const {
  if (tables_.empty()) return INT64_MAX;
  const bool slow = std::any_of(tables_.begin(), tables_.end(), [](const Table& table) { return table.slow; });
  return slow ? 0 : next_lock_retry_ms_;
}

bool Parking::RetryFirst(const Deliver& deliver, const FeedTurn& turn) {
  Table& table = tables_.front();
  const size_t before = table.rows.size();
  const Drained drained = Drain(deliver, turn.may_go_on);
  if (drained == Drained::kAll) {
    tables_.pop_front();
    return true;
  }
  // A row of it was dealt with: it is not locked.
  table.slow = drained == Drained::kUnfinished || (drained == Drained::kInterrupted && (table.slow || table.rows.size() < before));
  if (drained == Drained::kLocked || table.slow) LogLongWait(table, turn.now_ms);
  Rotate();
  if (drained == Drained::kLocked) {
    next_lock_retry_ms_ = turn.now_ms + kRetryMs / static_cast<int64_t>(std::min(tables_.size(), kMaxShare));
  }
  return false;
}

bool Parking::HasReady(const Dispatcher& dispatcher) const {
  return std::any_of(tables_.begin(), tables_.end(),
                     [&](const Table& table) { return table.slow && !dispatcher.IsSlow(table.relation); });
}

void Parking::Retry(const Deliver& deliver, Dispatcher* dispatcher, const FeedTurn& turn) {
  // A turn that is over before it has begun is nobody's.
  if (!turn.may_go_on()) return;
  slow_first_ = !slow_first_;
  for (const bool slow : {slow_first_, !slow_first_}) {
    for (;;) {
      if (!turn.may_go_on()) return;
      auto next = std::find_if(tables_.begin(), tables_.end(), [&](const Table& table) {
        return dispatcher->IsSlow(table.relation) == slow && IsDue(table, dispatcher, turn.now_ms);
      });
      if (next == tables_.end()) break;
      std::rotate(tables_.begin(), next, next + 1);  // those that are passed over keep their places
      if (!RetryFirst(deliver, turn)) return;
    }
  }
}

void Parking::LogLongWait(const Table& table, int64_t now_ms) {
  if (now_ms - table.since_ms < kLongWaitMs) return;
  const RelationInfo& info = table.rows.front().relation->info();
  const std::string name = info.schema + "." + info.table;
  if (!failure_log::Due((table.slow ? "slow " : "parked ") + name)) return;
  Log(LogLevel::kInfo,
      "changes of table \"" + name + (table.slow ? "\" take long to judge, " : "\" wait until a lock is released, ") +
          std::to_string(table.rows.size()) + " so far",
      table.slow ? kSlowHint : kLockedHint);
}

}  // namespace realtime
