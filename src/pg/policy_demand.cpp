#include "pg/policy_demand.h"

#include "pg/policy_closed.h"
#include "pg/policy_quals.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
}

namespace realtime {
namespace {

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
  if (!key.valid() || !IsIdentityOnly(value_side)) return false;
  *demand = {key, reinterpret_cast<Expr*>(value_side), get_opcode(op->opno)};
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

PolicyDemand FindOnlyDemand(const Table& table, Expr* planned) {
  PolicyDemand demand;
  if (IsA(planned, OpExpr)) TakeConjunct(table, reinterpret_cast<Node*>(planned), &demand);
  return demand;
}

}  // namespace realtime
