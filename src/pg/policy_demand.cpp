#include "pg/policy_demand.h"

#include "pg/policy_quals.h"

extern "C" {
#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
}

namespace realtime {
namespace {

// Settings that are the identity's alone: a role scope sets them (role_scope.h), or nobody does.
const char* const kRequestSettings[] = {"request.jwt.claims",     "request.jwt.claim", "request.jwt.claim.sub",
                                        "request.jwt.claim.role", "request.headers",   "realtime.topic",
                                        "role"};

bool IsRequestSetting(const FuncExpr* call) {
  if (call->funcid != F_CURRENT_SETTING_TEXT && call->funcid != F_CURRENT_SETTING_TEXT_BOOL) return false;
  ListCell* cell;
  foreach (cell, call->args) {
    auto* argument = static_cast<Node*>(lfirst(cell));
    if (!IsA(argument, Const) || reinterpret_cast<Const*>(argument)->constisnull) return false;
  }
  const char* name = TextDatumGetCString(linitial_node(Const, call->args)->constvalue);
  for (const char* setting : kRequestSettings) {
    if (pg_strcasecmp(name, setting) == 0) return true;
  }
  return false;
}

bool MayVary(Oid function, void*) {
  return function >= FirstNormalObjectId || func_volatile(function) != PROVOLATILE_IMMUTABLE;
}

// Whether an expression may have another value for another row or at another time. A list of what is known not to.
bool VariesWalker(Node* node, void* context) {
  if (node == nullptr) return false;
  switch (nodeTag(node)) {
    case T_FuncExpr:
      if (IsRequestSetting(reinterpret_cast<FuncExpr*>(node))) return false;
      break;
    case T_List:
    case T_Const:
    case T_OpExpr:
    case T_NullIfExpr:
    case T_DistinctExpr:
    case T_ScalarArrayOpExpr:
    case T_BoolExpr:
    case T_RelabelType:
    case T_CoerceViaIO:
    case T_CoalesceExpr:
    case T_CaseExpr:
    case T_CaseWhen:
    case T_CaseTestExpr:
    case T_NullTest:
    case T_BooleanTest:
    case T_ArrayExpr:
      break;
    default:
      return true;
  }
  if (check_functions_in_node(node, MayVary, nullptr)) return true;
  return compat::WalkExpression(node, VariesWalker, context);
}

// A column as it is, or taken for a binary-compatible type.
const Column* ColumnOf(const Table& table, Node* node) {
  while (IsA(node, RelabelType)) node = reinterpret_cast<Node*>(reinterpret_cast<RelabelType*>(node)->arg);
  if (!IsA(node, Param)) return nullptr;
  auto* param = reinterpret_cast<Param*>(node);
  return param->paramkind == PARAM_EXTERN ? &table.columns[param->paramid - 1] : nullptr;
}

bool TakeEquality(const Table& table, const OpExpr* op, Node* column_side, Node* value_side, PolicyDemand* demand) {
  const Column* column = ColumnOf(table, column_side);
  if (column == nullptr) return false;
  Oid left;
  Oid right;
  op_input_types(op->opno, &left, &right);
  if (left != right) return false;
  IndexKey key = FindIndexKey(*column, left, op->opno, op->inputcollid);
  if (!key.valid() || VariesWalker(value_side, nullptr)) return false;
  *demand = {key, reinterpret_cast<Expr*>(value_side)};
  return true;
}

bool TakeConjunct(const Table& table, Node* node, PolicyDemand* demand) {
  if (is_andclause(node)) {
    ListCell* cell;
    foreach (cell, reinterpret_cast<BoolExpr*>(node)->args) {
      if (TakeConjunct(table, static_cast<Node*>(lfirst(cell)), demand)) return true;
    }
    return false;
  }
  if (!IsA(node, OpExpr)) return false;
  auto* op = reinterpret_cast<OpExpr*>(node);
  if (list_length(op->args) != 2) return false;
  auto* left = static_cast<Node*>(linitial(op->args));
  auto* right = static_cast<Node*>(lsecond(op->args));
  return TakeEquality(table, op, left, right, demand) || TakeEquality(table, op, right, left, demand);
}

// Functions like auth.uid() show what they are made of once they have been put in place.
bool PlanConjunct(const Table& table, Node* node, PolicyDemand* demand) {
  if (is_andclause(node)) {
    ListCell* cell;
    foreach (cell, reinterpret_cast<BoolExpr*>(node)->args) {
      if (PlanConjunct(table, static_cast<Node*>(lfirst(cell)), demand)) return true;
    }
    return false;
  }
  if (checkExprHasSubLink(node)) return false;
  Node* planned = ColumnsToParams(static_cast<Node*>(copyObjectImpl(node)));
  return TakeConjunct(table, reinterpret_cast<Node*>(expression_planner(reinterpret_cast<Expr*>(planned))), demand);
}

}  // namespace

PolicyDemand FindPolicyDemand(const Table& table, List* quals) {
  PolicyDemand demand;
  ListCell* cell;
  foreach (cell, quals) {
    if (PlanConjunct(table, static_cast<Node*>(lfirst(cell)), &demand)) break;
  }
  return demand;
}

}  // namespace realtime
