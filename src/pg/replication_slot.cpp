// The slot's side of Replication: whether it can be continued, and its end.
#include <csignal>
#include <cstdint>

#include "pg/replication.h"
#include "pg/settings.h"
#include "pg/slot.h"

#include "pg/pg.h"

namespace realtime {

namespace {

constexpr int64_t kDropRetryMs = 20;   // while the walsender of a slot goes away
constexpr int64_t kQuietEndMs = 50;    // time for a walsender to notice by itself that we have left
constexpr int64_t kReleaseMs = 1000;   // after which a slot that is still in use is worth a line

}  // namespace

// ---- can it be continued? ----

bool Replication::CheckSlot(int64_t now_ms) {
  if (MakerRuns()) {
    DropSlotNow(now_ms);
    return false;
  }
  SlotView slot = LookAtSlot(slot_name_);
  if (!slot.exists) {
    if (have_slot_) missed_pending_.Note("the replication slot was dropped by somebody else", carried_.messages);
    have_slot_ = false;
    foreign_slot_.clear();
    return true;
  }
  if (BelongsToOther(slot)) {
    Trouble("replication slot \"" + slot_name_ + "\" exists and belongs to something else",
            "Drop it, or set realtime.slot_name to another name.", "ReplicationSlotBeingUsed: ");
    RetryAfter(kRecheckMs, now_ms);
    return false;
  }
  if (!have_slot_) {
    DropSlotNow(now_ms);
    return false;
  }
  return !RenewIfLost(slot, now_ms);
}

// The slot cannot be continued: what happens between its end and the next one's start is missed.
void Replication::Renew(const std::string& reason, int64_t now_ms) {
  Log(LogLevel::kWarning, "ChangesMissed: the change stream starts over with a new replication slot: " + reason);
  missed_pending_.Note(reason, carried_.messages);
  failures_ = 0;
  DropSlotNow(now_ms);
}

bool Replication::TooFarBehind(uint64_t lsn) {
  const uint64_t limit = static_cast<uint64_t>(guc::MaxSlotLagMb()) << 20;
  const uint64_t flushed = FlushedLsn();
  return flushed > lsn && flushed - lsn > limit;
}

bool Replication::RenewIfLost(const SlotView& slot, int64_t now_ms) {
  slot_lsn_ = slot.confirmed_lsn;
  if (slot.invalidated) {
    Renew("the replication slot was invalidated because its WAL was removed", now_ms);
    return true;
  }
  if (TooFarBehind(slot.confirmed_lsn)) {
    Renew("the change stream fell behind by more than realtime.max_slot_lag", now_ms);
    return true;
  }
  if (!stall_.Expired(slot.confirmed_lsn, FlushedLsn(), now_ms, guc::MaxSlotAgeMs())) return false;
  Renew("the change stream made no progress for longer than realtime.max_slot_age", now_ms);
  return true;
}

void Replication::KeepSlot(int64_t now_ms) {
  SlotView slot = LookAtSlot(slot_name_);
  if (slot.exists) RenewIfLost(slot, now_ms);
}

// ---- its end ----

void Replication::DropSlotNow(int64_t now_ms) {
  EndWalsender();
  have_slot_ = creating_ = new_slot_ = false;
  slot_lsn_ = 0;
  report_due_ = false;
  started_.reset();
  Enter(State::kDropping, now_ms, now_ms);
  ContinueDropping(now_ms);
}

void Replication::ContinueDropping(int64_t now_ms) {
  // It may be about to make the slot, also when there is none yet.
  if (MakerRuns()) return WaitForRelease(maker_pid_, now_ms);
  maker_pid_ = 0;
  SlotView slot = LookAtSlot(slot_name_);
  // About a slot of something else CheckSlot speaks when it matters.
  if (!slot.exists || BelongsToOther(slot)) return OnSlotGone(now_ms);
  if (slot.active_pid != 0) return WaitForRelease(slot.active_pid, now_ms);
  PgError error;
  if (!DropSlot(slot_name_, &error)) {
    Trouble("could not drop replication slot \"" + slot_name_ + "\": " + error.Text());
    next_step_ms_ = now_ms + kCheckMs;
    return;
  }
  if (made_slot_ != slot_name_) {
    Log(LogLevel::kInfo, "dropped replication slot \"" + slot_name_ + "\", left over by an earlier worker");
  }
  OnSlotGone(now_ms);
}

// Somebody else's pgoutput slot looks like one of ours in all but the application that uses it.
bool Replication::BelongsToOther(const SlotView& slot) {
  const bool unknown = slot.ours && slot.active_pid != 0 && made_slot_ != slot_name_;
  if (unknown && IsForeignUser(slot.active_pid)) foreign_slot_ = slot_name_;
  return !slot.ours || foreign_slot_ == slot_name_;
}

// Only processes that we know to be ours are signalled; what uses a leftover is on its way out by itself.
void Replication::WaitForRelease(int active_pid, int64_t now_ms) {
  const bool ours = active_pid == walsender_pid_;
  next_step_ms_ = now_ms + kDropRetryMs;
  if (ours && now_ms - entered_ms_ >= kQuietEndMs) kill(active_pid, SIGTERM);
  if (now_ms - entered_ms_ < kReleaseMs) return;
  Trouble("replication slot \"" + slot_name_ + "\" is in use by process " + std::to_string(active_pid),
          ours ? "" : "If that is not a worker of this server, set realtime.slot_name to another name.",
          "ReplicationSlotBeingUsed: ");
  next_step_ms_ = now_ms + kCheckMs;
}

void Replication::OnSlotGone(int64_t now_ms) {
  Enter(State::kAbsent, now_ms, now_ms);
  if (!wanted_) condition_.Clear();
}

void Replication::EndWalsender() {
  link_.Close();
  if (!creating_) return;
  // While it waits for old transactions it does not look at its socket, and before it has begun there is no slot to see.
  maker_pid_ = walsender_pid_;
  if (MakerRuns()) kill(maker_pid_, SIGTERM);
}

bool Replication::MakerRuns() const { return maker_pid_ != 0 && IsWalsender(maker_pid_); }

void Replication::Disconnect() { EndWalsender(); }

void Replication::DropSlotAtExit(int timeout_ms) {
  const bool may_exist = have_slot_ || creating_ || maker_pid_ != 0 || state_ == State::kDropping;
  if (may_exist) realtime::DropSlotAtExit(slot_name_, {walsender_pid_, maker_pid_, static_cast<int>(kQuietEndMs), timeout_ms});
}

}  // namespace realtime
