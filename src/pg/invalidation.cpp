#include "pg/invalidation.h"

#include <unordered_map>
#include <utility>

#include "pg/pg.h"

extern "C" {
#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_auth_members.h"
#include "utils/catcache.h"
#include "utils/inval.h"
#include "utils/syscache.h"
}

namespace realtime::invalidation {
namespace {

// By kind and OID, or the hash that an invalidation carries: the generation of the last change. Grows with what was ever
// looked at; never destroyed, as the process ends by exit().
std::unordered_map<uint64_t, uint64_t>* g_changes = nullptr;
uint64_t g_generation = 1;
uint64_t g_relation_news = 0;
uint64_t g_all_changed = 0;
Dependencies* g_collecting = nullptr;

constexpr int kRelation = -1;  // the other kinds are numbers of system caches

uint64_t Key(int kind, uint32_t id) { return static_cast<uint64_t>(static_cast<uint32_t>(kind)) << 32 | id; }

void OnChange(int kind, uint32_t id) {
  auto found = g_changes->find(Key(kind, id));
  if (found != g_changes->end()) found->second = ++g_generation;
}

// Zero stands for all of them.
void OnRelation(Datum, Oid relation) {
  ++g_relation_news;
  if (!OidIsValid(relation)) g_all_changed = ++g_generation;
  OnChange(kRelation, relation);
}

void OnSyscache(Datum, int cache, uint32 hash) {
  if (hash == 0) g_all_changed = ++g_generation;
  OnChange(cache, hash);
}

// Of whom cannot be told.
void OnMembership(Datum, int, uint32) { g_all_changed = ++g_generation; }

// The owner of this database is a member of pg_database_owner.
void OnDatabase(Datum own_hash, int, uint32 hash) {
  if (hash == 0 || hash == DatumGetUInt32(own_hash)) g_all_changed = ++g_generation;
}

}  // namespace

void Note(uint64_t key) {
  const uint64_t* change = &g_changes->try_emplace(key, 0).first->second;
  if (g_collecting) g_collecting->changes_.insert(change);
}

namespace {

void NoteObject(int cache, Oid oid) { Note(Key(cache, GetSysCacheHashValue1(cache, ObjectIdGetDatum(oid)))); }

}  // namespace

void Register() {
  g_changes = new std::unordered_map<uint64_t, uint64_t>();
  CacheRegisterRelcacheCallback(OnRelation, 0);
  CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, OnMembership, 0);
  const uint32 own_hash = GetSysCacheHashValue1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
  CacheRegisterSyscacheCallback(DATABASEOID, OnDatabase, UInt32GetDatum(own_hash));
  for (int cache : {TYPEOID, PROCOID, NAMESPACEOID, CASTSOURCETARGET, AUTHOID, AUTHNAME}) {
    CacheRegisterSyscacheCallback(cache, OnSyscache, 0);
  }
}

uint64_t Generation() { return g_generation; }

uint64_t RelationNews() { return g_relation_news; }

void Dependencies::Restart() {
  changes_.clear();
  checked_ = g_generation;
}

bool Dependencies::Stale() {
  if (checked_ == g_generation) return false;
  if (g_all_changed > checked_) return true;
  for (const uint64_t* change : changes_) {
    if (*change > checked_) return true;
  }
  checked_ = g_generation;
  return false;
}

Collecting::Collecting(Dependencies* dependencies) : outer_(std::exchange(g_collecting, dependencies)) {}
Collecting::~Collecting() { g_collecting = outer_; }

void Track(uint32_t relation_oid) { Note(Key(kRelation, relation_oid)); }
void TrackType(uint32_t type_oid) {
  if (type_oid >= FirstNormalObjectId) NoteObject(TYPEOID, type_oid);  // nobody can change the others
}

void TrackFunction(uint32_t function_oid) { NoteObject(PROCOID, function_oid); }
void TrackSchema(uint32_t schema_oid) { NoteObject(NAMESPACEOID, schema_oid); }

void TrackCast(uint32_t source_oid, uint32_t target_oid) {
  const uint32_t hash = GetSysCacheHashValue2(CASTSOURCETARGET, ObjectIdGetDatum(source_oid), ObjectIdGetDatum(target_oid));
  Note(Key(CASTSOURCETARGET, hash));
}

void TrackRoleName(const char* name) { Note(Key(AUTHNAME, GetSysCacheHashValue1(AUTHNAME, CStringGetDatum(name)))); }

void TrackRole(uint32_t role_oid) {
  NoteObject(AUTHOID, role_oid);
  CatCList* memberships = SearchSysCacheList1(AUTHMEMMEMROLE, ObjectIdGetDatum(role_oid));
  for (int i = 0; i < memberships->n_members; ++i) {
    TrackRole(reinterpret_cast<Form_pg_auth_members>(GETSTRUCT(&memberships->members[i]->tuple))->roleid);
  }
  ReleaseSysCacheList(memberships);
}

}  // namespace realtime::invalidation
