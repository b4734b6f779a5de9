// Who gets a change: the verdict of each seat. Database thread only, inside a batch.
#ifndef REALTIME_PG_JUDGE_H_
#define REALTIME_PG_JUDGE_H_

#include <cstdint>
#include <vector>

#include "core/change.h"
#include "pg/batch.h"
#include "pg/guard.h"
#include "pg/relation_feed.h"

namespace realtime {

enum class Verdict : uint8_t {
  kNone,          // not this audience
  kDeliver,
  kDeliverKey,    // UPDATE whose old row was not visible: old_record is the key only
  kDeliverLeft,   // UPDATE that took the row out of the audience's filter
  kUnauthorized,  // SELECT was revoked: an event without data
  kFailed,        // the audience's policy or filter raised or ran out of time: an event without data
};

// A change in today's columns.
struct JudgedChange {
  ChangeKind kind = ChangeKind::kInsert;
  OldRow old_kind = OldRow::kNone;
  TableRow old_row;
  TableRow new_row;
  // After an abort: datums are gone, texts are not.
  void Rebind(ParamListInfo params) {
    old_row.Rebind(params);
    new_row.Rebind(params);
  }
  bool fetched = false;  // FetchMissing was tried for new_row
};

// A seat to be judged, and who gets the change if it passes.
struct Candidate {
  Seat* seat;
  TargetList targets;
  Verdict verdict;
};

class Judge {
 public:
  explicit Judge(Batch* batch) : batch_(batch) {}

  // Puts the seats that are new into the relation's index, in an open batch. kUnfinished when it has taken its time.
  Readiness PlaceSeats(RelationFeed* feed);
  // The seats that the change can concern; the others would get kNone.
  void FindSeats(RelationFeed* feed, JudgedChange* change, std::vector<Seat*>* found);

  enum class Progress : uint8_t {
    kAll,
    kPart,    // it has taken its time: `candidates` are now those that have a verdict, at least one
    kLocked,  // somebody holds a lock on a table that is needed, or there is no transaction: nothing is decided
  };
  // Fills in the verdicts. Errors of one seat are its verdict; the transaction is then opened anew and the others go on.
  // `began_ms`: of what was done for the row before (CoarseMs), and would be done again for each part.
  Progress Run(RelationFeed* feed, JudgedChange* change, std::vector<Candidate>* candidates, int64_t began_ms);

  // Ends the evaluation states that live in the current snapshot. Call before it changes and before seats go away.
  void EndStates();
  // After an abort they are gone already.
  void ForgetStates() {
    live_.clear();
    live_bytes_ = 0;
  }

 private:
  Progress RunAll(RelationFeed* feed, JudgedChange* change, std::vector<Candidate>* candidates, int64_t began_ms);
  bool MustFinishPlaces(RelationFeed* feed, size_t placed, int64_t elapsed_ms);
  SeatPlace PlaceByFilter(const Table& table, const Seat& seat);
  SeatPlace PlaceByPolicy(RelationFeed* feed, Seat* seat);
  SeatPlace PlaceOf(RelationFeed* feed, Seat* seat);
  bool MayFilterKey(RelationFeed* feed, Seat* seat, const JudgedChange& change);
  Verdict JudgeSeat(RelationFeed* feed, Seat* seat, JudgedChange* change);
  Verdict JudgeLeaving(RelationFeed* feed, Seat* seat, JudgedChange* change);
  bool OldRowPasses(Seat* seat, JudgedChange* change);
  bool PassesFilter(Seat* seat, TableRow* row, JudgedChange* change);
  bool PassesPolicy(RelationFeed* feed, Seat* seat, TableRow* row, JudgedChange* change);
  bool OldRowVisible(RelationFeed* feed, Seat* seat, JudgedChange* change);
  const PolicyPlan* PolicyOf(RelationFeed* feed, Seat* seat);
  void KeepState(Seat* seat, bool was_live);
  bool Supply(const std::vector<AttrNumber>& columns, TableRow* row, JudgedChange* change);
  void EnterScope(const Seat& seat);
  // After an error while the seat was asked: everything that lived in the transaction is gone. True: somebody holds a lock.
  bool RecoverFrom(const PgError& error, Seat* seat);
  void ReportFailure(const RelationFeed& feed, const Seat& seat, const PgError& error);

  Batch* batch_;
  std::vector<Seat*> live_;   // whose states are kept; some may have been ended since
  size_t live_bytes_ = 0;    // that these take
  const Seat* not_tried_ = nullptr;  // the last whose patterns were not, for lack of time
  bool filtering_ = false;  // what is being asked is a filter: else a policy
};

}  // namespace realtime

#endif  // REALTIME_PG_JUDGE_H_
