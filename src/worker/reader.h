// Carries messages from the change stream to the feed: bounded turns, back-pressure from the network mailbox, and the wait
// for commits that the walsender saw before everybody else.
#ifndef REALTIME_WORKER_READER_H_
#define REALTIME_WORKER_READER_H_

#include <cstdint>
#include <string_view>

#include "pg/feed.h"
#include "pg/replication.h"

namespace realtime {

class Reader {
 public:
  // Neither is owned.
  Reader(Replication* stream, Feed* feed) : stream_(stream), feed_(feed) {}

  // What the loop has to do next.
  enum class Turn : uint8_t {
    kIdle,     // nothing to read: wait for the socket
    kPaused,   // the mailbox is full: wait for the network thread, not for the socket
    kMore,     // the turn's bound was reached: come back after a look at everything else
    kWaiting,  // a commit is not visible yet: come back within a millisecond
    kFull,     // what is parked has no room for more: come back when the feed has work, not for the socket
    kBroken,   // the stream sent what cannot be understood
  };
  // mailbox_bytes() is asked before each message; reading stops at `cap`. In the midst of a transaction, wait_for_more()
  // waits for a moment until the stream has more, false if it has not: what has been set up to judge the rows so far would
  // else end at each pause, and be set up again. It may take notice of what the loop waits for, so the turn is not kIdle then.
  template <typename MailboxBytes, typename WaitForMore>
  Turn Run(MailboxBytes mailbox_bytes, size_t cap, WaitForMore wait_for_more, int64_t now_ms) {
    int64_t end_us = TurnEndUs();
    bool waited = false;
    for (int count = 0; count < kMessagesPerTurn; count++) {
      if (mailbox_bytes() >= cap) return End(Turn::kPaused, now_ms);
      if (!held_ && !stream_->Next(&message_, now_ms)) {
        if (!WorthWaiting()) return End(waited ? Turn::kMore : Turn::kIdle, now_ms);
        waited = true;
        if (!wait_for_more()) return End(Turn::kMore, now_ms);
        continue;
      }
      held_ = false;
      Feed::Step step = OfferMessage(now_ms);
      if (step == Feed::Step::kWaiting) return End(Turn::kWaiting, now_ms);
      if (step == Feed::Step::kFull) return End(Turn::kFull, now_ms);
      if (step == Feed::Step::kMalformed) return End(Turn::kBroken, now_ms);
      if (TurnEnded(end_us)) return End(Turn::kMore, now_ms);
    }
    return End(Turn::kMore, now_ms);
  }

  // A connection began or ended: what was held belongs to the old one.
  void Reset();

  // Once a second: whether commits still wait for us, and whether the slot can still wait for what is parked.
  void Recheck(int64_t now_ms);

 private:
  static constexpr int kMessagesPerTurn = 1000;

  static int64_t TurnEndUs();
  static bool TurnEnded(int64_t end_us);
  bool WorthWaiting() const;
  Feed::Step OfferMessage(int64_t now_ms);
  Turn End(Turn turn, int64_t now_ms);
  void OnLongWait();

  Replication* stream_;
  Feed* feed_;
  std::string_view message_;       // of stream_
  bool held_ = false;              // message_ is to be offered again
  int64_t waiting_since_ms_ = -1;  // of the message that is held
  int64_t parked_since_ms_ = -1;
  bool pass_parked_ = false;       // confirm what is parked, too
  // Commits wait for our confirmation and we for their visibility: confirm on receipt (see OnLongWait).
  bool synchronous_ = false;
  Condition synchronous_condition_;
};

}  // namespace realtime

#endif  // REALTIME_WORKER_READER_H_
