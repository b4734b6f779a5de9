// Tree work on security quals. Backend trees in the current memory context; may raise.
#ifndef REALTIME_PG_POLICY_QUALS_H_
#define REALTIME_PG_POLICY_QUALS_H_

#include "pg/pg.h"

extern "C" {
#include "nodes/bitmapset.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "nodes/primnodes.h"
}

namespace realtime {

struct QualFacts {
  Bitmapset* columns;  // attribute numbers of range-table entry 1 that are referred to, from any depth
  bool needs_table;    // a system column or the whole row is referred to
};
void InspectQuals(Node* condition, QualFacts* facts);

// The quals as one expression that tests them one after the other.
Node* InOrder(List* quals);

// As the planner does with the conditions of a WHERE, one by one: functions are inlined, constants folded, and parts that
// follow from others fall away. A session never runs those, and may not even have the right to.
List* SimplifyQuals(List* quals);

// Replaces uncorrelated, trivial scalar sub-selects, `(select f(...))`, by their expression.
List* UnwrapScalarSelects(List* quals);

// Notes what the policy is made of: functions, tables, and the roles whose rights apply to these.
void TrackQuals(Query* carrier, List* quals);
// What has come to light while it was planned.
void TrackPlanned(Expr* expression);

// Replaces columns of range-table entry 1 by external parameters numbered by attno; no sub-queries inside.
Node* ColumnsToParams(Node* condition);

}  // namespace realtime

#endif  // REALTIME_PG_POLICY_QUALS_H_
