// SQL functions written in C++.
#include "core/version.h"
#include "pg/pg.h"

extern "C" {

PG_FUNCTION_INFO_V1(realtime_version);

// The version of the loaded library, which may be newer than the extension's SQL (realtime.version() in the script).
PGDLLEXPORT Datum realtime_version(PG_FUNCTION_ARGS) {
  (void)fcinfo;
  PG_RETURN_TEXT_P(cstring_to_text(realtime::kVersion));
}

}  // extern "C"
