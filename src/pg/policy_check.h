// Evaluating a compiled policy for one identity on one row. Database thread only.
#ifndef REALTIME_PG_POLICY_CHECK_H_
#define REALTIME_PG_POLICY_CHECK_H_

#include <cstdint>
#include <vector>

#include "pg/batch.h"
#include "pg/policy.h"
#include "pg/table_row.h"

extern "C" {
#include "executor/executor.h"
}

namespace realtime {

// The evaluation state of one identity for one plan. Valid under the batch epoch it was made in; an abort frees it.
struct PolicyState {
  uint64_t epoch = 0;
  QueryDesc* query = nullptr;     // kQuery
  ExprState* expression = nullptr;  // kExpression
  ExprContext* context = nullptr;
  EState* estate = nullptr;
  bool used = false;              // a kQuery state must be rescanned before its next row
  bool user_code = false;
  bool answered = false;          // the answer is the same for every row: `answer`
  bool answer = false;
  size_t bytes = 0;               // for its keeper
};

// Whether CheckPolicy needs the identity's role scope: not what reads nothing but the row, its settings put in already.
inline bool NeedsScope(const PolicyPlan& plan, const PolicyState& state, const Batch& batch) {
  return !plan.closed || state.epoch != batch.epoch();
}

// Whether the row passes. The caller is inside PgTry, has entered the identity's role scope if NeedsScope (a fresh one when
// plan.runs_user_code or state->user_code), and all plan.columns are there. May raise.
bool CheckPolicy(const PolicyPlan& plan, PolicyState* state, Batch* batch, TableRow* row);

// What the state takes of memory now, the results of sub-queries included.
size_t BytesOf(const PolicyState& state);

// Ends the state if it lives in the current epoch; may raise.
void EndPolicyState(PolicyState* state, Batch* batch);

}  // namespace realtime

#endif  // REALTIME_PG_POLICY_CHECK_H_
