#include "pg/invalidation.h"

#include <unordered_set>

#include "pg/pg.h"

extern "C" {
#include "access/transam.h"
#include "utils/inval.h"
#include "utils/syscache.h"
}

namespace realtime::invalidation {
namespace {

// The sets only grow with the tables and types that were ever looked at; never destroyed, as the process ends by exit().
std::unordered_set<Oid>* g_tracked = nullptr;
std::unordered_set<uint32>* g_tracked_types = nullptr;  // by the hash that an invalidation carries
uint64_t g_generation = 1;

void OnRelation(Datum, Oid relation) {
  if (!OidIsValid(relation) || g_tracked->count(relation) != 0) ++g_generation;
}

// Zero stands for all of them.
void OnType(Datum, int, uint32 hash) {
  if (hash == 0 || g_tracked_types->count(hash) != 0) ++g_generation;
}

void OnSyscache(Datum, int, uint32) { ++g_generation; }

}  // namespace

void Register() {
  g_tracked = new std::unordered_set<Oid>();
  g_tracked_types = new std::unordered_set<uint32>();
  CacheRegisterRelcacheCallback(OnRelation, 0);
  for (int cache : {AUTHOID, AUTHMEMROLEMEM, NAMESPACEOID, PROCOID, OPEROID, CASTSOURCETARGET}) {
    CacheRegisterSyscacheCallback(cache, OnSyscache, 0);
  }
  CacheRegisterSyscacheCallback(TYPEOID, OnType, 0);
}

uint64_t Generation() { return g_generation; }

void Track(uint32_t relation_oid) { g_tracked->insert(relation_oid); }

void TrackType(uint32_t type_oid) {
  if (type_oid < FirstNormalObjectId) return;  // nobody can change these
  g_tracked_types->insert(GetSysCacheHashValue1(TYPEOID, ObjectIdGetDatum(type_oid)));
}

}  // namespace realtime::invalidation
