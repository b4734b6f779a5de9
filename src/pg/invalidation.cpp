#include "pg/invalidation.h"

#include <unordered_set>

#include "pg/pg.h"

extern "C" {
#include "utils/inval.h"
#include "utils/syscache.h"
}

namespace realtime::invalidation {
namespace {

// The set only grows with the tables that were ever looked at; never destroyed, as the process ends by exit().
std::unordered_set<Oid>* g_tracked = nullptr;
uint64_t g_generation = 1;

void OnRelation(Datum, Oid relation) {
  if (!OidIsValid(relation) || g_tracked->count(relation) != 0) ++g_generation;
}

void OnSyscache(Datum, int, uint32) { ++g_generation; }

}  // namespace

void Register() {
  g_tracked = new std::unordered_set<Oid>();
  CacheRegisterRelcacheCallback(OnRelation, 0);
  for (int cache : {AUTHOID, AUTHMEMROLEMEM, NAMESPACEOID, PROCOID, TYPEOID, OPEROID, CASTSOURCETARGET, CONSTROID}) {
    CacheRegisterSyscacheCallback(cache, OnSyscache, 0);
  }
}

uint64_t Generation() { return g_generation; }

void Track(uint32_t relation_oid) { g_tracked->insert(relation_oid); }

}  // namespace realtime::invalidation
