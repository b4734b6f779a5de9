// Subscriptions that ask for what they missed (`since`): fed from the history, in bounded turns, until they have caught up
// with the stream. Meanwhile the registry holds them back, so that nothing comes twice or out of order.
// Database thread only; nothing here raises.
#ifndef REALTIME_PG_CATCH_UP_H_
#define REALTIME_PG_CATCH_UP_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <unordered_map>

#include "core/pgoutput.h"
#include "pg/dispatcher.h"
#include "pg/feed_turn.h"
#include "pg/history.h"
#include "pg/parking.h"
#include "pg/registry.h"

namespace realtime {

class CatchUp {
 public:
  // None is owned.
  CatchUp(Registry* registry, const History* history, Dispatcher* dispatcher, std::function<void(ToNetwork)> output)
      : registry_(registry), history_(history), dispatcher_(dispatcher), output_(std::move(output)) {}

  // For each binding of the channel that asks for it; the channel has just been registered, and answered.
  // `end_lsn`: of the server's log, beyond which no point can be.
  void Begin(const Subscribe& request, uint64_t end_lsn);

  // Where the stream is.
  struct Front {
    ResumePoint point;       // rows up to here have been read ...
    const Parking* parking;  // ... and dealt with, but for these
  };
  // A turn. Those that have come to the front go live. False: there is more to do at once.
  bool Run(const Front& front, const FeedTurn& turn);
  bool empty() const { return jobs_.empty(); }
  int64_t next_retry_ms() const { return next_retry_ms_; }  // INT64_MAX: nothing waits for a lock, or for others' turn

 private:
  struct Job {
    ChannelId channel = 0;
    uint32_t binding_id = 0;
    ResumePoint since;
    uint64_t next = 0;  // of the history
    int64_t not_before_ms = 0;
  };
  enum class Step : uint8_t { kGone, kCaughtUp, kWaiting, kInterrupted };
  enum class RowStep : uint8_t { kDone, kNotNow, kNotEnded };

  Step Advance(Job* job, const Front& front, const FeedTurn& turn);
  bool Concerns(const Audience& audience, const Job& job, const StreamRow& row) const;
  RowStep ReplayRow(const std::shared_ptr<Audience>& audience, const Job& job, const Front& front, const FeedTurn& turn);
  Dispatcher::Outcome Replay(const std::shared_ptr<Audience>& audience, const Job& job, const StreamRow& row);
  bool HasEnded(StreamCommit* commit);
  void TellTooOld(const Job& job);

  Registry* registry_;
  const History* history_;
  Dispatcher* dispatcher_;
  std::function<void(ToNetwork)> output_;
  std::deque<Job> jobs_;
  std::unordered_map<uint32_t, int64_t> not_before_ms_;  // tables that need not be tried before, for any job
  int64_t next_retry_ms_ = INT64_MAX;
  PgoutputMessage message_;
};

}  // namespace realtime

#endif  // REALTIME_PG_CATCH_UP_H_
