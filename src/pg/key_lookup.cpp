#include "pg/key_lookup.h"

#include "pg/text_encoding.h"

extern "C" {
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
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

// " FROM ONLY s.t WHERE tableoid = t AND k1 = $1 AND ...", with the operators of the key's types, whatever the search_path
// says. The name may be another table's by now, which then has no such row.
void AppendFromWhere(TableRow* row, StringInfo sql, KeyArguments* key) {
  const Table& table = row->table();
  appendStringInfo(sql, " FROM ONLY %s WHERE tableoid OPERATOR(pg_catalog.=) '%u'::pg_catalog.oid", table.sql_name.c_str(),
                   table.oid);
  key->count = 0;
  for (AttrNumber attno : table.primary_key) {
    const Column& column = table.columns[attno - 1];
    TypeCacheEntry* type = lookup_type_cache(column.base_type, TYPECACHE_EQ_OPR);
    if (!OidIsValid(type->eq_opr)) elog(ERROR, "type of key column \"%s\" has no equality", column.name.c_str());
    appendStringInfoString(sql, " AND ");
    char* parameter = psprintf("$%d", key->count + 1);
    generate_operator_clause(sql, quote_identifier(get_attname(table.oid, attno, false)), column.type, type->eq_opr, parameter,
                             column.base_type);
    row->Load(attno);
    key->types[key->count] = column.base_type;
    key->values[key->count] = row->value(attno);
    ++key->count;
  }
}

bool Execute(StringInfo sql, KeyArguments* key) {
  int result = SPI_execute_with_args(sql->data, key->count, key->types, key->values, nullptr, true, 1);
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
  bool found = Execute(&sql, &key);
  SPI_finish();
  row->ForgetLoaded();
  return found;
}

}  // namespace realtime
