#include "pg/policy_rewrite.h"

extern "C" {
#include "parser/analyze.h"
#include "parser/parsetree.h"
#include "tcop/tcopprot.h"
}

namespace realtime {
namespace {

constexpr int kTableIndex = 1;

struct Statement {
  char* sql;
  RawStmt* raw;
};

Statement Parse(const char* format, const Table& table) {
  char* sql = psprintf(format, table.sql_name.c_str());
  return {sql, linitial_node(RawStmt, pg_parse_query(sql))};
}

// The name was read from the catalogs a moment ago; a rename in between makes it another table's.
Query* Checked(Query* query, const Table& table) {
  if (rt_fetch(kTableIndex, query->rtable)->relid != table.oid) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("table %s was renamed", table.sql_name.c_str())));
  }
  return query;
}

// Rules may turn an INSERT into several queries, or none; the table's policies apply to the one that still inserts into it.
Query* FindInsert(List* queries, const Table& table) {
  ListCell* cell;
  foreach (cell, queries) {
    auto* query = lfirst_node(Query, cell);
    if (query->commandType == CMD_INSERT && query->resultRelation == kTableIndex) return Checked(query, table);
  }
  ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                  errmsg("a rule of table %s replaces INSERT", table.sql_name.c_str())));
}

PolicyQuals SelectQuals(const Table& table) {
  Statement select = Parse("SELECT 1 FROM ONLY %s", table);
  List* queries = pg_analyze_and_rewrite_fixedparams(select.raw, select.sql, nullptr, 0, nullptr);
  Query* query = Checked(linitial_node(Query, queries), table);
  return {query, rt_fetch(kTableIndex, query->rtable)->securityQuals};
}

PolicyQuals InsertQuals(const Table& table) {
  // Without RETURNING or ON CONFLICT, which would bring the policies of other commands along.
  Statement insert = Parse("INSERT INTO %s DEFAULT VALUES", table);
  List* queries = pg_analyze_and_rewrite_fixedparams(insert.raw, insert.sql, nullptr, 0, nullptr);
  List* quals = NIL;
  ListCell* cell;
  foreach (cell, FindInsert(queries, table)->withCheckOptions) {
    auto* option = lfirst_node(WithCheckOption, cell);
    if (option->kind == WCO_RLS_INSERT_CHECK) quals = lappend(quals, option->qual);
  }
  // Only analyzed: a policy for SELECT that cannot even be expanded does not concern an INSERT.
  Statement select = Parse("SELECT 1 FROM ONLY %s", table);
  return {Checked(parse_analyze_fixedparams(select.raw, select.sql, nullptr, 0, nullptr), table), quals};
}

}  // namespace

PolicyQuals RewritePolicies(const Table& table, PolicyAction action) {
  return action == PolicyAction::kSelect ? SelectQuals(table) : InsertQuals(table);
}

}  // namespace realtime
