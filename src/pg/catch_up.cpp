#include "pg/catch_up.h"

#include <algorithm>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "core/wal_position.h"
#include "pg/commit_end.h"
#include "pg/guard.h"
#include "pg/relation_feed.h"

namespace realtime {
namespace {

constexpr int64_t kRetryMs = 20;
constexpr int64_t kEndRetryMs = 1;

// The first byte of a pgoutput message about a row.
EventMask EventOf(const StreamRow& row) {
  switch (row.message.front()) {
    case 'I': return MaskOf(ChangeKind::kInsert);
    case 'U': return MaskOf(ChangeKind::kUpdate);
    default: return MaskOf(ChangeKind::kDelete);
  }
}

std::string TooOldText(const ResumePoint& since, const History& history) {
  return "Changes since " + FormatWalPosition(since.commit_lsn) + " are no longer known, only those since " +
         FormatWalPosition(history.first_lsn()) + ": changes were missed, read the table again";
}

}  // namespace

void CatchUp::Begin(const Subscribe& request, uint64_t end_lsn) {
  std::unordered_set<uint32_t> begun;
  for (const Binding& binding : request.bindings) {
    // Equal bindings have one id, and each change comes to them once.
    if (!binding.since || !begun.insert(binding.id).second) continue;
    Job job{request.channel, binding.id, *binding.since, history_->FirstAfter(*binding.since), 0};
    if (job.since.commit_lsn > end_lsn) {
      output_(SystemNotice{true, "There is no position " + FormatWalPosition(job.since.commit_lsn) + " in this server's log yet, which ends at " +
                                     FormatWalPosition(end_lsn) + ": changes come from now on", job.channel});
    } else if (!history_->Covers(job.since)) {
      TellTooOld(job);
    } else if (registry_->Hold(job.channel, job.binding_id)) {
      jobs_.push_back(job);
    }
  }
}

void CatchUp::TellTooOld(const Job& job) {
  output_(SystemNotice{true, TooOldText(job.since, *history_), job.channel});
}

bool CatchUp::Concerns(const Audience& audience, const Job& job, const StreamRow& row) const {
  const RelationInfo& info = row.relation->info();
  return (audience.events & EventOf(row)) != 0 && audience.Matches(info.schema, info.table) &&
         row.position.IsAfter(job.since);
}

bool CatchUp::HasEnded(StreamCommit* commit) {
  PgError error;
  if (commit->ended) return true;
  if (!dispatcher_->Try([=] { commit->ended = CommitHasEnded(commit->xid); }, &error) || !commit->ended) return false;
  dispatcher_->NeedSnapshot();  // this turn's may be from before
  return true;
}

Dispatcher::Outcome CatchUp::Replay(const std::shared_ptr<Audience>& audience, const Job& job, const StreamRow& row) {
  // It was parsed when it came.
  if (!ParsePgoutput(row.message, &message_).ok()) return Dispatcher::Outcome::kDone;
  return dispatcher_->DeliverTo(audience, {job.channel, job.binding_id}, row.relation.get(), message_.row, row.position);
}

// One attempt in a while finds out about a lock: each costs the time that the dispatcher waits for it.
CatchUp::RowStep CatchUp::ReplayRow(const std::shared_ptr<Audience>& audience, const Job& job, const Front& front,
                                    const FeedTurn& turn) {
  const StreamRow& row = history_->At(job.next);
  if (!Concerns(*audience, job, row)) return RowStep::kDone;
  if (!HasEnded(row.position.commit.get())) return RowStep::kNotEnded;
  const uint32_t relation = row.relation->info().oid;
  if (front.parking->HoldsLocked(relation) || dispatcher_->MustYield(relation)) return RowStep::kNotNow;
  auto waiting = not_before_ms_.find(relation);
  if (waiting != not_before_ms_.end() && turn.now_ms < waiting->second) return RowStep::kNotNow;
  if (Replay(audience, job, row) == Dispatcher::Outcome::kDone) return RowStep::kDone;
  not_before_ms_[relation] = turn.now_ms + kRetryMs;
  return RowStep::kNotNow;
}

CatchUp::Step CatchUp::Advance(Job* job, const Front& front, const FeedTurn& turn) {
  std::shared_ptr<Audience> audience = registry_->Held(job->channel, job->binding_id);
  if (audience == nullptr) return Step::kGone;
  if (job->next < history_->begin()) {
    // What went meanwhile may all be from before the point.
    if (history_->Covers(job->since)) {
      job->next = history_->begin();
    } else {
      // Live from here on, as soon as nothing is parked that it may have had already.
      TellTooOld(*job);
      job->since = front.point;
      job->next = history_->end();
    }
  }
  for (; job->next < history_->end(); ++job->next) {
    if (!turn.may_go_on()) return Step::kInterrupted;
    const RowStep step = ReplayRow(audience, *job, front, turn);
    if (step == RowStep::kDone) continue;
    job->not_before_ms = turn.now_ms + (step == RowStep::kNotNow ? kRetryMs : kEndRetryMs);
    return Step::kWaiting;
  }
  const bool reached = std::tie(job->since.commit_lsn, job->since.row) <= std::tie(front.point.commit_lsn, front.point.row);
  // What is parked is delivered to those who are live then: it has been replayed already.
  return reached && !front.parking->HoldsFor(*audience) ? Step::kCaughtUp : Step::kWaiting;
}

// The jobs take turns: what is interrupted goes on behind the others.
bool CatchUp::Run(const Front& front, const FeedTurn& turn) {
  next_retry_ms_ = INT64_MAX;
  bool interrupted = false;
  // What the history has may be newer than the snapshot.
  if (!jobs_.empty()) dispatcher_->NeedSnapshot();
  if (jobs_.empty()) not_before_ms_.clear();
  for (size_t count = jobs_.size(); count > 0 && !interrupted; --count) {
    if (!turn.may_go_on()) return false;  // and nobody has lost his place
    Job job = jobs_.front();
    jobs_.pop_front();
    Step step = Step::kWaiting;
    if (job.not_before_ms <= turn.now_ms) {
      job.not_before_ms = 0;
      step = Advance(&job, front, turn);
    }
    if (step == Step::kCaughtUp) registry_->Release(job.channel, job.binding_id);
    if (step == Step::kCaughtUp || step == Step::kGone) continue;
    interrupted = step == Step::kInterrupted;
    if (job.not_before_ms > 0) next_retry_ms_ = std::min(next_retry_ms_, job.not_before_ms);
    jobs_.push_back(job);
  }
  return !interrupted;
}

}  // namespace realtime
