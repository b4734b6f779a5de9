#include "pg/filter_plan.h"

#include "pg/text_encoding.h"

extern "C" {
#include "access/transam.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

namespace realtime {
namespace {

bool ByEquality(FilterOp op) { return op == FilterOp::kEq || op == FilterOp::kNeq || op == FilterOp::kIn; }

const char* SqlOperator(FilterOp op) {
  switch (op) {
    case FilterOp::kNeq:
      return "<>";
    case FilterOp::kLt:
      return "<";
    case FilterOp::kLte:
      return "<=";
    case FilterOp::kGt:
      return ">";
    case FilterOp::kGte:
      return ">=";
    default:
      return "=";
  }
}

void LookUpFunction(const Column& column, FilterOp op, FmgrInfo* function) {
  bool equality = ByEquality(op);
  TypeCacheEntry* type = lookup_type_cache(column.base_type, equality ? TYPECACHE_EQ_OPR : TYPECACHE_CMP_PROC);
  Oid oid = equality ? (OidIsValid(type->eq_opr) ? get_opcode(type->eq_opr) : InvalidOid) : type->cmp_proc;
  if (!OidIsValid(oid)) {
    const char* name = format_type_be(column.type);
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
                    errmsg("operator does not exist: %s %s %s", name, SqlOperator(op), name)));
  }
  fmgr_info_cxt(oid, function, CurrentMemoryContext);
}

Datum ReadValue(const Column& column, const std::string& text) {
  return OidInputFunctionCall(column.input_function, ToServerText(text), column.input_param, -1);
}

bool Holds(const FilterTest& test, Datum value) {
  auto* function = const_cast<FmgrInfo*>(&test.function);
  if (ByEquality(test.op)) {
    for (int i = 0; i < test.count; ++i) {
      if (test.nulls[i]) continue;
      bool equal = DatumGetBool(FunctionCall2Coll(function, test.collation, value, test.values[i]));
      if (test.op == FilterOp::kNeq) return !equal;
      if (equal) return true;
    }
    return false;
  }
  int order = DatumGetInt32(FunctionCall2Coll(function, test.collation, value, test.values[0]));
  switch (test.op) {
    case FilterOp::kLt:
      return order < 0;
    case FilterOp::kLte:
      return order <= 0;
    case FilterOp::kGt:
      return order > 0;
    default:
      return order >= 0;
  }
}

}  // namespace

FilterPlan::~FilterPlan() {
  if (context_) MemoryContextDelete(context_);
}

void FilterPlan::Add(const Column& column, const FilterClause& clause, FilterTest* test) {
  test->attno = column.attno;
  test->op = clause.op;
  test->collation = column.collation;
  LookUpFunction(column, clause.op, &test->function);
  bool list = clause.op == FilterOp::kIn;
  test->count = list ? static_cast<int>(clause.elements.size()) : 1;
  test->values = static_cast<Datum*>(palloc0(sizeof(Datum) * (test->count + 1)));
  test->nulls = static_cast<bool*>(palloc0(sizeof(bool) * (test->count + 1)));
  for (int i = 0; i < test->count; ++i) {
    test->nulls[i] = list && clause.is_null[i];
    if (!test->nulls[i]) test->values[i] = ReadValue(column, list ? clause.elements[i] : clause.value);
  }
  bool built_in = column.base_type < FirstNormalObjectId && test->function.fn_oid < FirstNormalObjectId;
  needs_scope_ = needs_scope_ || !built_in || !column.facts.plain;
}

void FilterPlan::Compile(const Table& table, const TablePrivileges& privileges,
                         const std::vector<FilterClause>& clauses) {
  context_ = AllocSetContextCreate(TopMemoryContext, "realtime filter", ALLOCSET_SMALL_SIZES);
  MemoryContext caller = MemoryContextSwitchTo(context_);
  tests_.resize(clauses.size());
  for (size_t i = 0; i < clauses.size(); ++i) {
    const Column* column = table.Find(clauses[i].column);
    if (column == nullptr || !privileges.columns[column->attno - 1]) {
      ereport(ERROR, (errcode(ERRCODE_RAISE_EXCEPTION),
                      errmsg("invalid column for filter %s", clauses[i].column.c_str())));
    }
    Add(*column, clauses[i], &tests_[i]);
    columns_.push_back(column->attno);
  }
  MemoryContextSwitchTo(caller);
}

bool FilterPlan::Matches(TableRow* row) const {
  for (const FilterTest& test : tests_) {
    row->Load(test.attno);
    if (row->is_null(test.attno) || !Holds(test, row->value(test.attno))) return false;
  }
  return true;
}

}  // namespace realtime
