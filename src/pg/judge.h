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

class Judge {
 public:
  explicit Judge(Batch* batch) : batch_(batch) {}

  // Fills verdicts[i] for seats()[i]; only seats with wanted[i] are looked at. Errors of one seat are its verdict; the
  // transaction is then opened anew and the others go on.
  void Run(RelationFeed* feed, JudgedChange* change, const std::vector<bool>& wanted, std::vector<Verdict>* verdicts);

  // Ends the evaluation states that live in the current snapshot. Call before it changes and before seats go away.
  void EndStates();
  // After an abort they are gone already.
  void ForgetStates() { live_.clear(); }

 private:
  Verdict JudgeSeat(RelationFeed* feed, Seat* seat, JudgedChange* change);
  bool PassesFilter(Seat* seat, JudgedChange* change);
  bool PassesPolicy(RelationFeed* feed, Seat* seat, TableRow* row, JudgedChange* change);
  const PolicyPlan* PolicyOf(RelationFeed* feed, Seat* seat);
  bool Supply(const std::vector<AttrNumber>& columns, TableRow* row, JudgedChange* change);
  void EnterScope(const Seat& seat);
  void LogFailure(const RelationFeed& feed, const Seat& seat, const PgError& error);

  Batch* batch_;
  std::vector<Seat*> live_;
};

}  // namespace realtime

#endif  // REALTIME_PG_JUDGE_H_
