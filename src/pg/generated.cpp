#include "pg/generated.h"

#include "pg/policy_quals.h"
#include "pg/text_encoding.h"

extern "C" {
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/rel.h"
#include "utils/relcache.h"
}

namespace realtime {
namespace {

Node* ExpressionOf(const Table& table, AttrNumber attno) {
  Relation rel = RelationIdGetRelation(table.oid);
  if (!RelationIsValid(rel)) elog(ERROR, "table %u is gone", table.oid);
  Node* expression = build_column_default(rel, attno);
  RelationClose(rel);
  return expression;
}

// False when the row lacks an input.
bool LoadInputs(Node* expression, TableRow* row) {
  QualFacts facts = {};
  InspectQuals(expression, &facts);
  int attno = -1;
  while ((attno = bms_next_member(facts.columns, attno)) >= 0) {
    if (!row->Has(static_cast<AttrNumber>(attno))) return false;
    row->Load(static_cast<AttrNumber>(attno));
  }
  return !facts.needs_table;
}

void Compute(const Column& column, TableRow* row, EState* estate, ExprContext* context,
             MemoryContext memory) {
  Node* expression = ExpressionOf(row->table(), column.attno);
  if (expression == nullptr || !LoadInputs(expression, row)) return;
  ExprState* state = ExecPrepareExpr(reinterpret_cast<Expr*>(ColumnsToParams(expression)), estate);
  bool is_null = false;
  Datum value = ExecEvalExprSwitchContext(state, context, &is_null);
  if (is_null) {
    *row->cell(column.attno) = {Cell::Kind::kNull, {}};
    return;
  }
  char* text = MemoryContextStrdup(memory, ToUtf8(OidOutputFunctionCall(column.output_function, value)));
  *row->cell(column.attno) = {Cell::Kind::kText, {text, strlen(text)}};
}

}  // namespace

void ComputeGenerated(TableRow* row, Batch* batch) {
  const Table& table = row->table();
  batch->scope()->Ensure(table.owner, table.owner_name.c_str(), nullptr, false);
  MemoryContext caller = MemoryContextSwitchTo(batch->row_context());
  EState* estate = CreateExecutorState();
  ExprContext* context = CreateExprContext(estate);
  context->ecxt_param_list_info = row->params();
  for (const Column& column : table.columns) {
    if (!column.dropped && column.generated && !row->Has(column.attno)) {
      Compute(column, row, estate, context, batch->text_context());
    }
  }
  FreeExecutorState(estate);
  MemoryContextSwitchTo(caller);
  batch->NoteUserCode();
  batch->scope()->Leave();
}

}  // namespace realtime
