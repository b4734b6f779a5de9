// The change stream: a slot, a walsender, and the life of both.
//
//   kAbsent ----wanted----> kConnecting --> kCreating --> kStarting --> kStreaming
//      ^                      |                (only without a slot)        |
//      |                      +------------- any failure ---------+---------+--- other publications --> kReleasing
//      |                                                          v                                        |
//      +--- slot dropped --- kDropping <--- must be made anew --- kWaiting --back-off--> kConnecting <-----+
//
// The slot outlives connections, so that a lost one resumes where it stopped; it ends when nobody has wanted the stream for
// a minute, when it cannot be continued (invalidated, too far behind, stalled, both publications gone) and with the process.
//
// A stream carries what exists of two publications: the user's, with the changes that clients subscribe to, and the one of
// realtime.messages. When one appears or disappears, a new connection goes on with the same slot, so that nothing of the
// other is missed. Decoding sees the catalogs as they were at each change, so one that has appeared is waited for until
// everything before it has been read.
// Pull style: the worker's loop waits on socket(), calls Step, and takes messages with Next. Database thread only; nothing
// here blocks or raises. Times are milliseconds of a monotonic clock.
#ifndef REALTIME_PG_REPLICATION_H_
#define REALTIME_PG_REPLICATION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/stall_clock.h"
#include "pg/log.h"
#include "pg/stream_requirements.h"
#include "pg/walsender_link.h"

namespace realtime {

struct SlotView;

// What the stream has not brought and will not bring.
struct Missed {
  std::string reason;     // empty: nothing
  bool messages = false;  // not only changes: messages from SQL too

  void Note(const std::string& why, bool with_messages) {
    reason = why;
    messages |= with_messages;
  }
};

class Replication {
 public:
  // Once, before anything else: the next Step drops a slot that a crash has left over.
  void LookForLeftover(int64_t now_ms);
  // Somebody needs the stream, or nobody does any more; `changes`: needs the user's publication in it.
  void Want(bool wanted, bool changes, int64_t now_ms);
  // Ends the stream and drops the slot now, however recently it was wanted (DROP EXTENSION).
  void Stop(int64_t now_ms);
  // Settings were reloaded: a stream made with other ones is made anew.
  void Reconfigure(int64_t now_ms);

  // Goes on with whatever is due. socket_ready: the loop saw the event that wants_read/wants_write asked for.
  void Step(int64_t now_ms, bool socket_ready);
  // When Step is due at the latest without an event; INT64_MAX: never.
  int64_t next_step_ms() const { return next_step_ms_; }

  bool live() const { return state_ == State::kStreaming; }
  bool carries_changes() const { return live() && carried_.changes; }
  bool carries_messages() const { return live() && carried_.messages; }
  // Why it does not carry changes, for a client: never empty.
  std::string Cause() const;
  // It is not live, and waiting for a moment will not help.
  bool has_trouble() const { return !condition_.reason().empty(); }
  // Commits from now on may be read later, even if it is not live.
  bool may_have_slot() const { return have_slot_ || creating_; }
  // Set once per start of the stream; true when with a new slot.
  std::optional<bool> TakeStart();
  // What clients must be told after something was missed.
  Missed TakeMissed();

  // The next message of pgoutput; false: none now (or the stream has just ended). Valid until the next call of Next, Step
  // or Stop.
  bool Next(std::string_view* message, int64_t now_ms);
  // The stream sent what cannot be understood: drop the connection and start again.
  void Reject(int64_t now_ms);
  // Positions up to lsn need not be sent again. Reported to the server at once or within kReportMs.
  void Confirm(uint64_t lsn, bool at_once, int64_t now_ms);
  uint64_t received_lsn() const { return link_.received_lsn(); }
  // The slot's confirmed position, as of the last look at it (kCheckMs); zero: not looked at yet.
  uint64_t slot_lsn() const { return slot_lsn_; }
  uint64_t confirmed_lsn() const { return confirmed_lsn_; }
  const std::string& slot_name() const { return slot_name_; }

  int socket() const { return link_.socket(); }
  uint64_t socket_generation() const { return link_.generation(); }
  bool wants_read() const { return link_.wants_read(); }
  bool wants_write() const { return link_.wants_write(); }
  int walsender_pid() const { return link_.walsender_pid(); }

  // The process ends: leave the walsender; then, after whatever else there is to end, drop the slot.
  void Disconnect();
  void DropSlotAtExit(int timeout_ms);

