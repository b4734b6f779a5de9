#include "pg/policy.h"

#include "pg/invalidation.h"
#include "pg/policy_quals.h"

extern "C" {
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
}

namespace realtime {

PolicyPlan::~PolicyPlan() {
  if (context) MemoryContextDelete(context);
}

namespace {

uint64_t g_function_lookups = 0;
needs_fmgr_hook_type g_next_hook = nullptr;

bool CountFunction(Oid function) {
  ++g_function_lookups;
  return g_next_hook && g_next_hook(function);
}

// SELECT 1 FROM ONLY table, rewritten under the current user: its security quals are the policies.
Query* RewrittenQuery(const Table& table) {
  char* sql = psprintf("SELECT 1 FROM ONLY %s", table.sql_name.c_str());
  List* raw = pg_parse_query(sql);
  List* queries = pg_analyze_and_rewrite_fixedparams(linitial_node(RawStmt, raw), sql, nullptr, 0, nullptr);
  Query* query = linitial_node(Query, queries);
  // The name was read from the catalogs a moment ago; a rename in between makes it another table's.
  if (rt_fetch(1, query->rtable)->relid != table.oid) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("table %s was renamed", table.sql_name.c_str())));
  }
  return query;
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

void PlanAsQuery(const Table& table, Query* query, Node* condition, PolicyPlan* plan) {
  ReplaceTable(rt_fetch(1, query->rtable), RowQuery(table));
  TargetEntry* entry = makeTargetEntry(reinterpret_cast<Expr*>(condition), 1, pstrdup("visible"), false);
  query->targetList = list_make1(entry);
  query->hasSubLinks = true;
  PlannedStmt* statement = pg_plan_query(query, "realtime policy", 0, nullptr);
  plan->kind = PolicyPlan::Kind::kQuery;
  plan->statement = statement;
  ListCell* cell;
  foreach (cell, statement->relationOids) invalidation::Track(lfirst_oid(cell));
}

void PlanAsExpression(Node* condition, PolicyPlan* plan) {
  Expr* expression = expression_planner(reinterpret_cast<Expr*>(ColumnsToParams(condition)));
  plan->kind = PolicyPlan::Kind::kExpression;
  plan->expression = expression;
  if (!IsA(expression, Const)) return;
  auto* constant = reinterpret_cast<Const*>(expression);
  bool allow = !constant->constisnull && DatumGetBool(constant->constvalue);
  plan->kind = allow ? PolicyPlan::Kind::kAllow : PolicyPlan::Kind::kDeny;
}

void CompileQuals(const Table& table, Query* query, List* quals, PolicyPlan* plan) {
  QualFacts facts = {};
  Node* condition = InOrder(UnwrapScalarSelects(quals));
  InspectQuals(condition, &facts);
  plan->runs_user_code = contain_volatile_functions(condition);
  if (facts.needs_table) {
    plan->kind = PolicyPlan::Kind::kLookup;
    plan->runs_user_code = true;
    return;
  }
  int attno = -1;
  while ((attno = bms_next_member(facts.columns, attno)) >= 0) plan->columns.push_back(static_cast<AttrNumber>(attno));
  uint64_t before = FunctionLookups();
  if (checkExprHasSubLink(condition)) {
    PlanAsQuery(table, query, condition, plan);
  } else {
    PlanAsExpression(condition, plan);
  }
  plan->identity_bound = FunctionLookups() != before;
}

}  // namespace

void InstallFunctionCounter() {
  g_next_hook = needs_fmgr_hook;
  needs_fmgr_hook = CountFunction;
}

uint64_t FunctionLookups() { return g_function_lookups; }

void CompilePolicy(const Table& table, PolicyPlan* plan) {
  plan->context = AllocSetContextCreate(TopMemoryContext, "realtime policy", ALLOCSET_SMALL_SIZES);
  MemoryContext caller = MemoryContextSwitchTo(plan->context);
  Query* query = RewrittenQuery(table);
  List* quals = rt_fetch(1, query->rtable)->securityQuals;
  if (quals == NIL) {
    plan->kind = PolicyPlan::Kind::kAllow;
  } else {
    CompileQuals(table, query, quals, plan);
  }
  MemoryContextSwitchTo(caller);
}

}  // namespace realtime
