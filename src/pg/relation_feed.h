// One table of the stream and its listeners: what the stream calls it, what it is today, and a seat for each audience.
// Database thread only.
#ifndef REALTIME_PG_RELATION_FEED_H_
#define REALTIME_PG_RELATION_FEED_H_

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/change.h"
#include "core/message_row.h"
#include "core/slow_tables.h"
#include "pg/batch.h"
#include "pg/catalog.h"
#include "pg/filter_plan.h"
#include "pg/invalidation.h"
#include "pg/policy.h"
#include "pg/policy_check.h"
#include "pg/predicate_index.h"
#include "pg/registry.h"
#include "pg/table_row.h"

namespace realtime {

// A role on the table.
struct Access {
  Oid role = InvalidOid;   // invalid: there is no such role
  std::string role_name;   // in the database's encoding
  TablePrivileges privileges;
  bool complete = false;   // all of the above is there
  std::unique_ptr<PolicyPlan> policy;  // compiled at the first change that needs it
};

// A set of columns that clients of a seat see.
struct Projection {
  std::vector<bool> visible;  // by attno - 1
  std::string columns_json;   // the event's "columns"
};

// An audience at this table.
struct Seat {
  size_t position = 0;  // among the seats
  std::shared_ptr<Audience> audience;
  Access* access = nullptr;
  const Projection* projection = nullptr;
  bool filter_failed = false;  // it no longer fits the table: each change is an error event
  // Of a policy that is only_demand: the value demanded, in the index's memory. Not null.
  bool value_known = false;
  Datum demanded_value = 0;
  FilterPlan filter;
  std::unique_ptr<PolicyPlan> own_policy;  // when the compiled policy depends on the identity
  PolicyState state;
};

enum class Readiness : uint8_t {
  kReady,
  kGone,    // the table is gone, or cannot be read for good: nobody gets its changes
  kLocked,  // somebody holds a lock that is in the way (Batch::LockedOut), or it cannot be read now: try again
  kUnfinished,  // it has taken its time: go on when others have had theirs
};

class RelationFeed {
 public:
  RelationFeed(RelationInfo info, const Registry* registry)
      : info_(std::move(info)), registry_(registry), is_messages_(IsMessagesTable(info_)) {}

  const RelationInfo& info() const { return info_; }
  bool is_messages() const { return is_messages_; }  // the root of realtime.messages
  const Table& table() const { return table_; }
  // Those of audiences that died meanwhile stay until the registry's layout changes.
  const std::vector<std::unique_ptr<Seat>>& seats() const { return seats_; }
  EventMask events() const { return events_; }  // that any seat asks for

  // The audience's; null: it has none here.
  Seat* SeatOf(const Audience* audience) const;

  // Where seats are found by a row's values. The judge adds them in their order: next_to_place() is to be added next, null
  // when all are.
  PredicateIndex& index() { return index_; }
  Seat* next_to_place() const { return placed_ < seats_.size() ? seats_[placed_].get() : nullptr; }
  void MarkPlaced() { ++placed_; }
  size_t places_left() const { return seats_.size() - placed_; }
  // How often the places were forgotten before all seats had theirs, because the catalogs or the audiences had changed, since
  // last they lasted until then: nothing would ever be delivered.
  size_t lost_placings() const { return lost_placings_; }

  // Whether an audience matches by name. Cheap; needs no transaction.
  bool HasListeners();

  // Brings table, seats and privileges up to date, in an open batch. End all policy states of this relation's seats before
  // (they may be destroyed). On an error the batch was aborted and opened again.
  Readiness Prepare(Batch* batch);
  // Whether Prepare would rebuild anything.
  bool IsCurrent();
  invalidation::Dependencies* dependencies() { return &dependencies_; }
  // Forgets everything that Prepare and HasListeners would rebuild, so that audiences that are gone can go. End all policy
  // states of this relation's seats before.
  void Release();
  bool has_seats() const { return !seats_.empty(); }
  // Whether it knows audiences by an earlier layout of the registry.
  bool IsOutdated() const { return layout_ != 0 && layout_ != registry_->layout(); }

  // The stream has announced it again as it is, which it also does after a column was replaced by another of that name.
  void DoubtColumns() { columns_doubted_ = true; }
  bool columns_doubted() const { return columns_doubted_; }
  // Which columns of today's table those of the stream are, when a row of the last announcement has come and its transaction has
  // ended: remembered from then on, whatever they are called later. False: not those that are remembered, of earlier rows. In a
  // transaction; may raise.
  bool LookAtColumns();

  // Of the time that its changes take.
  SlowTables::Sample* sample() { return &sample_; }

  // What the announcement takes of memory, asked for once: its first row that is kept for later answers for it.
  size_t TakeBytes();

  // Puts a tuple of the stream into today's columns. Those that the stream does not know, or knows otherwise (another type),
  // stay absent. A column that was renamed since is the same column: its rights and policies count, not its name.
  void Fill(const Row& tuple, bool identity_only, TableRow* row);
  ParamListInfo Params(Batch* batch);

 private:
  void FindListeners();
  void Unload();
  Readiness LoadToday(Batch* batch);
  Readiness CannotRead(const PgError& error, Batch* batch);
  void MapColumns();
  void DropUnusedProjections();
  bool TakeSeat(const std::shared_ptr<Audience>& audience, Batch* batch);
  Access* AccessOf(const std::string& role);
  const Projection* ProjectionOf(const Access& access, const std::vector<std::string>& columns);

  RelationInfo info_;
  const Registry* registry_;
  const bool is_messages_;
  SlowTables::Sample sample_;
  bool counted_ = false;     // TakeBytes was asked
  uint64_t layout_ = 0;      // of the registry, for cursor_
  size_t cursor_ = 0;        // audiences before it have been looked at
  std::vector<std::shared_ptr<Audience>> listeners_;  // those that match by name, in order
  size_t seated_ = 0;        // listeners before it have seats

  bool loaded_ = false;
  invalidation::Dependencies dependencies_;  // of all that was loaded
  bool exists_ = false;
  int failed_reads_ = 0;
  Table table_;
  bool columns_doubted_ = true;
  bool columns_known_ = false;
  std::vector<AttrNumber> attnos_;  // of the stream's columns, if known; 0: had no counterpart then
  std::vector<AttrNumber> map_;     // stream column to attno, of those that are there today; 0: no counterpart
  std::map<std::string, std::unique_ptr<Access>> access_;
  std::map<std::vector<bool>, std::unique_ptr<Projection>> projections_;
  std::vector<std::unique_ptr<Seat>> seats_;
  std::unordered_map<const Audience*, Seat*> seat_of_;
  EventMask events_ = 0;
  PredicateIndex index_;
  size_t placed_ = 0;  // seats before it are in the index
  size_t lost_placings_ = 0;
  ParamListInfo params_ = nullptr;
  uint64_t params_transaction_ = 0;
};

}  // namespace realtime

#endif  // REALTIME_PG_RELATION_FEED_H_
