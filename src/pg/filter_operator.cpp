#include "pg/filter_operator.h"

#include "pg/text_encoding.h"

extern "C" {
#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "parser/parse_coerce.h"
#include "regex/regex.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
}

namespace realtime {
namespace {

constexpr int kRegexMessageSize = 100;  // as PostgreSQL's own

bool ByEquality(FilterOp op) {
  return op == FilterOp::kEq || op == FilterOp::kNeq || op == FilterOp::kIn || op == FilterOp::kIsDistinct;
}

// neq and isdistinct are the negation of equality.
const char* SqlOperator(FilterOp op) {
  switch (op) {
    case FilterOp::kLt:
      return "<";
    case FilterOp::kLte:
      return "<=";
    case FilterOp::kGt:
      return ">";
    case FilterOp::kGte:
      return ">=";
    case FilterOp::kLike:
      return "~~";
    case FilterOp::kIlike:
      return "~~*";
    case FilterOp::kMatch:
      return "~";
    case FilterOp::kImatch:
      return "~*";
    default:
      return "=";
  }
}

// The function of a boolean operator, InvalidOid when there is none.
Oid FunctionOf(const char* name, Oid left, Oid right, Oid schema) {
  HeapTuple tuple = SearchSysCache4(OPERNAMENSP, CStringGetDatum(name), ObjectIdGetDatum(left), ObjectIdGetDatum(right),
                                    ObjectIdGetDatum(schema));
  if (!HeapTupleIsValid(tuple)) return InvalidOid;
  auto* row = reinterpret_cast<Form_pg_operator>(GETSTRUCT(tuple));
  Oid function = row->oprresult == BOOLOID ? row->oprcode : InvalidOid;
  ReleaseSysCache(tuple);
  return function;
}

Oid SchemaOf(Oid type) {
  HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
  if (!HeapTupleIsValid(tuple)) return InvalidOid;
  Oid schema = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple))->typnamespace;
  ReleaseSysCache(tuple);
  return schema;
}

// Category S is what makes a type text: only superusers can define such types, and so no one else's operator named ~~
// or ~ is taken for a pattern (for polygons, ~ means something else). bytea has LIKE without being text.
bool IsText(Oid type, FilterOp op) {
  char category;
  bool preferred;
  get_type_category_preferred(type, &category, &preferred);
  return category == TYPCATEGORY_STRING || (type == BYTEAOID && op == FilterOp::kLike);
}

bool FindPattern(Oid type, FilterOp op, FilterOperator* found) {
  if (!IsText(type, op)) return false;
  const char* name = SqlOperator(op);
  const Oid schemas[] = {PG_CATALOG_NAMESPACE, SchemaOf(type)};
  const Oid lefts[] = {type, IsBinaryCoercible(type, TEXTOID) ? TEXTOID : type};  // varchar works as text
  for (Oid left : lefts) {
    for (Oid right : {left, static_cast<Oid>(TEXTOID)}) {
      for (Oid schema : schemas) {
        found->function = FunctionOf(name, left, right, schema);
        found->value_type = right == left ? type : right;
        if (OidIsValid(found->function)) return true;
      }
    }
  }
  return false;
}

// Through the type's default operator class; geometric types have operators without one.
bool FindComparison(Oid type, FilterOp op, FilterOperator* found) {
  bool equality = ByEquality(op);
  TypeCacheEntry* entry = lookup_type_cache(type, equality ? TYPECACHE_EQ_OPR : TYPECACHE_CMP_PROC);
  found->value_type = type;
  found->three_way = !equality;
  found->function = equality ? (OidIsValid(entry->eq_opr) ? get_opcode(entry->eq_opr) : InvalidOid) : entry->cmp_proc;
  if (OidIsValid(found->function)) return true;
  found->three_way = false;
  found->function = FunctionOf(SqlOperator(op), type, type, PG_CATALOG_NAMESPACE);
  return OidIsValid(found->function);
}

}  // namespace

bool IsPattern(FilterOp op) {
  return op == FilterOp::kLike || op == FilterOp::kIlike || op == FilterOp::kMatch || op == FilterOp::kImatch;
}

FilterOperator FindFilterOperator(const Column& column, const FilterClause& clause) {
  FilterOperator found;
  if (IsPattern(clause.op)) {
    if (FindPattern(column.base_type, clause.op, &found)) return found;
    ereport(ERROR,
            (errcode(ERRCODE_RAISE_EXCEPTION), errmsg("operator %s requires a text-compatible column type, got %s",
                                                      FilterOpName(clause.op).data(), format_type_be(column.type))));
  }
  if (!FindComparison(column.base_type, clause.op, &found)) {
    const char* type = format_type_be(column.type);
    const char* name = clause.op == FilterOp::kNeq ? "<>" : SqlOperator(clause.op);
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_FUNCTION), errmsg("operator does not exist: %s %s %s", type, name, type)));
  }
  return found;
}

// Compiled here without the function of `~`: that would raise its own text, and what it caches would push out others'.
void CheckRegularExpression(const Column& column, const FilterClause& clause) {
  const char* text = ToServerText(clause.value);
  int bytes = static_cast<int>(strlen(text));
  auto* pattern = static_cast<pg_wchar*>(palloc((bytes + 1) * sizeof(pg_wchar)));
  int length = pg_mb2wchar_with_len(text, pattern, bytes);
  int flags = clause.op == FilterOp::kImatch ? REG_ADVANCED | REG_ICASE : REG_ADVANCED;
  regex_t regex;
  int result = pg_regcomp(&regex, pattern, length, flags, column.collation);
  pfree(pattern);
  if (result == REG_OKAY) {
    pg_regfree(&regex);
    return;
  }
  CHECK_FOR_INTERRUPTS();  // a cancelled compilation is not an invalid expression
  char reason[kRegexMessageSize];
  pg_regerror(result, &regex, reason, sizeof(reason));
  ereport(ERROR, (errcode(ERRCODE_RAISE_EXCEPTION),
                  errmsg("invalid regular expression for %s filter: invalid regular expression: %s",
                         FilterOpName(clause.op).data(), reason)));
}

void CheckIsKeyword(const Column& column, const FilterClause& clause) {
  const std::string& value = clause.value;
  if (value == "null") return;
  if (value != "true" && value != "false" && value != "unknown") {
    ereport(ERROR, (errcode(ERRCODE_RAISE_EXCEPTION),
                    errmsg("invalid value for is filter: must be null, true, false, or unknown")));
  }
  if (column.base_type == BOOLOID) return;
  ereport(ERROR, (errcode(ERRCODE_RAISE_EXCEPTION), errmsg("is %s filter requires a boolean column, got %s",
                                                           value.c_str(), format_type_be(column.type))));
}

}  // namespace realtime
