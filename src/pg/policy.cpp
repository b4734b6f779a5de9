#include "pg/policy.h"

#include "pg/invalidation.h"
#include "pg/policy_closed.h"
#include "pg/policy_quals.h"

extern "C" {
#include "access/transam.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
}

namespace realtime {

PolicyPlan::~PolicyPlan() {
  if (context) MemoryContextDelete(context);
}

namespace {

FunctionCounts g_lookups = {};
needs_fmgr_hook_type g_next_fmgr_hook = nullptr;
object_access_hook_type g_next_access_hook = nullptr;

void Count(Oid function) {
  invalidation::TrackFunction(function);
  ++g_lookups.all;
  if (func_volatile(function) == PROVOLATILE_IMMUTABLE) ++g_lookups.immutable;
}

// Every look-up but those of functions that are SECURITY DEFINER or have settings of their own, which end before the hook.
bool OnFunctionLookup(Oid function) {
  Count(function);
  return g_next_fmgr_hook && g_next_fmgr_hook(function);
}

// Built-in functions that change settings or run a query of the user's. All but these here are declared volatile, but what
// is inlined while planning has been looked at by nobody.
bool MayRunUserCode(Oid function) {
  switch (function) {
    case F_TABLE_TO_XML:
    case F_TABLE_TO_XMLSCHEMA:
    case F_TABLE_TO_XML_AND_XMLSCHEMA:
    case F_SCHEMA_TO_XML:
    case F_SCHEMA_TO_XMLSCHEMA:
    case F_SCHEMA_TO_XML_AND_XMLSCHEMA:
    case F_DATABASE_TO_XML:
    case F_DATABASE_TO_XMLSCHEMA:
    case F_DATABASE_TO_XML_AND_XMLSCHEMA:
      return true;
    default:
      return function >= FirstNormalObjectId || func_volatile(function) == PROVOLATILE_VOLATILE;
  }
}

// Every function that an expression or a plan is prepared to call, these included.
void OnObjectAccess(ObjectAccessType access, Oid class_id, Oid object, int sub_id, void* arg) {
  if (access == OAT_FUNCTION_EXECUTE && MayRunUserCode(object)) Count(object);
  if (g_next_access_hook) g_next_access_hook(access, class_id, object, sub_id, arg);
}

TargetEntry* ParameterEntry(const Column& column) {
  Expr* value;
  if (column.dropped) {
    value = reinterpret_cast<Expr*>(makeNullConst(INT4OID, -1, InvalidOid));
  } else {
    Param* param = makeNode(Param);
    param->paramkind = PARAM_EXTERN;
    param->paramid = column.attno;
    param->paramtype = column.type;
    param->paramtypmod = column.typmod;
    param->paramcollid = column.collation;
    param->location = -1;
    value = reinterpret_cast<Expr*>(param);
  }
  return makeTargetEntry(value, column.attno, pstrdup(column.name.c_str()), false);
}

// SELECT $1 AS a, $2 AS b, ... OFFSET 0
Query* RowQuery(const Table& table) {
  Query* row = makeNode(Query);
  row->commandType = CMD_SELECT;
  row->querySource = QSRC_ORIGINAL;
  row->canSetTag = true;
  row->jointree = makeFromExpr(NIL, nullptr);
  for (const Column& column : table.columns) row->targetList = lappend(row->targetList, ParameterEntry(column));
  row->limitOffset = reinterpret_cast<Node*>(makeConst(INT8OID, -1, InvalidOid, sizeof(int64), Int64GetDatum(0), false, true));
  return row;
}

void ReplaceTable(RangeTblEntry* rte, Query* row) {
  rte->rtekind = RTE_SUBQUERY;
  rte->subquery = row;
  rte->relid = InvalidOid;
  rte->relkind = 0;
  rte->rellockmode = 0;
  rte->inh = false;
  rte->securityQuals = NIL;
  rte->requiredPerms = 0;
  rte->checkAsUser = InvalidOid;
  rte->selectedCols = nullptr;
}

// Parsing and planning leave many times the result's size behind, and there may be a plan for each identity.
template <typename T>
T* Keep(PolicyPlan* plan, const T* tree) {
  MemoryContext caller = MemoryContextSwitchTo(plan->context);
  auto* copy = static_cast<T*>(copyObjectImpl(tree));
  MemoryContextSwitchTo(caller);
  return copy;
}

void PlanAsQuery(const Table& table, Query* query, Node* condition, PolicyPlan* plan) {
  ReplaceTable(rt_fetch(1, query->rtable), RowQuery(table));
  TargetEntry* entry = makeTargetEntry(reinterpret_cast<Expr*>(condition), 1, pstrdup("visible"), false);
  query->targetList = list_make1(entry);
  query->hasSubLinks = true;
  PlannedStmt* statement = pg_plan_query(query, "realtime policy", 0, nullptr);
  plan->kind = PolicyPlan::Kind::kQuery;
  plan->statement = Keep(plan, statement);
  ListCell* cell;
  foreach (cell, statement->relationOids) invalidation::Track(lfirst_oid(cell));
}

void PlanAsExpression(Node* condition, PolicyPlan* plan) {
  Expr* expression = expression_planner(reinterpret_cast<Expr*>(ColumnsToParams(condition)));
  TrackPlanned(expression);
  plan->kind = PolicyPlan::Kind::kExpression;
  plan->expression = Keep(plan, expression);
  if (!IsA(expression, Const)) return;
  auto* constant = reinterpret_cast<Const*>(expression);
  bool allow = !constant->constisnull && DatumGetBool(constant->constvalue);
  plan->kind = allow ? PolicyPlan::Kind::kAllow : PolicyPlan::Kind::kDeny;
}

void KeepOnlyDemand(const Table& table, PolicyPlan* plan) {
  PolicyDemand demand = FindOnlyDemand(table, plan->expression);
  if (!demand.key.valid()) return;
  plan->demand = demand;  // parts of the expression, which the plan keeps
  fmgr_info_cxt(demand.equality, &plan->equality, plan->context);
  plan->only_demand = true;
}

void CompileQuals(const Table& table, Query* query, List* quals, PolicyPlan* plan) {
  QualFacts facts = {};
  uint64_t before = FunctionLookups().immutable;
  quals = SimplifyQuals(UnwrapScalarSelects(quals));
  Node* condition = InOrder(quals);
  InspectQuals(condition, &facts);
  plan->runs_user_code = contain_volatile_functions(condition);
  if (facts.needs_table) {
    plan->kind = PolicyPlan::Kind::kLookup;
    plan->runs_user_code = true;
    return;
  }
  int attno = -1;
  while ((attno = bms_next_member(facts.columns, attno)) >= 0) plan->columns.push_back(static_cast<AttrNumber>(attno));
  // Volatile parts may change the settings that the demanded value is made of.
  PolicyDemand demand = plan->runs_user_code ? PolicyDemand() : FindPolicyDemand(table, quals);
  if (checkExprHasSubLink(condition)) {
    PlanAsQuery(table, query, condition, plan);
  } else {
    PlanAsExpression(condition, plan);
  }
  plan->identity_bound = FunctionLookups().immutable != before;
  plan->closed = plan->kind == PolicyPlan::Kind::kExpression && !plan->runs_user_code && !plan->identity_bound &&
                 IsClosed(table, plan->columns, plan->expression);
  if (plan->closed) KeepOnlyDemand(table, plan);
  if (plan->only_demand || !demand.key.valid() || plan->identity_bound) return;
  plan->demand = {demand.key, Keep(plan, demand.value), demand.equality};
}

}  // namespace

void InstallFunctionCounter() {
  g_next_fmgr_hook = needs_fmgr_hook;
  needs_fmgr_hook = OnFunctionLookup;
  g_next_access_hook = object_access_hook;
  object_access_hook = OnObjectAccess;
}

const FunctionCounts& FunctionLookups() { return g_lookups; }

void CompilePolicy(const Table& table, PolicyAction action, PolicyPlan* plan) {
  plan->context = AllocSetContextCreate(TopMemoryContext, "realtime policy", ALLOCSET_SMALL_SIZES);
  MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "realtime planning", ALLOCSET_DEFAULT_SIZES);
  MemoryContext caller = MemoryContextSwitchTo(scratch);
  PolicyQuals found = RewritePolicies(table, action);
  TrackQuals(found.carrier, found.quals);
  if (found.quals == NIL) {
    plan->kind = PolicyPlan::Kind::kAllow;
  } else {
    CompileQuals(table, found.carrier, found.quals, plan);
  }
  MemoryContextSwitchTo(caller);
  MemoryContextDelete(scratch);
}

}  // namespace realtime
