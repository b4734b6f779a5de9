#include "pg/filter_plan.h"

#include "pg/filter_operator.h"
#include "pg/lesser_code.h"
#include "pg/text_encoding.h"

extern "C" {
#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

namespace realtime {
namespace {

enum class Truth : uint8_t { kFalse, kTrue, kUnknown };

Truth ToTruth(bool value) { return value ? Truth::kTrue : Truth::kFalse; }

Truth Not(Truth truth) {
  if (truth == Truth::kUnknown) return truth;
  return truth == Truth::kTrue ? Truth::kFalse : Truth::kTrue;
}

// LIKE cannot be interrupted, and takes up to the product of both lengths: some tenths of a second.
constexpr size_t kMaxLikeWork = 300 * 1000 * 1000;

// Steps per byte: what follows the first % is tried at every place, unless it only says "and anything".
size_t LikeWork(const char* pattern, size_t size) {
  while (size > 0 && pattern[size - 1] == '%') --size;
  for (size_t i = 0; i < size; ++i) {
    if (pattern[i] == '%') return size - i;
    if (pattern[i] == '\\') ++i;
  }
  return 1;
}

// LIKE would say so only for the rows that match up to there.
void CheckLikePattern(const char* pattern, size_t size) {
  size_t escapes = 0;
  while (escapes < size && pattern[size - 1 - escapes] == '\\') ++escapes;
  if (escapes % 2 == 0) return;
  ereport(ERROR, (errcode(ERRCODE_INVALID_ESCAPE_SEQUENCE), errmsg("LIKE pattern must not end with escape character")));
}

void BoundLike(const FilterTest& test, Datum value) {
  if (test.like_work <= 1) return;
  size_t size = toast_raw_datum_size(value) - VARHDRSZ;
  if (size <= kMaxLikeWork / test.like_work) return;
  ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                  errmsg("a LIKE pattern is too long for a value of %zu bytes", size)));
}

Datum ReadValue(const Column& column, Oid type, std::string_view text) {
  if (column.facts.lesser_domain) lesser_code::RefuseDomains(column.name.c_str());
  Oid function = column.input_function;
  Oid param = column.input_param;
  if (type != column.base_type) getTypeInputInfo(type, &function, &param);
  return OidInputFunctionCall(function, ToServerText(text), param, -1);
}

Datum Call(const FilterTest& test, Datum left, Datum right) {
  return FunctionCall2Coll(const_cast<FmgrInfo*>(&test.function), test.collation, left, right);
}

bool OrderHolds(FilterOp op, int order) {
  switch (op) {
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

// As `= ANY (array)`: an empty list is false even for NULL.
Truth In(const FilterTest& test, bool null, Datum value) {
  if (test.count == 0) return Truth::kFalse;
  if (null) return Truth::kUnknown;
  Truth truth = Truth::kFalse;
  for (int i = 0; i < test.count; ++i) {
    if (test.nulls[i]) {
      truth = Truth::kUnknown;
    } else if (DatumGetBool(Call(test, value, test.values[i]))) {
      return Truth::kTrue;
    }
  }
  return truth;
}

Truth Compare(const FilterTest& test, bool null, Datum value) {
  if (test.op == FilterOp::kIn) return In(test, null, value);
  if (test.op == FilterOp::kIsDistinct && null) return Truth::kTrue;
  if (null) return Truth::kUnknown;
  BoundLike(test, value);
  Datum answer = Call(test, value, test.values[0]);
  if (test.three_way) return ToTruth(OrderHolds(test.op, DatumGetInt32(answer)));
  bool inverted = test.op == FilterOp::kNeq || test.op == FilterOp::kIsDistinct;
  return ToTruth(DatumGetBool(answer) != inverted);
}

// SQL: a row is null when every field is, and not null when none is. Fields that are rows count as values.
bool FieldsAre(Datum value, bool null) {
  HeapTupleHeader header = DatumGetHeapTupleHeader(value);
  TupleDesc type = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
  HeapTupleData tuple;
  tuple.t_len = HeapTupleHeaderGetDatumLength(header);
  tuple.t_data = header;
  bool all = true;
  for (int i = 1; all && i <= type->natts; ++i) {
    all = TupleDescAttr(type, i - 1)->attisdropped || heap_attisnull(&tuple, i, type) == null;
  }
  ReleaseTupleDesc(type);
  return all;
}

bool IsHolds(const FilterTest& test, bool null, Datum value) {
  using Keyword = FilterTest::Keyword;
  bool wanted = !test.negated;
  if (test.keyword == Keyword::kNull && test.by_fields && !null) return FieldsAre(value, wanted);
  if (test.keyword == Keyword::kNull || test.keyword == Keyword::kUnknown) return null == wanted;
  bool is = !null && DatumGetBool(value) == (test.keyword == Keyword::kTrue);
  return is == wanted;
}

bool Holds(const FilterTest& test, bool null, Datum value) {
  if (test.op == FilterOp::kIs) return IsHolds(test, null, value);
  Truth truth = Compare(test, null, value);
  return (test.negated ? Not(truth) : truth) == Truth::kTrue;
}

}  // namespace

FilterPlan::~FilterPlan() {
  if (context_) MemoryContextDelete(context_);
}

void FilterPlan::AddIs(const Column& column, const FilterClause& clause, FilterTest* test) {
  using Keyword = FilterTest::Keyword;
  CheckIsKeyword(column, clause);
  bool truth = clause.value == "true" || clause.value == "false";
  if (truth) test->keyword = clause.value == "true" ? Keyword::kTrue : Keyword::kFalse;
  if (!truth) test->keyword = clause.value == "null" ? Keyword::kNull : Keyword::kUnknown;
  test->by_fields = get_typtype(column.base_type) == TYPTYPE_COMPOSITE;
}

void FilterPlan::AddOperator(const Column& column, const FilterClause& clause, FilterTest* test) {
  FilterOperator found = FindFilterOperator(column, clause);
  fmgr_info_cxt(found.function, &test->function, CurrentMemoryContext);
  test->three_way = found.three_way;
  bool list = clause.op == FilterOp::kIn;
  test->count = list ? static_cast<int>(clause.elements.size()) : 1;
  test->values = static_cast<Datum*>(palloc0(sizeof(Datum) * (test->count + 1)));
  test->nulls = static_cast<bool*>(palloc0(sizeof(bool) * (test->count + 1)));
  for (int i = 0; i < test->count; ++i) {
    test->nulls[i] = list && clause.is_null[i];
    if (!test->nulls[i]) test->values[i] = ReadValue(column, found.value_type, list ? clause.elements[i] : clause.value);
  }
  if (IsPattern(clause.op)) AddPattern(column, clause, test);
}

void FilterPlan::AddPattern(const Column& column, const FilterClause& clause, FilterTest* test) {
  has_patterns_ = true;
  if (clause.op == FilterOp::kLike || clause.op == FilterOp::kIlike) {
    struct varlena* pattern = PG_DETOAST_DATUM_PACKED(test->values[0]);
    CheckLikePattern(VARDATA_ANY(pattern), VARSIZE_ANY_EXHDR(pattern));
    bool bounded = get_typlen(column.base_type) != -1;
    test->like_work = bounded ? 1 : LikeWork(VARDATA_ANY(pattern), VARSIZE_ANY_EXHDR(pattern));
  }
  // What the pattern, or the column's collation or type, does not allow is refused now rather than with each change.
  if (!is_new_ || !timer_.MayTry()) return;
  timer_.Start();
  if (clause.op == FilterOp::kMatch || clause.op == FilterOp::kImatch) CheckRegularExpression(column, clause);
  Call(*test, ReadValue(column, column.base_type, ""), test->values[0]);
  timer_.Stop();
}

void FilterPlan::Add(const Column& column, const FilterClause& clause, FilterTest* test) {
  test->attno = column.attno;
  test->op = clause.op;
  test->negated = clause.negated;
  test->collation = column.collation;
  if (clause.op == FilterOp::kIs) {
    AddIs(column, clause, test);
  } else {
    AddOperator(column, clause, test);
  }
  bool built_in = column.base_type < FirstNormalObjectId && test->function.fn_oid < FirstNormalObjectId;
  needs_scope_ = needs_scope_ || !built_in || !column.facts.plain;
}

void FilterPlan::Compile(const Table& table, const TablePrivileges& privileges,
                         const std::vector<FilterClause>& clauses, bool is_new) {
  is_new_ = is_new;
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

const FilterTest* FilterPlan::FindEquality() const {
  for (const FilterTest& test : tests_) {
    if (test.op == FilterOp::kEq && !test.negated) return &test;
  }
  return nullptr;
}

bool FilterPlan::Matches(TableRow* row) {
  if (!has_patterns_) return MatchesAll(row);
  timer_.Start();
  const bool matches = MatchesAll(row);
  timer_.Stop();
  return matches;
}

bool FilterPlan::MatchesAll(TableRow* row) {
  for (last_clause_ = 0; last_clause_ < tests_.size(); ++last_clause_) {
    const FilterTest& test = tests_[last_clause_];
    CHECK_FOR_INTERRUPTS();
    row->Load(test.attno);
    if (!Holds(test, row->is_null(test.attno), row->value(test.attno))) return false;
  }
  return true;
}

}  // namespace realtime
