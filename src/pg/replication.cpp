#include "pg/replication.h"

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <utility>

#include "pg/settings.h"
#include "pg/slot.h"
#include "pg/stream_requirements.h"

#include "pg/pg.h"

namespace realtime {

namespace {

constexpr int64_t kNever = INT64_MAX;
constexpr int64_t kLingerMs = 60000;         // the slot outlives its last need: a page reload must not recreate it
constexpr int64_t kFirstBackoffMs = 100;
constexpr int64_t kLastBackoffMs = 4000;      // with the time to connect, reading resumes within 5 s
constexpr int64_t kConnectTimeoutMs = 10000;
constexpr int64_t kReportMs = 100;           // positions are reported this often at most, unless it is urgent
constexpr int64_t kStableMs = 5000;          // a stream that lived so long, or got on, starts the back-off over
constexpr int64_t kSlowCreationMs = 3000;
// A stream that fails so often at the same place (a change that cannot be decoded) will not get better by repeating.
constexpr int kHopelessFailures = 8;
constexpr char kFailedText[] = "the replication connection failed, see the server's log";
constexpr char kUndefinedObject[] = "42704";
constexpr char kLacksResources[] = "53";  // the class of such errors
constexpr int kLastingWeight = 3;

// What decoding the same change says each time: a value that a row filter cannot work with, a row that is too large to be
// sent. Attempts can take many seconds, and everybody waits.
bool IsLasting(const std::string& sqlstate) {
  return sqlstate.starts_with("22") || sqlstate.starts_with("54") || sqlstate == "XX000";
}

}  // namespace

void Replication::Enter(State state, int64_t now_ms, int64_t next_step_ms) {
  state_ = state;
  entered_ms_ = now_ms;
  next_step_ms_ = next_step_ms;
}

void Replication::LookForLeftover(int64_t now_ms) {
  if (!looked_for_leftover_) next_step_ms_ = now_ms;
}

void Replication::Want(bool wanted, bool changes, int64_t now_ms) {
  // They may be wanted because their publication has just been made.
  if (std::exchange(changes_wanted_, changes) != changes && live() && !carried_.changes) CheckSoon(0, now_ms);
  if (wanted == wanted_) return;
  wanted_ = wanted;
  if (!wanted) {
    unwanted_since_ms_ = now_ms;
    next_step_ms_ = std::min(next_step_ms_, now_ms + kLingerMs);
  } else if (state_ == State::kAbsent) {
    next_step_ms_ = now_ms;
  }
}

void Replication::Stop(int64_t now_ms) {
  wanted_ = false;
  missed_pending_ = Missed();
  missed_ = Missed();
  condition_.Clear();
  no_publication_.Clear();
  if (state_ != State::kAbsent) DropSlotNow(now_ms);
}

void Replication::Reconfigure(int64_t now_ms) {
  if (state_ == State::kAbsent || state_ == State::kDropping) return;
  if (slot_name_.empty()) return;  // nothing was made yet
  const bool same_slot = slot_name_ == guc::SlotName() && publication_ == guc::Publication();
  if (same_slot && conninfo_ == guc::Conninfo()) return;
  if (have_slot_ && !same_slot) return Renew("the settings of the change stream have changed", now_ms);
  // One in the making goes under its old name; nobody has read from it, so nothing is missed.
  if ((creating_ || maker_pid_ != 0) && !same_slot) return DropSlotNow(now_ms);
  EndWalsender();
  creating_ = false;
  RetryAfter(0, now_ms);
}

void Replication::Step(int64_t now_ms, bool socket_ready) {
  const bool due = now_ms >= next_step_ms_;
  if (!due && !socket_ready) return;
  const bool lingered_out = !wanted_ && now_ms - unwanted_since_ms_ >= kLingerMs;
  if (lingered_out && state_ != State::kAbsent && state_ != State::kDropping) return DropSlotNow(now_ms);
  switch (state_) {
    case State::kAbsent:
      if (!looked_for_leftover_) {
        looked_for_leftover_ = true;
        slot_name_ = guc::SlotName();
        return DropSlotNow(now_ms);
      }
      if (wanted_) return BeginAttempt(now_ms);
      next_step_ms_ = kNever;
      return;
    case State::kWaiting: return due ? BeginAttempt(now_ms) : void();
    case State::kConnecting: return ContinueConnecting(now_ms);
    case State::kCreating: return ContinueCreating(now_ms);
    case State::kStarting: return ContinueStarting(now_ms);
    case State::kStreaming: return Supervise(now_ms);
    case State::kReleasing: return ContinueReleasing(now_ms);
    case State::kDropping: return ContinueDropping(now_ms);
  }
}

// ---- an attempt: check, connect, create, start ----

void Replication::BeginAttempt(int64_t now_ms) {
  slot_name_ = guc::SlotName();
  publication_ = guc::Publication();
  conninfo_ = guc::Conninfo();
  if (CheckServer(now_ms) && CheckSlot(now_ms)) Connect(now_ms);
}

bool Replication::CheckServer(int64_t now_ms) {
  StreamPublications existing{true, false};  // when that cannot be read, the walsender's words are better than a guess
  StreamRequirement missing = FirstMissingRequirement(publication_, &existing);
  if (missing.reason.empty()) return ChoosePublications(existing, now_ms);
  Trouble(missing.reason, missing.hint);
  // Decoding looks at the catalogs as they were at each change, so a slot from before the publication's return fails.
  if (missing.is_publication && have_slot_) {
    Renew(missing.reason, now_ms);
  } else {
    RetryAfter(missing.is_publication || missing.is_lock ? kCheckMs : kRecheckMs, now_ms);
  }
  return false;
}

bool Replication::Connect(int64_t now_ms) {
  WalsenderAddress address;
  const bool found = FindWalsender(conninfo_, &address);
  if (!found) link_.SetError("the worker's user and database could not be looked up");
  if (!found || !link_.Open(address)) {
    OnLinkFailure(now_ms);
    return false;
  }
  Enter(State::kConnecting, now_ms, now_ms + kConnectTimeoutMs);
  return true;
}

void Replication::ContinueConnecting(int64_t now_ms) {
  if (now_ms - entered_ms_ >= kConnectTimeoutMs) {
    Trouble("the replication connection was not established within 10 s");
    link_.Close();
    return RetryAfter(kLastBackoffMs, now_ms);
  }
  switch (link_.ContinueConnecting()) {
    case WalsenderLink::Connecting::kNotYet: return;
    case WalsenderLink::Connecting::kFailed: return OnLinkFailure(now_ms);
    case WalsenderLink::Connecting::kDone: break;
  }
  walsender_pid_ = link_.walsender_pid();
  if (have_slot_) {
    StartStream(now_ms);
  } else {
    CreateSlot(now_ms);
  }
}

void Replication::CreateSlot(int64_t now_ms) {
  creating_ = true;
  made_slot_ = slot_name_;
  creation_lsn_ = FlushedLsn();
  Enter(State::kCreating, now_ms, now_ms + kSlowCreationMs);
  if (!link_.SendCreateSlot(slot_name_)) OnLinkFailure(now_ms);
}

void Replication::ContinueCreating(int64_t now_ms) {
  if (now_ms >= next_step_ms_) {
    Trouble("creation of replication slot \"" + slot_name_ + "\" waits for older transactions to end",
            "See pg_stat_activity for transactions that have been open for long.");
    next_step_ms_ = now_ms + kRecheckMs;
    // It keeps WAL from its beginning on, and the limit holds for that too. Nobody has read from it, so nothing is missed.
    if (TooFarBehind(creation_lsn_)) return DropSlotNow(now_ms);
  }
  switch (link_.ReadAnswer()) {
    case WalsenderLink::Answer::kNotYet: return;
    case WalsenderLink::Answer::kOk: break;
    default: return OnLinkFailure(now_ms);
  }
  creating_ = false;
  have_slot_ = new_slot_ = true;
  confirmed_lsn_ = 0;
  stall_.Restart();
  StartStream(now_ms);
}

void Replication::StartStream(int64_t now_ms) {
  Enter(State::kStarting, now_ms, now_ms + kRecheckMs);
  if (!link_.SendStart(slot_name_, PublicationNames())) OnLinkFailure(now_ms);
}

void Replication::ContinueStarting(int64_t now_ms) {
  switch (link_.ReadAnswer()) {
    case WalsenderLink::Answer::kCopy: break;
    case WalsenderLink::Answer::kNotYet:
      if (now_ms < next_step_ms_) return;
      next_step_ms_ = now_ms + kRecheckMs;
      return KeepSlot(now_ms);
    default: return OnLinkFailure(now_ms);
  }
  Enter(State::kStreaming, now_ms, now_ms + kCheckMs);
  checked_ms_ = now_ms;
  link_.SetConfirmed(confirmed_lsn_);
  started_ = new_slot_;
  new_slot_ = false;
  if (!missed_pending_.reason.empty()) missed_ = std::exchange(missed_pending_, Missed());
  if (relapses_ <= 1) condition_.Clear("the change stream is available");
}

// ---- the stream ----

bool Replication::Next(std::string_view* message, int64_t now_ms) {
  if (state_ != State::kStreaming) return false;
  switch (link_.Next(message)) {
    case WalsenderLink::Reading::kMessage:
      stall_.OnMessage();
      return true;
    case WalsenderLink::Reading::kNothing: return false;
    case WalsenderLink::Reading::kFailed: break;
  }
  OnLinkFailure(now_ms);
  return false;
}

void Replication::Reject(int64_t now_ms) {
  if (state_ != State::kStreaming) return;
  link_.SetError("the stream holds a message that cannot be understood");
  OnLinkFailure(now_ms);
}

void Replication::Confirm(uint64_t lsn, bool at_once, int64_t now_ms) {
  if (lsn > confirmed_lsn_) {
    confirmed_lsn_ = lsn;
    if (state_ == State::kStreaming) condition_.Clear("the change stream is available");
    failures_ = relapses_ = 0;
    backoff_ms_ = 0;
    report_due_ = true;
    link_.SetConfirmed(lsn);
  }
  if (!report_due_ || state_ != State::kStreaming) return;
  if (!at_once && now_ms - reported_ms_ < kReportMs) {
    next_step_ms_ = std::min(next_step_ms_, reported_ms_ + kReportMs);
    return;
  }
  report_due_ = false;
  reported_ms_ = now_ms;
  if (!link_.SendStatus()) OnLinkFailure(now_ms);
}

// What Supervise looks at once a second.
void Replication::CheckSoon(int64_t delay_ms, int64_t now_ms) {
  checked_ms_ = now_ms + delay_ms - kCheckMs;
  next_step_ms_ = std::min(next_step_ms_, now_ms + delay_ms);
}

void Replication::Supervise(int64_t now_ms) {
  if (link_.wants_write() && !link_.Flush()) return OnLinkFailure(now_ms);
  if (report_due_) Confirm(confirmed_lsn_, false, now_ms);
  if (state_ != State::kStreaming || now_ms < next_step_ms_) return;
  next_step_ms_ = std::min(checked_ms_ + kCheckMs, report_due_ ? reported_ms_ + kReportMs : kNever);
  if (now_ms < next_step_ms_) return;
  checked_ms_ = now_ms;
  next_step_ms_ = now_ms + kCheckMs;

  StreamPublications existing = carried_;
  StreamRequirement missing = FirstMissingRequirement(publication_, &existing);
  if (!missing.reason.empty() && !missing.is_lock) {
    Trouble(missing.reason, missing.hint);
    return Renew(missing.reason, now_ms);
  }
  KeepSlot(now_ms);
  if (state_ == State::kStreaming) FollowPublications(existing, now_ms);
}

// ---- failures and ends ----

void Replication::Trouble(const std::string& reason, const std::string& hint, const char* code) {
  condition_.Set(code + reason, hint);
  cause_ = reason;
}

void Replication::OnLinkFailure(int64_t now_ms) {
  const std::string error = link_.error();
  const std::string sqlstate = link_.sqlstate();
  const bool was_streaming = state_ == State::kStreaming || state_ == State::kStarting;
  const bool was_stable = state_ == State::kStreaming && now_ms - entered_ms_ >= kStableMs;
  EndWalsender();
  creating_ = false;
  Trouble("the change stream is not available: " + error, HintForStreamError(error, conninfo_));
  cause_ = kFailedText;  // the server's own words may name paths and roles: they are for the log
  // A full disk, or no connection left: no fault of what is decoded. The limits of the slot's lag and age hold meanwhile.
  const bool lacks_resources = sqlstate.starts_with(kLacksResources);
  if (was_streaming && !lacks_resources) failures_ += IsLasting(sqlstate) ? kLastingWeight : 1;
  if (was_streaming) relapses_++;
  undefined_object_ = was_streaming && sqlstate == kUndefinedObject;
  if (have_slot_ && was_streaming && failures_ >= kHopelessFailures) {
    return Renew(kFailedText, now_ms);
  }
  backoff_ms_ = was_stable || backoff_ms_ == 0 ? kFirstBackoffMs : std::min(backoff_ms_ * 2, kLastBackoffMs);
  RetryAfter(backoff_ms_, now_ms);
}

void Replication::RetryAfter(int64_t delay_ms, int64_t now_ms) { Enter(State::kWaiting, now_ms, now_ms + delay_ms); }

// ---- what others ask ----

std::optional<bool> Replication::TakeStart() {
  std::optional<bool> taken = started_;
  started_.reset();
  return taken;
}

Missed Replication::TakeMissed() { return std::exchange(missed_, Missed()); }

std::string Replication::Cause() const {
  if (!condition_.reason().empty()) return cause_;
  if (live() && !carried_.changes) return MissingPublication(publication_).reason;
  if (state_ == State::kCreating) return "creation of the replication slot waits for older transactions to end";
  if (state_ == State::kDropping) return "the previous replication slot is being dropped";
  return "the replication connection is being established";
}

}  // namespace realtime
