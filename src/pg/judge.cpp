#include "pg/judge.h"

#include <algorithm>

#include "pg/failure_report.h"
#include "pg/fetch_missing.h"
#include "pg/invalidation.h"
#include "pg/key_lookup.h"
#include "pg/slice.h"
#include "pg/stat.h"
#include "pg/watchdog.h"

namespace realtime {
namespace {

// An executor state takes some ten kilobytes, and work_mem and more with the results of sub-queries in it. What is above
// either limit is started anew when needed again.
constexpr size_t kMaxLiveStates = 1000;
constexpr size_t kMaxLiveBytes = 64u << 20;
constexpr int kMaxCompileAttempts = 10;

bool HasAll(const TableRow& row, const std::vector<AttrNumber>& columns) {
  return std::all_of(columns.begin(), columns.end(), [&](AttrNumber attno) { return row.Has(attno); });
}

// Of a row that policies guard and that cannot be judged, as only a part of it is known, a filter may ask for the primary key,
// which old_record tells to everybody, and by no pattern. A replica identity can hold more.
bool AsksForKeyAlone(const Table& table, const FilterPlan& filter) {
  if (filter.has_patterns()) return false;
  const auto& columns = filter.columns();
  return std::all_of(columns.begin(), columns.end(), [&](AttrNumber attno) { return table.columns[attno - 1].in_primary_key; });
}

// Whether it can be said that an UPDATE took the row out of the seat's filter: what it asks about is known of both rows, and
// the client may know it.
bool CanLeave(const RelationFeed& feed, const Seat& seat, const JudgedChange& change) {
  if (!seat.audience->old || change.kind != ChangeKind::kUpdate || change.old_kind == OldRow::kNone) return false;
  if (!HasAll(change.old_row, seat.filter.columns()) || !HasAll(change.new_row, seat.filter.columns())) return false;
  const bool guarded = change.old_kind != OldRow::kFull && feed.table().row_security;
  return !guarded || AsksForKeyAlone(feed.table(), seat.filter);
}

// The answer of a policy that demands one value and nothing else, without an evaluation state for each identity.
bool HasDemandedValue(const PolicyPlan& plan, const Seat& seat, TableRow* row) {
  const AttrNumber attno = plan.demand.key.attno;
  row->Load(attno);
  if (row->is_null(attno)) return false;
  return DatumGetBool(FunctionCall2Coll(const_cast<FmgrInfo*>(&plan.equality), plan.demand.key.collation,
                                        row->value(attno), seat.demanded_value));
}

FailedCheck CheckOf(const RelationFeed& feed, const Seat& seat) {
  return {*seat.audience, feed.info().schema, feed.info().table, feed.info().oid, seat.access->role};
}

}  // namespace

void Judge::EnterScope(const Seat& seat) {
  batch_->scope()->Ensure(seat.access->role, seat.access->role_name.c_str(), seat.audience->identity.get(), false);
}

// Makes sure the row has the columns, reading the missing ones of a new row from the table once.
bool Judge::Supply(const std::vector<AttrNumber>& columns, TableRow* row, JudgedChange* change) {
  if (HasAll(*row, columns)) return true;
  if (row == &change->new_row && !change->fetched) {
    change->fetched = true;
    // Of the owner's rights it needs none, but types of his making run his code.
    const Table& table = row->table();
    batch_->scope()->Ensure(table.owner, table.owner_name.c_str(), nullptr, true);
    batch_->NoteUserCode();
    FetchMissing(row, batch_->text_context());
    batch_->scope()->Leave();
  }
  return HasAll(*row, columns);
}

bool Judge::PassesFilter(Seat* seat, TableRow* row, JudgedChange* change) {
  if (seat->filter.empty()) return true;
  filtering_ = true;
  // A filter on a column that nobody knows the value of matches nothing.
  if (!Supply(seat->filter.columns(), row, change)) return false;
  if (!seat->filter.needs_scope()) return seat->filter.Matches(row);
  EnterScope(*seat);
  bool matches = seat->filter.Matches(row);
  batch_->NoteUserCode();
  batch_->scope()->Leave();
  return matches;
}

// The plan for the seat's role, or one of its own when planning depended on the identity. Planned again when the catalogs
// changed meanwhile: a plan is only as good as what it was made from.
const PolicyPlan* Judge::PolicyOf(RelationFeed* feed, Seat* seat) {
  if (seat->own_policy) return seat->own_policy.get();
  if (seat->access->policy) return seat->access->policy.get();
  for (int attempt = 0; attempt < kMaxCompileAttempts; ++attempt) {
    uint64_t generation = invalidation::Generation();
    seat->own_policy.reset(new PolicyPlan());
    batch_->scope()->Leave();
    EnterScope(*seat);
    CompilePolicy(feed->table(), PolicyAction::kSelect, seat->own_policy.get());
    batch_->scope()->Leave();
    if (invalidation::Generation() == generation) break;
  }
  if (seat->own_policy->identity_bound) {
    batch_->NoteUserCode();
    return seat->own_policy.get();
  }
  seat->access->policy = std::move(seat->own_policy);
  return seat->access->policy.get();
}

bool Judge::PassesPolicy(RelationFeed* feed, Seat* seat, TableRow* row, JudgedChange* change) {
  if (!feed->table().row_security) return true;
  filtering_ = false;
  const PolicyPlan* plan = PolicyOf(feed, seat);
  if (plan->kind == PolicyPlan::Kind::kAllow) return true;
  if (plan->kind == PolicyPlan::Kind::kDeny) return false;
  bool by_key = plan->kind == PolicyPlan::Kind::kLookup;
  // What cannot be decided is not shown.
  if (by_key ? row == &change->old_row || !HasKey(*row) : !Supply(plan->columns, row, change)) return false;
  if (seat->value_known) {
    stat::Add(stat::Figure::kPolicyChecks);
    return HasDemandedValue(*plan, *seat, row);
  }
  if (NeedsScope(*plan, seat->state, *batch_)) EnterScope(*seat);
  bool visible;
  const bool slow = by_key || plan->runs_user_code;
  stat::Add(stat::Figure::kPolicyChecks);
  if (slow) stat::Add(stat::Figure::kSlowPolicyChecks);
  if (by_key) {
    visible = VisibleByKey(row);
    batch_->NoteUserCode();
    batch_->scope()->Leave();
    return visible;
  }
  bool was_live = seat->state.epoch == batch_->epoch();
  visible = CheckPolicy(*plan, &seat->state, batch_, row);
  if (seat->state.user_code) {
    if (!slow) stat::Add(stat::Figure::kSlowPolicyChecks);
    batch_->scope()->Leave();
  } else {
    KeepState(seat, was_live);
  }
  return visible;
}

// For the next row of the snapshot, where there is room.
void Judge::KeepState(Seat* seat, bool was_live) {
  PolicyState* state = &seat->state;
  const size_t before = was_live ? state->bytes : 0;
  state->bytes = BytesOf(*state);
  live_bytes_ += state->bytes - before;
  if (live_bytes_ > kMaxLiveBytes || (!was_live && live_.size() >= kMaxLiveStates)) {
    live_bytes_ -= state->bytes;
    EndPolicyState(state, batch_);
    return;
  }
  if (!was_live) live_.push_back(seat);
}

// Of an UPDATE with a full old row.
bool Judge::OldRowVisible(RelationFeed* feed, Seat* seat, JudgedChange* change) {
  change->old_row.ForgetLoaded();
  bool visible = PassesPolicy(feed, seat, &change->old_row, change);
  change->new_row.ForgetLoaded();
  return visible;
}

bool Judge::OldRowPasses(Seat* seat, JudgedChange* change) {
  change->old_row.ForgetLoaded();
  bool passes = PassesFilter(seat, &change->old_row, change);
  change->new_row.ForgetLoaded();
  return passes;
}

// An UPDATE whose new row does not pass the filter, which was asked before the policies unless after_policy() forbids it.
Verdict Judge::JudgeLeaving(RelationFeed* feed, Seat* seat, JudgedChange* change) {
  if (!CanLeave(*feed, *seat, *change)) return Verdict::kNone;
  bool filter_last = seat->filter.after_policy();
  bool old_judged = change->old_kind == OldRow::kFull && feed->table().row_security;
  if (!filter_last) {
    if (!OldRowPasses(seat, change)) return Verdict::kNone;
    if (!PassesPolicy(feed, seat, &change->new_row, change)) return Verdict::kNone;
  }
  if (old_judged && !OldRowVisible(feed, seat, change)) return Verdict::kNone;
  if (filter_last && !OldRowPasses(seat, change)) return Verdict::kNone;
  return Verdict::kDeliverLeft;
}

// Whether the seat's filter may be asked about a deleted row of which the replica identity alone is known. Else whoever may not
// see it could find its values, with one filter after the other.
bool Judge::MayFilterKey(RelationFeed* feed, Seat* seat, const JudgedChange& change) {
  if (!feed->table().row_security || AsksForKeyAlone(feed->table(), seat->filter)) return true;
  // It matches nothing anyway: no reason to ask for the policies.
  if (!HasAll(change.old_row, seat->filter.columns())) return false;
  filtering_ = false;
  return PolicyOf(feed, seat)->kind == PolicyPlan::Kind::kAllow;
}

Verdict Judge::JudgeSeat(RelationFeed* feed, Seat* seat, JudgedChange* change) {
  if (!seat->access->privileges.key_readable) {
    // A wildcard covers the tables that are readable, silently; a named table says what happened.
    return seat->audience->wildcard() ? Verdict::kNone : Verdict::kUnauthorized;
  }
  if (seat->filter_failed) {
    stat::Add(stat::Figure::kFilterFailures);
    return Verdict::kFailed;
  }
  bool filter_last = seat->filter.after_policy();
  bool deleted = change->kind == ChangeKind::kDelete;
  TableRow* row = deleted ? &change->old_row : &change->new_row;
  // Of a deleted row only a full old one can be judged; a bare key is sent as the reference does.
  bool judged = !deleted || change->old_kind == OldRow::kFull;
  if (!judged && !MayFilterKey(feed, seat, *change)) return Verdict::kNone;
  if (!filter_last && !PassesFilter(seat, row, change)) return JudgeLeaving(feed, seat, change);
  if (judged && !PassesPolicy(feed, seat, row, change)) return Verdict::kNone;
  if (filter_last && !seat->filter.MayTry()) {
    stat::Add(stat::Figure::kFilterFailures);
    not_tried_ = seat;
    return Verdict::kFailed;
  }
  if (filter_last && !PassesFilter(seat, row, change)) return JudgeLeaving(feed, seat, change);
  if (deleted || change->old_kind != OldRow::kFull || !feed->table().row_security) return Verdict::kDeliver;
  return OldRowVisible(feed, seat, change) ? Verdict::kDeliver : Verdict::kDeliverKey;
}

void Judge::FindSeats(RelationFeed* feed, JudgedChange* change, std::vector<Seat*>* found) {
  bool is_delete = change->kind == ChangeKind::kDelete;
  bool judged = !is_delete || change->old_kind == OldRow::kFull;
  TableRow* row = is_delete ? &change->old_row : &change->new_row;
  bool decided = false;
  PgError error;
  bool done = batch_->Open(false) && PgTry(
      [&] {
        MemoryContext caller = MemoryContextSwitchTo(batch_->row_context());
        decided = feed->index().Find(row, judged, found);
        if (decided && change->kind == ChangeKind::kUpdate && change->old_kind != OldRow::kNone) {
          feed->index().FindLeft(&change->old_row, row, found);
        }
        MemoryContextSwitchTo(caller);
      },
      &error);
  if (!done) {
    ForgetStates();
    batch_->Abort();
    if (batch_->Open(false)) change->Rebind(feed->Params(batch_));
  }
  if (done && decided) return;
  found->clear();
  for (const std::unique_ptr<Seat>& seat : feed->seats()) found->push_back(seat.get());
}

Judge::Progress Judge::Run(RelationFeed* feed, JudgedChange* change, std::vector<Candidate>* candidates,
                           int64_t began_ms) {
  not_tried_ = nullptr;
  const Progress progress = RunAll(feed, change, candidates, began_ms);
  if (progress != Progress::kLocked && not_tried_ != nullptr) {
    ReportFilterFailure(CheckOf(*feed, *not_tried_), nullptr, {"54000", kPatternsTooSlow, "", ""});
  }
  return progress;
}

Judge::Progress Judge::RunAll(RelationFeed* feed, JudgedChange* change, std::vector<Candidate>* candidates,
                              int64_t began_ms) {
  const Slice slice(began_ms);
  size_t next = 0;
  while (next < candidates->size()) {
    if (next > 0 && slice.ended()) {
      candidates->resize(next);
      return Progress::kPart;
    }
    if (!batch_->Open(false)) return Progress::kLocked;
    PgError error;
    bool done = PgTry(
        [&] {
          MemoryContext caller = MemoryContextSwitchTo(batch_->row_context());
          for (; next < candidates->size() && !(next > 0 && slice.ended()); ++next) {
            Candidate& candidate = (*candidates)[next];
            watchdog::Watched([&] { candidate.verdict = JudgeSeat(feed, candidate.seat, change); });
          }
          MemoryContextSwitchTo(caller);
        },
        &error);
    if (done) continue;
    Candidate& failed = (*candidates)[next];
    failed.seat->filter.NoteError();
    if (RecoverFrom(error, failed.seat)) return Progress::kLocked;
    failed.verdict = Verdict::kFailed;
    ReportFailure(*feed, *failed.seat, error);
    if (!batch_->Open(false)) return Progress::kLocked;
    change->Rebind(feed->Params(batch_));
    ++next;
  }
  return Progress::kAll;
}

bool Judge::RecoverFrom(const PgError& error, Seat* seat) {
  const bool locked = batch_->LockedOut(error);
  ForgetStates();
  batch_->Abort();
  seat->own_policy.reset();
  return locked;
}

void Judge::EndStates() {
  PgError error;
  std::vector<Seat*> live;
  live.swap(live_);
  live_bytes_ = 0;
  bool done = PgTry(
      [&] {
        batch_->scope()->Leave();
        for (Seat* seat : live) EndPolicyState(&seat->state, batch_);
      },
      &error);
  if (!done) batch_->Abort();
}

void Judge::ReportFailure(const RelationFeed& feed, const Seat& seat, const PgError& error) {
  stat::Add(filtering_ ? stat::Figure::kFilterFailures : stat::Figure::kPolicyFailures);
  const FailedCheck check = CheckOf(feed, seat);
  if (!filtering_) return ReportPolicyFailure(check, error);
  ReportFilterFailure(check, &seat.audience->filters[seat.filter.last_clause()], error);
}

}  // namespace realtime
