#include "pg/dispatcher.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "pg/failure_log.h"
#include "pg/generated.h"
#include "pg/invalidation.h"
#include "pg/log.h"
#include "pg/monotonic.h"
#include "pg/row_json.h"
#include "pg/watchdog.h"

namespace realtime {
namespace {

TargetList Without(const std::vector<Target>& judged, TargetList targets) {
  if (judged.empty() || !targets) return targets;
  auto is_judged = [&](const Target& target) { return std::binary_search(judged.begin(), judged.end(), target); };
  if (std::none_of(targets->begin(), targets->end(), is_judged)) return targets;
  auto left = std::make_shared<std::vector<Target>>();
  std::remove_copy_if(targets->begin(), targets->end(), std::back_inserter(*left), is_judged);
  return left->empty() ? nullptr : left;
}

}  // namespace

void Dispatcher::Recover() {
  judge_.ForgetStates();
  batch_.Abort();
}

void Dispatcher::EndBatch() {
  judge_.EndStates();
  batch_.Close();
}

// A transaction whose snapshot shows the commit, and the relation's seats as the catalogs are now.
Readiness Dispatcher::OpenFor(RelationFeed* feed) {
  if (!snapshot_taken_) {
    judge_.EndStates();
    if (!batch_.Open(true)) return Readiness::kLocked;
    snapshot_taken_ = true;
  } else if (!batch_.Open(false)) {
    return Readiness::kLocked;
  }
  // Planning may bring news of the catalogs.
  for (int attempt = 0; attempt < kMaxPrepareAttempts; ++attempt) {
    if (feed->IsCurrent()) return Readiness::kReady;
    judge_.EndStates();
    if (!batch_.Open(false)) return Readiness::kLocked;
    Readiness readiness = feed->Prepare(&batch_);
    if (readiness == Readiness::kReady) readiness = judge_.PlaceSeats(feed);
    if (readiness != Readiness::kReady) return readiness;
  }
  return Readiness::kReady;
}

void Dispatcher::FillGenerated(RelationFeed* feed, TableRow* row) {
  PgError error;
  bool done = PgTry([&] { watchdog::Watched([&] { ComputeGenerated(row, &batch_); }); }, &error);
  // Both rows share the parameters: what was loaded for the one is not the other's.
  row->ForgetLoaded();
  if (done) return;
  Recover();
  if (batch_.Open(false)) change_.Rebind(feed->Params(&batch_));
  if (!failure_log::Due("generated " + feed->table().sql_name)) return;
  LogError("realtime could not compute the generated columns of table " + feed->table().sql_name + ": " + error.Text(),
           "Subscribers get its changes without these columns.");
}

// False: an error has ended the transaction, and there is no other.
bool Dispatcher::FillRows(RelationFeed* feed, const RowChange& row) {
  ParamListInfo params = feed->Params(&batch_);
  change_.kind = row.kind;
  change_.old_kind = row.old_kind;
  change_.fetched = false;
  change_.old_row.Start(&feed->table(), params);
  change_.new_row.Start(&feed->table(), params);
  if (row.old_kind != OldRow::kNone) feed->Fill(row.old_row, row.old_kind == OldRow::kKey, &change_.old_row);
  if (row.kind != ChangeKind::kDelete) feed->Fill(row.new_row, false, &change_.new_row);
  if (row.old_kind == OldRow::kFull && row.kind == ChangeKind::kUpdate) {
    for (size_t i = 1; i <= change_.new_row.size(); ++i) {
      auto attno = static_cast<AttrNumber>(i);
      Cell* cell = change_.new_row.cell(attno);
      if (cell->kind == Cell::Kind::kUnchanged) *cell = *change_.old_row.cell(attno);
    }
  }
  if (!feed->table().has_generated) return true;
  if (row.kind != ChangeKind::kDelete) FillGenerated(feed, &change_.new_row);
  if (row.old_kind == OldRow::kFull && batch_.is_open()) FillGenerated(feed, &change_.old_row);
  return batch_.is_open();
}

void Dispatcher::FindCandidates(RelationFeed* feed, const StreamPosition& position, const std::vector<Target>& judged) {
  judge_.FindSeats(feed, &change_, &found_);
  for (Seat* seat : found_) {
    Audience* audience = seat->audience.get();
    if ((audience->events & MaskOf(change_.kind)) == 0 || audience->dead()) continue;
    TargetList targets = Without(judged, audience->TargetsFor(position.commit->xid, position.commit->lsn));
    if (targets) candidates_.push_back(Candidate{seat, std::move(targets), Verdict::kNone});
  }
}

// Values of some types are made by code, which may have to wait for a lock: nothing is handed over before all is there.
void Dispatcher::Encode(RelationFeed* feed, const StreamPosition& position) {
  groups_.clear();
  for (Candidate& candidate : candidates_) {
    if (candidate.verdict == Verdict::kNone) continue;
    const Projection* projection = candidate.seat->projection;
    Group* found = nullptr;
    for (Group& group : groups_) {
      if (group.projection == projection && group.verdict == candidate.verdict) found = &group;
    }
    if (found == nullptr) found = &groups_.emplace_back(Group{projection, candidate.verdict, {}, nullptr});
    found->targets.push_back(std::move(candidate.targets));
  }
  const StreamCommit& commit = *position.commit;
  for (Group& group : groups_) {
    EncodeInput input{feed, &change_, group.projection, group.verdict, commit.time, commit.lsn, position.row};
    group.data = std::make_shared<const std::string>(EncodeChange(input, &batch_));
  }
}

void Dispatcher::Emit() {
  for (const Candidate& candidate : candidates_) {
    if (candidate.verdict == Verdict::kNone) continue;
    Audience::Counts& counts = candidate.seat->audience->counts;
    const bool error = candidate.verdict == Verdict::kUnauthorized || candidate.verdict == Verdict::kFailed;
    ++(error ? counts.errors : counts.matched);
  }
  for (Group& group : groups_) output_(Delivery{std::move(group.data), change_.kind, std::move(group.targets)});
}

template <typename Find>
Dispatcher::Attempt Dispatcher::JudgeOnce(RelationFeed* feed, const RowChange& row, Find find_candidates) {
  const Readiness readiness = OpenFor(feed);
  if (readiness == Readiness::kLocked) return Attempt::kLocked;
  if (readiness == Readiness::kUnfinished) return Attempt::kUnfinished;
  if (readiness == Readiness::kGone || (feed->events() & MaskOf(row.kind)) == 0) return Attempt::kDone;
  batch_.ResetRow();
  const int64_t began_ms = CoarseMs();
  if (!FillRows(feed, row)) return Attempt::kLocked;
  candidates_.clear();
  find_candidates();
  if (!batch_.is_open()) return Attempt::kLocked;  // the row is bound to a transaction that is gone
  if (candidates_.empty()) return Attempt::kDone;
  switch (judge_.Run(feed, &change_, &candidates_, began_ms)) {
    case Judge::Progress::kLocked: return Attempt::kLocked;
    case Judge::Progress::kPart: return Attempt::kPart;
    default: return Attempt::kJudged;
  }
}

// A transaction that held a lock may have ended after the snapshot was taken and before the lock was had. Its rows are not in
// the snapshot, and a table that it has rewritten looks empty: what was judged so is judged again.
template <typename Find>
Dispatcher::Outcome Dispatcher::JudgeAndEmit(RelationFeed* feed, const RowChange& row, const StreamPosition& position,
                                             std::vector<Target>* judged, Find find_candidates) {
  const invalidation::Collecting collecting(feed->dependencies());
  for (int judgement = 0; judgement < kMaxJudgements; ++judgement) {
    batch_.HasWaited();
    const Attempt attempt = JudgeOnce(feed, row, find_candidates);
    if (attempt == Attempt::kLocked) return Outcome::kLocked;
    if (attempt == Attempt::kUnfinished) return Outcome::kUnfinished;
    if (attempt == Attempt::kDone) return Outcome::kDone;
    Encode(feed, position);
    // Relations that are not of interest are created all the time, somewhere: they must not keep the row for ever.
    const bool last = judgement + 1 == kMaxJudgements;
    if (!batch_.HasWaited() && feed->IsCurrent() && (last || !batch_.SnapshotIsDated())) {
      if (attempt == Attempt::kPart) AddTargets(judged);
      Emit();
      return attempt == Attempt::kPart ? Outcome::kUnfinished : Outcome::kDone;
    }
    NeedSnapshot();
  }
  return Outcome::kLocked;
}

void Dispatcher::AddTargets(std::vector<Target>* judged) const {
  auto add = [judged](const TargetList& targets) { judged->insert(judged->end(), targets->begin(), targets->end()); };
  for (const Candidate& candidate : candidates_) {
    if (candidate.verdict == Verdict::kNone) add(candidate.targets);
  }
  for (const Group& group : groups_) std::for_each(group.targets.begin(), group.targets.end(), add);
  std::sort(judged->begin(), judged->end());
}

template <typename F>
Dispatcher::Outcome Dispatcher::Charge(RelationFeed* feed, F deliver) {
  const int64_t began_ms = CoarseMs();
  const Outcome outcome = deliver();
  const int64_t now_ms = CoarseMs();
  // To wait for a lock takes some time as well, again and again.
  if (outcome == Outcome::kLocked && now_ms - began_ms < SlowTables::kSlowMs) return outcome;
  slow_.Judged(feed->info().oid, now_ms - began_ms, now_ms, !stream_idle_, feed->sample());
  return outcome;
}

bool Dispatcher::MustYield(uint32_t relation) {
  return !stream_idle_ && !slow_.empty() && slow_.MustYield(relation, CoarseMs());
}

Dispatcher::Outcome Dispatcher::Deliver(RelationFeed* feed, const RowChange& row, const StreamPosition& position,
                                        std::vector<Target>* judged) {
  return Charge(feed, [&] {
    return JudgeAndEmit(feed, row, position, judged, [&] { FindCandidates(feed, position, *judged); });
  });
}

Dispatcher::Outcome Dispatcher::DeliverTo(const std::shared_ptr<Audience>& audience, Target target, RelationFeed* feed,
                                          const RowChange& row, const StreamPosition& position) {
  if (!feed->HasListeners()) return Outcome::kDone;
  std::vector<Target> judged;
  auto find_candidate = [&] {
    Seat* seat = feed->SeatOf(audience.get());
    if (seat == nullptr) return;
    candidates_.push_back({seat, std::make_shared<const std::vector<Target>>(1, target), Verdict::kNone});
  };
  return Charge(feed, [&] { return JudgeAndEmit(feed, row, position, &judged, find_candidate); });
}

}  // namespace realtime
