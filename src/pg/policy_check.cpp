#include "pg/policy_check.h"

#include "pg/policy_closed.h"

extern "C" {
#include "storage/lmgr.h"
#include "utils/snapmgr.h"
}

namespace realtime {
namespace {

// A plan made by hand: nobody has locked its relations for this transaction yet.
void LockRelations(const PlannedStmt* statement) {
  ListCell* cell;
  foreach (cell, statement->rtable) {
    auto* rte = static_cast<RangeTblEntry*>(lfirst(cell));
    if (rte->rtekind == RTE_RELATION) LockRelationOid(rte->relid, rte->rellockmode);
  }
}

void StartQuery(const PolicyPlan& plan, PolicyState* state, TableRow* row) {
  LockRelations(plan.statement);
  MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
  state->query = CreateQueryDesc(plan.statement, "realtime policy", GetActiveSnapshot(), InvalidSnapshot,
                                 None_Receiver, row->params(), nullptr, 0);
  ExecutorStart(state->query, 0);
  MemoryContextSwitchTo(caller);
}

void StartExpression(const PolicyPlan& plan, PolicyState* state, TableRow* row) {
  MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
  state->estate = CreateExecutorState();
  state->estate->es_param_list_info = row->params();
  state->context = CreateExprContext(state->estate);
  MemoryContextSwitchTo(state->estate->es_query_cxt);
  Expr* expression = plan.closed ? WithSettings(plan.expression) : plan.expression;
  state->expression = ExecInitExprWithParams(expression, row->params());
  MemoryContextSwitchTo(caller);
}

void StartState(const PolicyPlan& plan, PolicyState* state, Batch* batch, TableRow* row) {
  *state = PolicyState();
  uint64_t before = FunctionLookups().all;
  if (plan.kind == PolicyPlan::Kind::kQuery) {
    StartQuery(plan, state, row);
  } else {
    StartExpression(plan, state, row);
  }
  state->user_code = plan.runs_user_code || FunctionLookups().all != before;
  state->epoch = batch->epoch();
}

bool RunQuery(PolicyState* state) {
  if (state->used) ExecReScan(state->query->planstate);
  state->used = true;
  EState* estate = state->query->estate;
  MemoryContext caller = MemoryContextSwitchTo(estate->es_query_cxt);
  ResetPerTupleExprContext(estate);
  TupleTableSlot* slot = ExecProcNode(state->query->planstate);
  bool is_null = true;
  bool visible = !TupIsNull(slot) && DatumGetBool(slot_getattr(slot, 1, &is_null)) && !is_null;
  MemoryContextSwitchTo(caller);
  return visible;
}

bool RunExpression(PolicyState* state) {
  bool is_null = false;
  ResetExprContext(state->context);
  Datum value = ExecEvalExprSwitchContext(state->expression, state->context, &is_null);
  return !is_null && DatumGetBool(value);
}

// False: a type's own code ran, and is part of no policy: nothing of what it has set is left.
bool LoadColumns(const PolicyPlan& plan, Batch* batch, TableRow* row) {
  const uint64_t before = FunctionLookups().all;
  for (AttrNumber attno : plan.columns) row->Load(attno);
  if (FunctionLookups().all == before) return true;
  batch->scope()->Renew();
  return false;
}

}  // namespace

bool CheckPolicy(const PolicyPlan& plan, PolicyState* state, Batch* batch, TableRow* row) {
  if (plan.kind == PolicyPlan::Kind::kAllow) return true;
  if (plan.kind == PolicyPlan::Kind::kDeny) return false;
  if (state->answered && state->epoch == batch->epoch()) return state->answer;
  const bool loaded_quietly = LoadColumns(plan, batch, row);
  if (state->epoch != batch->epoch()) StartState(plan, state, batch, row);
  uint64_t before = FunctionLookups().all;
  bool visible = plan.kind == PolicyPlan::Kind::kQuery ? RunQuery(state) : RunExpression(state);
  // Some is found only while it runs: the check of a domain inside an array that is made from text.
  if (FunctionLookups().all != before || !loaded_quietly) state->user_code = true;
  if (plan.closed && plan.columns.empty() && !state->user_code) {
    state->answered = true;
    state->answer = visible;
  }
  if (state->user_code) {
    batch->NoteUserCode();
    EndPolicyState(state, batch);
  }
  return visible;
}

size_t BytesOf(const PolicyState& state) {
  // An expression keeps nothing.
  return state.query == nullptr ? 0 : MemoryContextMemAllocated(state.query->estate->es_query_cxt, true);
}

void EndPolicyState(PolicyState* state, Batch* batch) {
  if (state->epoch == 0 || state->epoch != batch->epoch()) return;
  state->epoch = 0;
  if (state->query) {
    ExecutorFinish(state->query);
    ExecutorEnd(state->query);
    FreeQueryDesc(state->query);
  }
  if (state->estate) {
    FreeExprContext(state->context, true);
    FreeExecutorState(state->estate);
  }
  state->query = nullptr;
  state->estate = nullptr;
}

}  // namespace realtime
