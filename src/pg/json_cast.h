// JSON of values whose type has a user-defined cast to json: PostgreSQL's to_json runs the cast, as the table's owner
// (a plain call would run a user's function as superuser). Database thread only, inside a batch.
#ifndef REALTIME_PG_JSON_CAST_H_
#define REALTIME_PG_JSON_CAST_H_

#include <string>
#include <string_view>

#include "pg/batch.h"
#include "pg/catalog.h"

namespace realtime {

// Appends the value's JSON; false, with *out as it was, when the cast raised (logged once a minute; the batch was aborted
// and, if it could be, opened again).
bool AppendBackendJson(const Table& table, const Column& column, std::string_view text, Batch* batch, std::string* out);

}  // namespace realtime

#endif  // REALTIME_PG_JSON_CAST_H_
