// The upkeep of realtime.messages: partitions ahead of time, old ones dropped, expired rows deleted, and the publication that
// brings its rows to the worker. Database thread only; nothing here raises. Times are milliseconds of a monotonic clock.
//
// The work itself is SQL (realtime.maintain_messages() is all of it, for people). Here it is cut into tasks, each a short
// transaction with a lock time-out and a bounded time, one a step, so that the stream waits for none of them for long.
#ifndef REALTIME_PG_MESSAGE_UPKEEP_H_
#define REALTIME_PG_MESSAGE_UPKEEP_H_

#include <cstddef>
#include <cstdint>

#include "pg/guard.h"
#include "pg/log.h"

namespace realtime {

// Name of the publication, as the reference calls it.
inline constexpr char kMessagesPublication[] = "supabase_realtime_messages_publication";

class MessageUpkeep {
 public:
  // The extension has (just) been found to exist: work is due at once.
  void Begin(int64_t now_ms) { *this = MessageUpkeep(now_ms); }
  // The extension has gone: its publication is to follow, and that is all.
  void End(int64_t now_ms) {
    *this = MessageUpkeep(now_ms);
    farewell_ = true;
  }
  // Does what is due, in a short transaction of its own with a lock time-out; tries again soon after a failure.
  // Must not be called inside a transaction.
  void Step(int64_t now_ms);
  int64_t next_step_ms() const { return next_ms_; }

  MessageUpkeep() = default;

 private:
  explicit MessageUpkeep(int64_t now_ms) : next_ms_(now_ms) {}
  void SayFarewell(int64_t now_ms);
  void Failed(const char* code, const char* task, const PgError& error);
  void EndRound(int64_t now_ms);

  int64_t next_ms_ = INT64_MAX;
  bool farewell_ = false;       // the extension has gone
  size_t task_ = 0;             // the next of the round
  int64_t round_ms_ = 0;        // time from this round's end to the next round, as far as is known
  bool failed_ = false;         // a task of this round failed
  bool lock_missed_ = false;    // ... only for want of a lock
  int lock_rounds_ = 0;         // rounds in a row that did
  Condition condition_;
};

}  // namespace realtime

#endif  // REALTIME_PG_MESSAGE_UPKEEP_H_
