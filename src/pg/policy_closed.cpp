#include "pg/policy_closed.h"

extern "C" {
#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
}

namespace realtime {
namespace {

// Settings that are the identity's alone: a role scope sets them (role_scope.h), or nobody does.
const char* const kRequestSettings[] = {"request.jwt.claims",     "request.jwt.claim", "request.jwt.claim.sub",
                                        "request.jwt.claim.role", "request.headers",   "realtime.topic",
                                        "role"};

const char* SettingName(const FuncExpr* call) {
  return TextDatumGetCString(linitial_node(Const, call->args)->constvalue);
}

bool IsRequestSetting(const FuncExpr* call) {
  if (call->funcid != F_CURRENT_SETTING_TEXT && call->funcid != F_CURRENT_SETTING_TEXT_BOOL) return false;
  ListCell* cell;
  foreach (cell, call->args) {
    auto* argument = static_cast<Node*>(lfirst(cell));
    if (!IsA(argument, Const) || reinterpret_cast<Const*>(argument)->constisnull) return false;
  }
  const char* name = SettingName(call);
  for (const char* setting : kRequestSettings) {
    if (pg_strcasecmp(name, setting) == 0) return true;
  }
  return false;
}

bool MayVary(Oid function, void*) {
  return function >= FirstNormalObjectId || func_volatile(function) != PROVOLATILE_IMMUTABLE;
}

// Whether an expression may have another value for another row or at another time. A list of what is known not to. With a
// context, columns count as known.
bool VariesWalker(Node* node, void* context) {
  if (node == nullptr) return false;
  switch (nodeTag(node)) {
    case T_FuncExpr:
      if (IsRequestSetting(reinterpret_cast<FuncExpr*>(node))) return false;
      break;
    case T_Param:
      return context == nullptr || reinterpret_cast<Param*>(node)->paramkind != PARAM_EXTERN;
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

bool IsKnownType(Oid type) { return type < FirstNormalObjectId ? type != RECORDOID : type_is_enum(type); }

// Whether the nodes that may hold a row's values have known types. The others are those that VariesWalker lets pass.
bool StrangeTypeWalker(Node* node, void* context) {
  if (node == nullptr) return false;
  if (!IsA(node, List) && !IsA(node, CaseWhen) && !IsKnownType(exprType(node))) return true;
  return compat::WalkExpression(node, StrangeTypeWalker, context);
}

Node* SettingMutator(Node* node, void* context) {
  if (node == nullptr) return nullptr;
  if (!IsA(node, FuncExpr) || !IsRequestSetting(reinterpret_cast<FuncExpr*>(node))) {
    return compat::MutateExpression(node, SettingMutator, context);
  }
  auto* call = reinterpret_cast<FuncExpr*>(node);
  const char* value = GetConfigOptionByName(SettingName(call), nullptr, true);
  bool missing_ok = list_length(call->args) == 2 && DatumGetBool(lsecond_node(Const, call->args)->constvalue);
  // For evaluation to raise.
  if (value == nullptr && !missing_ok) return static_cast<Node*>(copyObjectImpl(node));
  Datum datum = value == nullptr ? 0 : CStringGetTextDatum(value);
  return reinterpret_cast<Node*>(makeConst(TEXTOID, -1, call->funccollid, -1, datum, value == nullptr, false));
}

}  // namespace

bool IsIdentityOnly(Node* expression) { return !VariesWalker(expression, nullptr); }

bool IsClosed(const Table& table, const std::vector<AttrNumber>& columns, Expr* expression) {
  for (AttrNumber attno : columns) {
    if (!IsKnownType(table.columns[attno - 1].type)) return false;
  }
  auto* tree = reinterpret_cast<Node*>(expression);
  bool with_columns = true;
  return !VariesWalker(tree, &with_columns) && !StrangeTypeWalker(tree, nullptr);
}

Expr* WithSettings(Expr* expression) {
  return reinterpret_cast<Expr*>(SettingMutator(reinterpret_cast<Node*>(expression), nullptr));
}

}  // namespace realtime