 private:
  static constexpr int64_t kRecheckMs = 5000;  // of what only a DBA can mend
  static constexpr int64_t kCheckMs = 900;     // publications and slot while streaming: noticed within a second

  enum class State : uint8_t { kAbsent, kWaiting, kConnecting, kCreating, kStarting, kStreaming, kReleasing, kDropping };

  void Enter(State state, int64_t now_ms, int64_t next_step_ms);
  void BeginAttempt(int64_t now_ms);
  bool CheckServer(int64_t now_ms);
  bool CheckSlot(int64_t now_ms);
  bool Connect(int64_t now_ms);
  void ContinueConnecting(int64_t now_ms);
  void CreateSlot(int64_t now_ms);
  void ContinueCreating(int64_t now_ms);
  void StartStream(int64_t now_ms);
  void ContinueStarting(int64_t now_ms);
  void CheckSoon(int64_t delay_ms, int64_t now_ms);
  void Supervise(int64_t now_ms);
  std::vector<std::string> PublicationNames() const;
  bool ChoosePublications(const StreamPublications& existing, int64_t now_ms);
  void FollowPublications(const StreamPublications& existing, int64_t now_ms);
  void NoteMissingPublication(bool exists);
  void ContinueReleasing(int64_t now_ms);
  // `code` is for the log alone: who waits is told the reason.
  void Trouble(const std::string& reason, const std::string& hint = "", const char* code = "StartReplicationFailed: ");
  void ContinueDropping(int64_t now_ms);
  void WaitForRelease(int active_pid, int64_t now_ms);
  void OnSlotGone(int64_t now_ms);
  void OnLinkFailure(int64_t now_ms);
  void RetryAfter(int64_t delay_ms, int64_t now_ms);
  void Renew(const std::string& reason, int64_t now_ms);
  static bool TooFarBehind(uint64_t lsn);
  // Whether the slot cannot be continued; the stream is being made anew then.
  bool RenewIfLost(const SlotView& slot, int64_t now_ms);
  void KeepSlot(int64_t now_ms);
  void DropSlotNow(int64_t now_ms);
  bool BelongsToOther(const SlotView& slot);
  void EndWalsender();
  bool MakerRuns() const;

  WalsenderLink link_;
  Condition condition_;
  std::string cause_;  // what a client may read of it
  State state_ = State::kAbsent;
  int64_t entered_ms_ = 0;
  int64_t next_step_ms_ = INT64_MAX;
  bool wanted_ = false;
  bool changes_wanted_ = false;
  int64_t unwanted_since_ms_ = 0;
  bool looked_for_leftover_ = false;
  bool have_slot_ = false;     // made by this process
  bool creating_ = false;      // the walsender may be making one ...
  uint64_t creation_lsn_ = 0;  // ... which keeps the WAL from about here on
  bool new_slot_ = false;      // and the stream on it has not started yet
  int64_t backoff_ms_ = 0;
  bool undefined_object_ = false;  // decoding failed for the lack of something
  int failures_ = 0;        // of the stream, without progress in between, that repeating may not mend
  int relapses_ = 0;        // all of them: a stream that starts and fails again is not told to be available each time
  int walsender_pid_ = 0;   // the last one of ours that was seen
  int maker_pid_ = 0;       // one that was left while it made a slot, and may still finish it; zero: none
  int64_t checked_ms_ = 0;  // slot and publications

  // What the slot and the stream were made with.
  std::string slot_name_;
  std::string made_slot_;     // the last one that this process has asked for: another one is left over ...
  std::string foreign_slot_;  // ... unless it was seen in somebody else's use: his, as long as it is there
  std::string publication_;
  std::string conninfo_;
  StreamPublications carried_;
  uint64_t appeared_lsn_ = 0;  // a publication that is not carried exists since this position at the latest; zero: none
  int64_t appeared_ms_ = 0;
  Condition no_publication_;   // somebody waits for changes, and the stream carries none

  uint64_t confirmed_lsn_ = 0;
  uint64_t slot_lsn_ = 0;
  StallClock stall_;  // of the slot's confirmed position
  bool report_due_ = false;
  int64_t reported_ms_ = 0;

  std::optional<bool> started_;
  Missed missed_pending_;  // told when the stream is live again
  Missed missed_;
};

}  // namespace realtime

#endif  // REALTIME_PG_REPLICATION_H_
