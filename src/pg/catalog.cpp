#include "pg/catalog.h"

#include "pg/invalidation.h"
#include "pg/text_encoding.h"

extern "C" {
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_type.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"
}

namespace realtime {

const Column* Table::Find(const std::string& column_name) const {
  for (const Column& column : columns) {
    if (!column.dropped && column.name == column_name) return &column;
  }
  return nullptr;
}

namespace {

constexpr int kMaxNestedParts = 20000;  // of the types of all columns; each takes some hundred bytes

// `out->field = ...` only: no C++ temporary is alive while the backend is called.
void LoadColumn(Form_pg_attribute att, Bitmapset* key, int* nesting_budget, Column* out) {
  out->attno = att->attnum;
  out->dropped = att->attisdropped;
  if (out->dropped) return;
  out->name = ToUtf8(NameStr(att->attname));
  AppendText(out->name, &out->json_key);
  out->json_key += ':';
  out->type = att->atttypid;
  out->typmod = att->atttypmod;
  out->collation = att->attcollation;
  out->generated = att->attgenerated == ATTRIBUTE_GENERATED_STORED;
  out->in_primary_key = bms_is_member(att->attnum, key);
  out->base_type = getBaseType(att->atttypid);

  HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(att->atttypid));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for type %u", att->atttypid);
  out->type_name = ToUtf8(NameStr(reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple))->typname));
  ReleaseSysCache(tuple);

  bool varlena;
  getTypeInputInfo(out->base_type, &out->input_function, &out->input_param);
  getTypeOutputInfo(out->base_type, &out->output_function, &varlena);
  LoadTypeFacts(att->atttypid, nesting_budget, &out->facts);
}

// The primary key's columns, from pg_index: opening the index would wait for whoever has locked it.
Bitmapset* KeyColumns(Relation rel) {
  Bitmapset* key = nullptr;
  HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(compat::PrimaryKeyIndex(rel)));
  if (!HeapTupleIsValid(tuple)) return nullptr;
  auto* index = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
  for (int i = 0; i < index->indnkeyatts; ++i) key = bms_add_member(key, index->indkey.values[i]);
  ReleaseSysCache(tuple);
  return key;
}

void LoadOpenTable(Relation rel, Table* table) {
  Bitmapset* key = KeyColumns(rel);
  table->oid = RelationGetRelid(rel);
  table->owner = rel->rd_rel->relowner;
  invalidation::TrackRole(table->owner);
  invalidation::TrackSchema(RelationGetNamespace(rel));
  table->owner_name = GetUserNameFromId(table->owner, false);
  table->name = ToUtf8(RelationGetRelationName(rel));
  table->row_security = rel->rd_rel->relrowsecurity;
  char* schema = get_namespace_name(RelationGetNamespace(rel));
  table->schema = schema ? ToUtf8(schema) : "";
  table->sql_name = quote_qualified_identifier(schema ? schema : "", RelationGetRelationName(rel));

  TupleDesc desc = RelationGetDescr(rel);
  table->columns.resize(desc->natts);
  int nesting_budget = kMaxNestedParts;
  for (int i = 0; i < desc->natts; ++i) {
    Column* column = &table->columns[i];
    LoadColumn(TupleDescAttr(desc, i), key, &nesting_budget, column);
    if (column->in_primary_key) table->primary_key.push_back(column->attno);
    table->has_generated = table->has_generated || column->generated;
  }
}

}  // namespace

bool LoadTable(Oid oid, Table* table) {
  invalidation::Track(oid);
  // No lock: a relcache entry is enough to read, and a lock would make a long ALTER TABLE of one table stop the feed of
  // all. What may have changed meanwhile arrives as an invalidation, after which everything here is read again.
  HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(oid));
  if (!HeapTupleIsValid(tuple)) return false;
  char kind = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relkind;
  ReleaseSysCache(tuple);
  if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE) return false;
  Relation rel = RelationIdGetRelation(oid);
  if (!RelationIsValid(rel)) return false;
  LoadOpenTable(rel, table);
  RelationClose(rel);
  return true;
}

AttrNumber FindAttno(Oid table, const std::string& name, Oid type) {
  HeapTuple tuple = SearchSysCacheAttName(table, ToServerText(name));
  if (!HeapTupleIsValid(tuple)) return 0;
  auto* attribute = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple));
  const AttrNumber attno = attribute->atttypid == type ? attribute->attnum : 0;
  ReleaseSysCache(tuple);
  return attno;
}

void LoadPrivileges(const Table& table, Oid role, TablePrivileges* out) {
  out->columns.assign(table.columns.size(), false);
  out->readable = false;
  out->key_readable = false;
  bool key_readable = true;
  Oid schema = get_rel_namespace(table.oid);
  if (!OidIsValid(schema) || pg_namespace_aclcheck(schema, role, ACL_USAGE) != ACLCHECK_OK) return;
  bool all = pg_class_aclcheck(table.oid, role, ACL_SELECT) == ACLCHECK_OK;
  for (const Column& column : table.columns) {
    if (column.dropped) continue;
    bool visible = all || pg_attribute_aclcheck(table.oid, column.attno, role, ACL_SELECT) == ACLCHECK_OK;
    out->columns[column.attno - 1] = visible;
    out->readable = out->readable || visible;
    if (column.in_primary_key && !visible) key_readable = false;
  }
  out->key_readable = out->readable && key_readable;
}

Oid FindRole(const std::string& name) {
  if (name.empty() || name.size() >= NAMEDATALEN) return InvalidOid;
  const char* server_name = ToServerText(name);
  invalidation::TrackRoleName(server_name);
  const Oid role = get_role_oid(server_name, true);
  if (OidIsValid(role)) invalidation::TrackRole(role);
  return role;
}

PublishedTable* LoadPublishedTables(const char* publication, int* count, bool* found) {
  *count = 0;
  Publication* pub = GetPublicationByName(publication, true);
  *found = pub != nullptr;
  if (pub == nullptr) return nullptr;
  PublicationPartOpt option = pub->pubviaroot ? PUBLICATION_PART_ROOT : PUBLICATION_PART_LEAF;
  List* oids;
  if (pub->alltables) {
    oids = GetAllTablesPublicationRelations(pub->pubviaroot);
  } else {
    oids = list_concat_unique_oid(GetPublicationRelations(pub->oid, option),
                                  GetAllSchemaPublicationRelations(pub->oid, option));
  }
  auto* tables = static_cast<PublishedTable*>(palloc0(sizeof(PublishedTable) * (list_length(oids) + 1)));
  ListCell* cell;
  foreach (cell, oids) {
    Oid oid = lfirst_oid(cell);
    char* name = get_rel_name(oid);
    char* schema = name ? get_namespace_name(get_rel_namespace(oid)) : nullptr;
    if (schema) tables[(*count)++] = {oid, ToUtf8(schema), ToUtf8(name)};
  }
  return tables;
}

}  // namespace realtime
