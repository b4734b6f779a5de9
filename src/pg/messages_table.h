// Where stored messages are: realtime.messages, of the extension's SQL. Database thread only, inside a transaction; may raise.
#ifndef REALTIME_PG_MESSAGES_TABLE_H_
#define REALTIME_PG_MESSAGES_TABLE_H_

#include <string>

#include "core/json.h"
#include "pg/pg.h"

extern "C" {
#include "catalog/namespace.h"
#include "utils/lsyscache.h"
}

namespace realtime {

// Invalid when the extension's SQL is older than the table.
inline Oid FindMessagesTable() {
  Oid schema = get_namespace_oid("realtime", true);
  return OidIsValid(schema) ? get_relname_relid("messages", schema) : InvalidOid;
}

inline constexpr char kMessagesTableHint[] = "Run ALTER EXTENSION realtime UPDATE in the database that is served.";

// What a text column can hold. The backend would read a NUL as the end, and so take one topic for another.
inline bool IsStorableText(const std::string& text) {
  return text.find('\0') == std::string::npos && json::IsValidUtf8(text);
}

}  // namespace realtime

#endif  // REALTIME_PG_MESSAGES_TABLE_H_
