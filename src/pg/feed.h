// The change feed: stream messages and subscriptions in, deliveries out. Decides who may see each change. Rows of
// realtime.messages become broadcasts, whoever subscribes.
//
//   stream --> row --> dispatcher (judge, encode) --> output
//               |          |  ^
//               |          |  +-- retry --+
//               |          +-- locked, slow --> parking (the rest of the table waits behind it)
//               +--> history --> catch_up (who asks for what he missed) --> dispatcher
// Database thread only. Everything that can ereport is guarded inside: no method raises, except the watchdog's FATAL (watchdog.h).
#ifndef REALTIME_PG_FEED_H_
#define REALTIME_PG_FEED_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/door.h"
#include "pg/feed_turn.h"

namespace realtime {

class Feed {
 public:
  // One per process: registers invalidation callbacks, the function counter (policy.h) and the guard of superusers'
  // rights (lesser_code.h).
  explicit Feed(std::function<void(ToNetwork)> output);
  ~Feed();

  // Tests the subscription against the catalogs (publication, tables, privileges, filters) without registering it:
  // nothing when it can be served as soon as the stream is live, else the result to send (kRefused or kFailed). *locked: a
  // lock was in the way, so nothing is known.
  // Must not be called between OnMessage and EndBatch.
  std::optional<SubscribeResult> Validate(const Subscribe& request, bool* locked);
  // Registers it and emits its SubscribeResult. Only while the stream is live. Same restriction. False: it cannot be told now
  // (a lock on a catalog), nothing has happened, and the caller tries again.
  bool Add(const Subscribe& request);
  void Remove(ChannelId channel);
  size_t channel_count() const;
  // A row of realtime.stat_subscriptions for each of the channel's bindings. False when there was no room for all.
  bool Describe(const Subscriber& subscriber, ViewRows* rows) const;

  // The message `id` of this transaction, which has just committed, is delivered another way.
  void SkipBroadcast(uint32_t xid, std::string id);
  // There is no slot, so that none of these transactions will be seen.
  void ForgetSkipped();

  // One pgoutput message. kWaiting: the change belongs to a transaction that is still in progress for other backends
  // (walsenders see commits at WAL flush); nothing was consumed, call again with the same bytes within a millisecond or
  // so. Opens a transaction lazily; call EndBatch before sleeping.
  // kFull: likewise, because no more changes may be parked; there is no use in calling again before next_work_ms().
  enum class Step : uint8_t { kConsumed, kWaiting, kFull, kMalformed };
  Step OnMessage(std::string_view message, int64_t now_ms);
  void EndBatch();

  // What is due besides the stream: changes that waited, and what returning clients missed. Ends the batch. False:
  // may_go_on() has ended the turn, and there is more.
  bool Work(const FeedTurn& turn);
  // When Work is due at the latest; INT64_MAX: not before the stream brings something.
  int64_t next_work_ms() const;
  // Changes wait: what was received may not all be confirmed.
  bool has_parked() const;

  // Inside a transaction of the stream (after Begin, before Commit): what was received may not be confirmed.
  bool in_stream_transaction() const;
  // OnMessage has begun what EndBatch ends.
  bool batch_open() const;
  // End LSN of the last commit before which all deliveries have been handed to the output; zero before the first.
  uint64_t handed_over_lsn() const;

  // A connection ended or begins. With new_slot the positions start over; otherwise what was handed over, whole commits and
  // the first rows of one that was cut off in its midst, is skipped when it comes again. carries_changes: it has the user's
  // publication in it.
  void OnStreamStart(bool new_slot, bool carries_changes);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace realtime

#endif  // REALTIME_PG_FEED_H_
