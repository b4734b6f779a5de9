// The publications' side of Replication: which of the two the stream carries, and what happens when that changes.
#include <cstdint>
#include <utility>

#include "pg/message_upkeep.h"
#include "pg/replication.h"
#include "pg/slot.h"

#include "pg/pg.h"

namespace realtime {

namespace {

// For what was committed before a publication to be read. An attempt that comes too early costs a new slot.
constexpr int64_t kLongestReadMs = 5000;
constexpr int64_t kReadCheckMs = 20;

}  // namespace

std::vector<std::string> Replication::PublicationNames() const {
  std::vector<std::string> names;
  if (carried_.changes) names.push_back(publication_);
  if (carried_.messages) names.push_back(kMessagesPublication);
  return names;
}

// For a connection that is about to be made. A slot that has been read from goes on with what it carried before; false: it
// cannot, and the stream is being made anew.
bool Replication::ChoosePublications(const StreamPublications& existing, int64_t now_ms) {
  const bool undefined = std::exchange(undefined_object_, false);
  const StreamPublications before = carried_;
  // Only a publication that has gone since can be left out.
  if (have_slot_ && undefined && existing.Includes(before)) {
    Renew("decoding failed for the lack of a publication", now_ms);
    return false;
  }
  carried_ = have_slot_ ? before.InCommonWith(existing) : existing;
  if (!carried_.any()) carried_ = existing;
  if (!have_slot_) return true;
  const StreamPublications lost = before.Without(carried_);
  if (lost.messages) {
    missed_pending_.Note(MissingPublication(kMessagesPublication).reason, true);
    Log(LogLevel::kWarning, "the change stream goes on without messages from the database");
  }
  if (!lost.changes) return true;
  missed_pending_.Note(MissingPublication(publication_).reason, false);
  Log(LogLevel::kWarning, "the change stream goes on without changes: " + missed_pending_.reason);
  return true;
}

// Somebody has created or dropped a publication while the stream goes on.
void Replication::FollowPublications(const StreamPublications& existing, int64_t now_ms) {
  NoteMissingPublication(existing.changes);
  const bool complete = carried_.Includes(existing);
  if (complete) appeared_lsn_ = 0;
  if (complete && existing.Includes(carried_)) return;
  if (!complete && appeared_lsn_ == 0) {
    appeared_lsn_ = FlushedLsn();
    appeared_ms_ = now_ms;
  }
  if (existing.Includes(carried_)) {
    const bool read = confirmed_lsn_ >= appeared_lsn_ || now_ms - appeared_ms_ >= kLongestReadMs;
    if (!read) return CheckSoon(kReadCheckMs, now_ms);
    Log(LogLevel::kInfo, existing.Without(carried_).changes
                             ? "the change stream goes on with publication \"" + publication_ + "\""
                             : std::string("the change stream goes on with messages from the database"));
    carried_ = existing;
    appeared_lsn_ = 0;
  }
  if (report_due_) link_.SendStatus();
  EndWalsender();
  Enter(State::kReleasing, now_ms, now_ms);
}

// What waits for changes is refused with the same words.
void Replication::NoteMissingPublication(bool exists) {
  if (exists) return no_publication_.Clear("publication \"" + publication_ + "\" exists");
  if (!changes_wanted_) return;
  StreamRequirement missing = MissingPublication(publication_);
  no_publication_.Set(missing.reason, missing.hint);
}

// The slot can be used again when the walsender of the last connection has left it.
void Replication::ContinueReleasing(int64_t now_ms) {
  SlotView slot = LookAtSlot(slot_name_);
  if (slot.exists && slot.active_pid != 0) return WaitForRelease(slot.active_pid, now_ms);
  BeginAttempt(now_ms);
}

}  // namespace realtime
