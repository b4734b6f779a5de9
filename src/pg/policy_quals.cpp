#include "pg/policy_quals.h"

#include "pg/invalidation.h"

extern "C" {
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
}

namespace realtime {
namespace {

constexpr int kTableIndex = 1;

struct Inspection {
  QualFacts* facts;
  int depth;  // how many queries deep: columns of the table have this varlevelsup
};

bool InspectWalker(Node* node, void* raw) {
  auto* inspection = static_cast<Inspection*>(raw);
  if (node == nullptr) return false;
  if (IsA(node, Var)) {
    auto* var = reinterpret_cast<Var*>(node);
    if (static_cast<int>(var->varlevelsup) != inspection->depth || var->varno != kTableIndex) return false;
    if (var->varattno <= 0) {
      inspection->facts->needs_table = true;
    } else {
      inspection->facts->columns = bms_add_member(inspection->facts->columns, var->varattno);
    }
    return false;
  }
  if (IsA(node, Query)) {
    ++inspection->depth;
    bool result = compat::WalkQuery(reinterpret_cast<Query*>(node), InspectWalker, raw);
    --inspection->depth;
    return result;
  }
  return compat::WalkExpression(node, InspectWalker, raw);
}

// SELECT expression, and nothing else.
bool IsBareSelect(const Query* query) {
  return query->commandType == CMD_SELECT && query->rtable == NIL && query->jointree->fromlist == NIL &&
         query->jointree->quals == nullptr && list_length(query->targetList) == 1 && query->setOperations == nullptr &&
         query->cteList == NIL && query->groupClause == NIL && query->groupingSets == NIL &&
         query->havingQual == nullptr && query->windowClause == NIL && query->distinctClause == NIL &&
         query->sortClause == NIL && query->limitCount == nullptr && query->limitOffset == nullptr &&
         !query->hasAggs && !query->hasWindowFuncs && !query->hasTargetSRFs && !query->hasSubLinks;
}

Node* UnwrapMutator(Node* node, void* context) {
  if (node == nullptr) return nullptr;
  if (IsA(node, SubLink)) {
    auto* link = reinterpret_cast<SubLink*>(node);
    if (link->subLinkType == EXPR_SUBLINK && IsA(link->subselect, Query)) {
      auto* query = reinterpret_cast<Query*>(link->subselect);
      if (IsBareSelect(query)) {
        auto* entry = linitial_node(TargetEntry, query->targetList);
        if (!contain_volatile_functions(reinterpret_cast<Node*>(entry->expr))) {
          Node* expression = static_cast<Node*>(copyObjectImpl(entry->expr));
          IncrementVarSublevelsUp(expression, -1, 1);
          return expression;
        }
      }
    }
  }
  if (IsA(node, Query)) return node;
  return compat::MutateExpression(node, UnwrapMutator, context);
}

Node* ParamMutator(Node* node, void* context) {
  if (node == nullptr) return nullptr;
  if (IsA(node, Var)) {
    auto* var = reinterpret_cast<Var*>(node);
    Param* param = makeNode(Param);
    param->paramkind = PARAM_EXTERN;
    param->paramid = var->varattno;
    param->paramtype = var->vartype;
    param->paramtypmod = var->vartypmod;
    param->paramcollid = var->varcollid;
    param->location = -1;
    return reinterpret_cast<Node*>(param);
  }
  return compat::MutateExpression(node, ParamMutator, context);
}

bool NoteFunction(Oid function, void*) {
  invalidation::TrackFunction(function);
  return false;
}

bool TrackWalker(Node* node, void* context) {
  if (node == nullptr) return false;
  if (IsA(node, RangeTblEntry)) {
    auto* entry = reinterpret_cast<RangeTblEntry*>(node);
    if (OidIsValid(entry->relid)) invalidation::Track(entry->relid);
    if (OidIsValid(entry->checkAsUser)) invalidation::TrackRole(entry->checkAsUser);
    return false;  // what is in it follows
  }
  if (IsA(node, Query)) return compat::WalkQueryAndTables(reinterpret_cast<Query*>(node), TrackWalker, context);
  check_functions_in_node(node, NoteFunction, nullptr);
  return compat::WalkExpression(node, TrackWalker, context);
}

}  // namespace

void TrackQuals(Query* carrier, List* quals) {
  TrackWalker(reinterpret_cast<Node*>(carrier), nullptr);
  TrackWalker(reinterpret_cast<Node*>(quals), nullptr);
}

void TrackPlanned(Expr* expression) { TrackWalker(reinterpret_cast<Node*>(expression), nullptr); }

void InspectQuals(Node* condition, QualFacts* facts) {
  Inspection inspection{facts, 0};
  InspectWalker(condition, &inspection);
}

Node* InOrder(List* quals) {
  Node* condition = nullptr;
  for (int i = list_length(quals) - 1; i >= 0; --i) {
    auto* qual = static_cast<Node*>(list_nth(quals, i));
    if (condition == nullptr) {
      condition = qual;
      continue;
    }
    CaseWhen* when = makeNode(CaseWhen);
    when->expr = reinterpret_cast<Expr*>(qual);
    when->result = reinterpret_cast<Expr*>(condition);
    when->location = -1;
    CaseExpr* choice = makeNode(CaseExpr);
    choice->casetype = BOOLOID;
    choice->args = list_make1(when);
    choice->defresult = reinterpret_cast<Expr*>(makeBoolConst(false, false));
    choice->location = -1;
    condition = reinterpret_cast<Node*>(choice);
  }
  return condition;
}

List* UnwrapScalarSelects(List* quals) {
  return reinterpret_cast<List*>(UnwrapMutator(reinterpret_cast<Node*>(quals), nullptr));
}

List* SimplifyQuals(List* quals) {
  List* simple = NIL;
  ListCell* cell;
  foreach (cell, quals) {
    Node* qual = eval_const_expressions(nullptr, static_cast<Node*>(lfirst(cell)));
    simple = lappend(simple, canonicalize_qual(reinterpret_cast<Expr*>(qual), false));
  }
  return simple;
}

Node* ColumnsToParams(Node* condition) { return ParamMutator(condition, nullptr); }

}  // namespace realtime
