#include "worker/health.h"

#include <string>

#include "core/version.h"
#include "pg/guard.h"
#include "pg/settings.h"

#include "pg/pg.h"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_extension.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
}

namespace realtime {

namespace {

constexpr int64_t kLookMs = 900;  // CREATE and DROP EXTENSION are noticed within a second
constexpr size_t kVersionSize = 64;
constexpr int kQuietLooks = 5;  // a catalog is locked for a moment now and then

// Empty when there is no extension of ours.
void ReadVersion(char* version) {
  Relation relation = table_open(ExtensionRelationId, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum("realtime"));
  SysScanDesc scan = systable_beginscan(relation, ExtensionNameIndexId, true, nullptr, 1, &key);
  HeapTuple tuple = systable_getnext(scan);
  if (HeapTupleIsValid(tuple)) {
    bool is_null = false;
    Datum value = heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(relation), &is_null);
    strlcpy(version, is_null ? "unknown" : TextDatumGetCString(value), kVersionSize);
  }
  systable_endscan(scan);
  table_close(relation, AccessShareLock);
}

}  // namespace

void Health::LookForExtension(int64_t now_ms) {
  next_look_ms_ = now_ms + kLookMs;
  char version[kVersionSize] = "";
  PgError error;
  if (!InTransaction([&] { ReadVersion(version); }, &error)) {
    if (++failed_looks_ >= kQuietLooks) {
      unreadable_.Set("could not look for extension realtime, and goes on as before: " + error.Text(),
                      error.Is(kLockNotAvailable) ? "Somebody has locked a catalog: look into pg_locks." : "");
    }
    return;
  }
  failed_looks_ = 0;
  unreadable_.Clear("extension realtime can be looked for again");
  exists_ = version[0] != '\0';
  if (!exists_) {
    version_.Clear();
    missing_.Set(std::string("extension realtime does not exist in database \"") + guc::Database() +
                     "\", so nothing is served",
                 "Run CREATE EXTENSION realtime there.", LogLevel::kInfo);
    return;
  }
  missing_.Clear(std::string("extension realtime exists in database \"") + guc::Database() + "\"");
  if (std::string(version) == kVersion) return version_.Clear("extension realtime has the library's version");
  version_.Set(std::string("extension realtime has version ") + version + ", its library version " + kVersion,
               "Run ALTER EXTENSION realtime UPDATE, or restart the server when the library on disk is newer.");
}

void Health::LookAtSettings(const Settings& settings) {
  if (!settings.tokens.empty()) return no_key_.Clear("clients' tokens can be checked");
  no_key_.Set("JwtSignerError: no key for clients' tokens is set, so every connection is refused",
              "Set realtime.jwt_secret, realtime.jwt_secret_file or realtime.jwks and reload, for example: "
              "ALTER SYSTEM SET realtime.jwt_secret = '...'; SELECT pg_reload_conf();");
}

}  // namespace realtime
