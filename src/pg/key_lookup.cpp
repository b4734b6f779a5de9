#include "pg/key_lookup.h"

#include "pg/text_encoding.h"

extern "C" {
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/ruleutils.h"
#include "utils/typcache.h"
}

namespace realtime {
namespace {

// The key's columns as arguments $1, $2, ... of a statement.
struct KeyArguments {
  int count;
  Oid types[INDEX_MAX_KEYS];
  Datum values[INDEX_MAX_KEYS];
};

// " FROM ONLY s.t WHERE k1 = $1 AND ...", with the operators of the key's types, whatever the search_path says. Of the
// table's columns it names the key's alone: the role may have no right to SELECT others, tableoid included.
void AppendFromWhere(TableRow* row, StringInfo sql, KeyArguments* key) {
  const Table& table = row->table();
  bool partitioned = get_rel_relkind(table.oid) == RELKIND_PARTITIONED_TABLE;  // its rows are its partitions'
  appendStringInfo(sql, " FROM %s%s WHERE ", partitioned ? "" : "ONLY ", table.sql_name.c_str());
  key->count = 0;
  for (AttrNumber attno : table.primary_key) {
    const Column& column = table.columns[attno - 1];
    TypeCacheEntry* type = lookup_type_cache(column.base_type, TYPECACHE_EQ_OPR);
    if (!OidIsValid(type->eq_opr)) elog(ERROR, "type of key column \"%s\" has no equality", column.name.c_str());
    if (key->count > 0) appendStringInfoString(sql, " AND ");
    char* parameter = psprintf("$%d", key->count + 1);
    generate_operator_clause(sql, quote_identifier(get_attname(table.oid, attno, false)), column.type, type->eq_opr, parameter,
                             column.base_type);
    row->Load(attno);
    key->types[key->count] = column.base_type;
    key->values[key->count] = row->value(attno);
    ++key->count;
  }
}

// The name may be another table's by now. Parsing has locked the one that it found.
bool Reads(SPIPlanPtr plan, Oid table) {
  auto* source = static_cast<CachedPlanSource*>(linitial(SPI_plan_get_plan_sources(plan)));
  return rt_fetch(1, linitial_node(Query, source->query_list)->rtable)->relid == table;
}

bool Execute(StringInfo sql, KeyArguments* key, Oid table) {
  SPIPlanPtr plan = SPI_prepare(sql->data, key->count, key->types);
  if (plan == nullptr) elog(ERROR, "key look-up failed: %s", SPI_result_code_string(SPI_result));
  if (!Reads(plan, table)) return false;
  int result = SPI_execute_plan(plan, key->values, nullptr, true, 1);
  if (result != SPI_OK_SELECT) elog(ERROR, "key look-up failed: %s", SPI_result_code_string(result));
  return SPI_processed == 1;
}

}  // namespace

bool HasKey(const TableRow& row) {
  if (row.table().primary_key.empty()) return false;
  for (AttrNumber attno : row.table().primary_key) {
    if (row.cell(attno).kind != Cell::Kind::kText) return false;
  }
  return true;
}

bool VisibleByKey(TableRow* row) {
  if (!HasKey(*row)) return false;
  KeyArguments key;
  SPI_connect();
  StringInfoData sql;
  initStringInfo(&sql);
  appendStringInfoString(&sql, "SELECT 1");
  AppendFromWhere(row, &sql, &key);
  bool found = Execute(&sql, &key, row->table().oid);
  SPI_finish();
  row->ForgetLoaded();
  return found;
}

}  // namespace realtime
