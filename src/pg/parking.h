// Rows that cannot be judged now, because somebody holds a lock on a table or because it takes long, and those of the same
// table behind them: its order is kept, and other tables go on. Database thread only; nothing here raises.
#ifndef REALTIME_PG_PARKING_H_
#define REALTIME_PG_PARKING_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "pg/dispatcher.h"
#include "pg/feed_turn.h"
#include "pg/stream_row.h"

namespace realtime {

class Parking {
 public:
  bool empty() const { return tables_.empty(); }
  bool Holds(uint32_t relation) const;
  bool HoldsLocked(uint32_t relation) const;  // and for a lock
  // No more of it may be added to tables that are held already: the stream waits.
  bool full() const;
  size_t rows() const { return rows_; }
  size_t bytes() const { return bytes_; }
  // Whether a row of it may concern the audience, by the names that its table had.
  bool HoldsFor(const Audience& audience) const;
  // The commit of the oldest row; null when empty.
  const StreamCommit* oldest() const;
  // Commits of all rows get zero as what may be confirmed.
  void ForgetPositions();

  // The first of a table: why, and who had it already.
  void Hold(StreamRow row, Dispatcher::Outcome why, std::vector<Target> judged, int64_t now_ms);
  // Of a table that it holds.
  void Append(StreamRow row);

  using Deliver = std::function<Dispatcher::Outcome(const StreamRow&, std::vector<Target>* judged)>;
  bool IsDue(Dispatcher* dispatcher, int64_t now_ms) const;
  // Whether a table waits that does not take long any more.
  bool HasReady(const Dispatcher& dispatcher) const;
  // Asks again, table after table, those that are due; those that take long and the others by turns.
  void Retry(const Deliver& deliver, Dispatcher* dispatcher, const FeedTurn& turn);
  // INT64_MAX: there is none. At once where a table takes long: whether it is due depends on what else is to be done.
  int64_t next_retry_ms() const;

 private:
  struct Table {
    uint32_t relation = 0;
    std::deque<StreamRow> rows;  // never empty
    std::vector<std::shared_ptr<RelationFeed>> shapes;  // of the rows, in their order
    std::vector<Target> judged;  // of the first row, who had it
    bool slow = false;           // it takes long: else it is locked
    int64_t since_ms = 0;
  };
  enum class Drained : uint8_t { kAll, kLocked, kUnfinished, kInterrupted };
  bool IsDue(const Table& table, Dispatcher* dispatcher, int64_t now_ms) const;
  // One table that is not done with is enough: false.
  bool RetryFirst(const Deliver& deliver, const FeedTurn& turn);
  // The first table.
  Drained Drain(const Deliver& deliver, const std::function<bool()>& may_go_on);
  void Rotate();
  static void LogLongWait(const Table& table, int64_t now_ms);

  std::deque<Table> tables_;  // few: the one that was asked last is the last
  size_t rows_ = 0;
  size_t bytes_ = 0;
  int64_t next_lock_retry_ms_ = 0;
  bool slow_first_ = true;
};

}  // namespace realtime

#endif  // REALTIME_PG_PARKING_H_
