// Where a table's seats are found by a row's values: what their filters and policies demand of it.
#include "pg/interrupts.h"
#include "pg/judge.h"
#include "pg/slice.h"
#include "pg/watchdog.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
}

namespace realtime {
namespace {

constexpr size_t kMaxLostPlacings = 3;
constexpr size_t kFastPlaces = 20;  // of a slice
constexpr int64_t kMaxPlacingMs = 1000;

}  // namespace

SeatPlace Judge::PlaceByFilter(const Table& table, const Seat& seat) {
  const FilterTest* test = seat.filter.FindEquality();
  if (test == nullptr) return {};
  const Column& column = table.columns[test->attno - 1];
  IndexKey key = FindIndexKey(column, column.base_type, InvalidOid, test->collation);
  if (!key.valid()) return {};
  return {SeatPlace::Rows::kWithValue, false, key, HashValue(key, test->values[0])};
}

SeatPlace Judge::PlaceByPolicy(RelationFeed* feed, Seat* seat) {
  if (!feed->table().row_security) return {};
  const PolicyPlan& plan = *PolicyOf(feed, seat);
  const PolicyDemand& demand = plan.demand;
  if (!demand.key.valid()) return {};
  EnterScope(*seat);
  // Whatever it calls may have been taken from the role: then asking for a row raises, and so does this.
  if (plan.only_demand) ExecInitExpr(plan.expression, nullptr);
  auto* tree = reinterpret_cast<Node*>(demand.value);
  Expr* evaluated = evaluate_expr(demand.value, exprType(tree), exprTypmod(tree), exprCollation(tree));
  batch_->scope()->Leave();
  auto* value = reinterpret_cast<Const*>(evaluated);
  if (value->constisnull) return {SeatPlace::Rows::kNone, true, {}, 0};
  if (plan.only_demand) {
    seat->demanded_value = feed->index().Keep(value->constvalue, value->constbyval, value->constlen);
    seat->value_known = true;
  }
  return {SeatPlace::Rows::kWithValue, true, demand.key, HashValue(demand.key, value->constvalue)};
}

SeatPlace Judge::PlaceOf(RelationFeed* feed, Seat* seat) {
  // An event for every change, whatever the row.
  if (!seat->access->privileges.key_readable || seat->filter_failed) return {};
  SeatPlace by_filter = PlaceByFilter(feed->table(), *seat);
  SeatPlace by_policy = PlaceByPolicy(feed, seat);
  // Where fewer others are: all users may be in one room, or one user in all rooms.
  return feed->index().Count(by_policy) < feed->index().Count(by_filter) ? by_policy : by_filter;
}

// A slice is over. False: the places found so far last until the next. But where they were lost again and again before all were
// found, it goes on; and the rest is asked for every row, if that takes long.
bool Judge::MustFinishPlaces(RelationFeed* feed, size_t placed, int64_t elapsed_ms) {
  if (feed->lost_placings() < kMaxLostPlacings) return false;
  if (placed >= kFastPlaces && elapsed_ms < kMaxPlacingMs && !shutdown_requested) return true;
  for (; Seat* seat = feed->next_to_place(); feed->MarkPlaced()) feed->index().Add(seat, {});
  return true;
}

Readiness Judge::PlaceSeats(RelationFeed* feed) {
  const int64_t began_ms = CoarseMs();
  Slice slice;
  size_t before = feed->places_left();
  while (feed->next_to_place() != nullptr) {
    if (slice.ended()) {
      const size_t placed = before - feed->places_left();
      if (!MustFinishPlaces(feed, placed, CoarseMs() - began_ms)) return Readiness::kUnfinished;
      slice = Slice();
      before = feed->places_left();
      continue;
    }
    if (!batch_->Open(false)) return Readiness::kLocked;
    PgError error;
    bool done = PgTry(
        [&] {
          MemoryContext caller = MemoryContextSwitchTo(batch_->row_context());
          for (Seat* seat = feed->next_to_place(); seat && !slice.ended(); seat = feed->next_to_place()) {
            SeatPlace place;
            watchdog::Watched([&] { place = PlaceOf(feed, seat); });
            feed->index().Add(seat, place);
            MemoryContextReset(batch_->row_context());
            feed->MarkPlaced();
          }
          MemoryContextSwitchTo(caller);
        },
        &error);
    if (done) continue;
    if (RecoverFrom(error, feed->next_to_place())) return Readiness::kLocked;
    // What raises here raises for each row too, and is reported then.
    feed->index().Add(feed->next_to_place(), {});
    feed->MarkPlaced();
  }
  return batch_->Open(false) ? Readiness::kReady : Readiness::kLocked;
}

}  // namespace realtime
