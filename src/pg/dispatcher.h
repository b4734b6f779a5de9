// One row change to those who may see it: opens the transaction it is judged in, lets the judge decide, encodes, emits.
// Database thread only. No method raises, except the watchdog's FATAL (watchdog.h).
#ifndef REALTIME_PG_DISPATCHER_H_
#define REALTIME_PG_DISPATCHER_H_

#include <functional>
#include <vector>

#include "core/door.h"
#include "core/slow_tables.h"
#include "pg/batch.h"
#include "pg/judge.h"
#include "pg/registry.h"
#include "pg/relation_feed.h"
#include "pg/stream_row.h"

namespace realtime {

class Dispatcher {
 public:
  explicit Dispatcher(std::function<void(ToNetwork)> output) : output_(std::move(output)), judge_(&batch_) {}

  enum class Outcome : uint8_t {
    kDone,
    kLocked,      // somebody holds a lock on a table that is needed to judge the row; nothing has been emitted
    kUnfinished,  // it takes long: call again when others have had their turn
  };
  // To all audiences that get this commit. Its commit has ended, and needs a snapshot that shows it (NeedSnapshot).
  // `judged`, in order, are left out; kUnfinished adds to them those for whom the row has been dealt with.
  Outcome Deliver(RelationFeed* feed, const RowChange& row, const StreamPosition& position, std::vector<Target>* judged);
  // To one member of one audience alone.
  Outcome DeliverTo(const std::shared_ptr<Audience>& audience, Target target, RelationFeed* feed, const RowChange& row,
                    const StreamPosition& position);

  // Whether the table's rows take so long that others are to have their turn first. Not while nobody else waits.
  bool MustYield(uint32_t relation);
  bool IsSlow(uint32_t relation) const { return slow_.Has(relation); }
  void SetStreamIdle(bool idle) { stream_idle_ = idle; }

  // What comes now may be of commits that no snapshot has shown yet.
  void NeedSnapshot() { snapshot_taken_ = false; }
  // Runs what may raise and is not about a row; false: it raised, and everything that lived in the transaction is gone.
  template <typename F>
  bool Try(F fn, PgError* error) {
    if (PgTry(fn, error)) return true;
    Recover();
    return false;
  }
  bool Open() { return batch_.Open(false); }
  // Before seats go away.
  void EndStates() { judge_.EndStates(); }
  void EndBatch();
  bool batch_open() const { return batch_.is_open(); }

 private:
  // What happens to the changes of one audience's kind of view: encoded once, sent to all their members.
  struct Group {
    const Projection* projection;
    Verdict verdict;
    std::vector<TargetList> targets;
    SharedBytes data;
  };

  void Recover();
  Readiness OpenFor(RelationFeed* feed);
  bool FillRows(RelationFeed* feed, const RowChange& row);
  void FillGenerated(RelationFeed* feed, TableRow* row);
  void FindCandidates(RelationFeed* feed, const StreamPosition& position, const std::vector<Target>& judged);
  // Once, with the snapshot there is. kPart: of some candidates, which are left.
  enum class Attempt : uint8_t { kDone, kLocked, kUnfinished, kJudged, kPart };
  template <typename Find>
  Attempt JudgeOnce(RelationFeed* feed, const RowChange& row, Find find_candidates);
  template <typename Find>
  Outcome JudgeAndEmit(RelationFeed* feed, const RowChange& row, const StreamPosition& position,
                       std::vector<Target>* judged, Find find_candidates);
  template <typename F>
  Outcome Charge(RelationFeed* feed, F deliver);
  void AddTargets(std::vector<Target>* judged) const;
  void Encode(RelationFeed* feed, const StreamPosition& position);
  void Emit();

  static constexpr int kMaxPrepareAttempts = 10;
  static constexpr int kMaxJudgements = 3;
  // A commit's rows wait for locks so long at most before they are parked. Retries take turns with everything else.
  static constexpr int kLockPatienceMs = 1;

  std::function<void(ToNetwork)> output_;
  Batch batch_{kLockPatienceMs};
  Judge judge_;
  SlowTables slow_;
  bool stream_idle_ = false;
  bool snapshot_taken_ = false;  // a snapshot that shows all commits so far has been taken

  // Reused from row to row.
  JudgedChange change_;
  std::vector<Seat*> found_;
  std::vector<Candidate> candidates_;
  std::vector<Group> groups_;
};

}  // namespace realtime

#endif  // REALTIME_PG_DISPATCHER_H_
