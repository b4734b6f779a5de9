// The stream, clients and C++ strings are UTF-8; the backend wants the database's encoding. May raise where a character has
// no equivalent. In a SQL_ASCII database nothing is converted; what is not UTF-8 is mended where it becomes JSON.
#ifndef REALTIME_PG_TEXT_ENCODING_H_
#define REALTIME_PG_TEXT_ENCODING_H_

#include <string>
#include <string_view>

#include "pg/pg.h"

extern "C" {
#include "mb/pg_wchar.h"
}

namespace realtime {

// The backend's functions would refuse what is not UTF-8 in a SQL_ASCII database.
inline bool DatabaseConverts() { return GetDatabaseEncoding() != PG_UTF8 && GetDatabaseEncoding() != PG_SQL_ASCII; }

// A NUL-terminated copy in the current memory context, in the database's encoding.
inline char* ToServerText(std::string_view utf8) {
  char* copy = pnstrdup(utf8.data(), utf8.size());
  if (!DatabaseConverts()) return copy;
  return pg_any_to_server(copy, static_cast<int>(utf8.size()), PG_UTF8);
}

// UTF-8, in place or a new palloc'd string.
inline char* ToUtf8(char* server_text) {
  if (!DatabaseConverts()) return server_text;
  return pg_server_to_any(server_text, static_cast<int>(strlen(server_text)), PG_UTF8);
}

}  // namespace realtime

#endif  // REALTIME_PG_TEXT_ENCODING_H_
