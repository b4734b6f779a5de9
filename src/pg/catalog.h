// Tables as they are today: columns, types, keys, privileges. Cached per table, rebuilt when invalidation::Generation()
// has changed. Database thread only, inside a transaction; Load functions may raise and must run inside PgTry with
// nothing on the frame that needs destruction.
#ifndef REALTIME_PG_CATALOG_H_
#define REALTIME_PG_CATALOG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/json.h"
#include "pg/type_shape.h"
#include "pg/pg.h"

namespace realtime {

// Names are UTF-8.
struct Column {
  std::string name;
  std::string json_key;    // "name":
  std::string type_name;   // pg_type.typname: what clients see
  Oid type = InvalidOid;
  Oid base_type = InvalidOid;  // domains resolved
  int32 typmod = -1;
  Oid collation = InvalidOid;
  AttrNumber attno = 0;
  bool dropped = false;
  bool generated = false;      // stored generated: absent from the stream on PostgreSQL 15
  bool in_primary_key = false;
  TypeFacts facts;
  Oid input_function = InvalidOid;   // of the base type: stored values have passed the domain's checks already
  Oid input_param = InvalidOid;
  Oid output_function = InvalidOid;
};

struct Table {
  Oid oid = InvalidOid;
  Oid owner = InvalidOid;
  std::string owner_name;      // in the database's encoding
  std::string schema;
  std::string name;
  std::string sql_name;    // schema and name quoted, in the database's encoding
  bool row_security = false;
  bool has_generated = false;
  std::vector<Column> columns;  // by attno - 1, dropped ones included
  std::vector<AttrNumber> primary_key;

  const Column* Find(const std::string& column_name) const;
};

// Fills *table from the catalogs; false when there is no such table any more. May raise.
bool LoadTable(Oid oid, Table* table);

// What a role may see of a table. May raise.
struct TablePrivileges {
  bool readable = false;           // USAGE on the schema and SELECT on at least one column
  bool key_readable = false;       // ... and on every primary key column
  std::vector<bool> columns;       // by attno - 1
};
void LoadPrivileges(const Table& table, Oid role, TablePrivileges* out);

// Zero: the table has no such column today, or of another type. May raise.
AttrNumber FindAttno(Oid table, const std::string& name, Oid type);

// InvalidOid when there is no such role. Truncates nothing: names over NAMEDATALEN do not exist.
Oid FindRole(const std::string& name);

// The tables of the publication, as relation OIDs with their names, a palloc'd array. May raise. *found is false when
// there is no such publication.
struct PublishedTable {
  Oid oid;
  char* schema;
  char* name;
};
PublishedTable* LoadPublishedTables(const char* publication, int* count, bool* found);

}  // namespace realtime

#endif  // REALTIME_PG_CATALOG_H_
