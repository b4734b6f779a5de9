#include "worker/reader.h"

#include <algorithm>

#include "core/pgoutput.h"
#include "pg/monotonic.h"
#include "pg/settings.h"
#include "pg/slot.h"
#include "pg/stat.h"

#include "pg/pg.h"

extern "C" {
#include "storage/spin.h"
}

namespace realtime {

namespace {

constexpr int64_t kTurnUs = 10000;
// A commit becomes visible some microseconds after its WAL is flushed: a few looks cost less than a sleep.
constexpr int kSpins = 5;
constexpr int64_t kSpinUs = 20;
constexpr int64_t kLongWaitMs = 100;

// Half of what the slot may fall behind is left for everything else.
bool SlotAtRisk(uint64_t slot_lsn, int64_t held_ms) {
  const uint64_t flushed = FlushedLsn();
  const uint64_t lag = slot_lsn > 0 && flushed > slot_lsn ? flushed - slot_lsn : 0;
  const bool too_old = guc::MaxSlotAgeMs() > 0 && held_ms > guc::MaxSlotAgeMs() / 2;
  return too_old || lag > (static_cast<uint64_t>(guc::MaxSlotLagMb()) << 20) / 2;
}

void Spin() {
  int64_t end = MonotonicUs() + kSpinUs;
  while (MonotonicUs() < end) SPIN_DELAY();
}

void Count(std::string_view message) {
  using stat::Figure;
  int64_t time_us = 0;
  if (IsRow(message)) {
    stat::Add(Figure::kRows);
  } else if (IsCommit(message)) {
    stat::Add(Figure::kTransactions);
    stat::Set(Figure::kOpenCommitTime, 0);
  } else if (ReadBegin(message, &time_us)) {
    stat::Set(Figure::kOpenCommitTime, static_cast<uint64_t>(time_us));
    stat::Set(Figure::kLastCommitTime, static_cast<uint64_t>(time_us));
  }
}

}  // namespace

int64_t Reader::TurnEndUs() { return MonotonicUs() + kTurnUs; }
bool Reader::TurnEnded(int64_t end_us) { return MonotonicUs() >= end_us; }

bool Reader::WorthWaiting() const { return stream_->live() && feed_->in_stream_transaction() && feed_->batch_open(); }

Feed::Step Reader::OfferMessage(int64_t now_ms) {
  Feed::Step step = feed_->OnMessage(message_, now_ms);
  for (int i = 0; i < kSpins && step == Feed::Step::kWaiting && waiting_since_ms_ < 0; i++) {
    Spin();
    step = feed_->OnMessage(message_, now_ms);
  }
  if (step != Feed::Step::kWaiting && step != Feed::Step::kFull) {
    waiting_since_ms_ = -1;
    if (step == Feed::Step::kConsumed) Count(message_);
    return step;
  }
  held_ = true;
  if (waiting_since_ms_ < 0) waiting_since_ms_ = now_ms;
  if (now_ms - waiting_since_ms_ >= kLongWaitMs && !synchronous_) OnLongWait();
  return step;
}

Reader::Turn Reader::End(Turn turn, int64_t now_ms) {
  feed_->EndBatch();
  if (!stream_->live()) return turn;
  uint64_t lsn = feed_->handed_over_lsn();
  // Outside a transaction everything received has been dealt with, so that an idle slot moves on with the server's WAL. What
  // is parked is safe in memory: rather than lose the slot to its limits, the position passes it.
  const bool dealt_with = !feed_->has_parked() || pass_parked_ || synchronous_;
  if (!held_ && !feed_->in_stream_transaction() && dealt_with) lsn = std::max(lsn, stream_->received_lsn());
  const bool receipt = synchronous_ && held_;
  if (receipt) lsn = std::max(lsn, FlushedLsn());
  stream_->Confirm(lsn, synchronous_, now_ms);
  return turn;
}

// With our name in synchronous_standby_names the commit waits for us to confirm it, and we wait for the commit to become
// visible. The end of its record is not known before its last message, but the record is on disk here, so the end of the
// flushed WAL releases it. What is lost is only the repetition after a lost connection.
void Reader::OnLongWait() {
  synchronous_ = IsSynchronousStandby(stream_->walsender_pid());
  if (!synchronous_) return;
  synchronous_condition_.Set(
      "synchronous_standby_names includes the realtime worker, so commits wait for it",
      "Change synchronous_standby_names so that it matches neither \"realtime\" nor every name (*). Until then changes are "
      "confirmed on receipt, and some may be missed if the replication connection breaks.");
}

void Reader::Recheck(int64_t now_ms) {
  if (!feed_->has_parked()) parked_since_ms_ = -1;
  if (feed_->has_parked() && parked_since_ms_ < 0) parked_since_ms_ = now_ms;
  // Once it has begun to pass, it goes on until nothing waits: else it would stop at the edge of the limit.
  pass_parked_ = parked_since_ms_ >= 0 && (pass_parked_ || SlotAtRisk(stream_->slot_lsn(), now_ms - parked_since_ms_));
  // The lock may be held by a transaction whose own commit waits for us.
  if (!synchronous_ && feed_->has_parked()) OnLongWait();
  if (!synchronous_) return;
  synchronous_ = IsSynchronousStandby(stream_->walsender_pid());
  if (!synchronous_) synchronous_condition_.Clear("commits no longer wait for the realtime worker");
}

void Reader::Reset() {
  held_ = false;
  waiting_since_ms_ = -1;
  message_ = {};
  stat::Set(stat::Figure::kOpenCommitTime, 0);
}

}  // namespace realtime
