// When cached knowledge of the catalogs is stale.
//
// Plans and lookups that we make by hand get no invalidation from the plan cache, so these callbacks stand in for it: a stale
// answer would show a row to somebody who may not see it. What is looked at is noted (Track), for whoever collects it
// (Dependencies). Only that counts: rebuilding takes time for each of its subscribers, and anybody can change definitions of
// his own as often as he likes, temporary ones too.
// Database thread only.
#ifndef REALTIME_PG_INVALIDATION_H_
#define REALTIME_PG_INVALIDATION_H_

#include <cstdint>
#include <unordered_set>

namespace realtime::invalidation {

// Once, at worker start.
void Register();

// Changes whenever anything that was ever tracked has changed. Compare for equality; accept invalidation messages first.
uint64_t Generation();

// Changes with what is said of any relation, tracked or not. Taking a lock accepts what its last holder has said.
uint64_t RelationNews();

// What something that is cached was made from.
class Dependencies {
 public:
  // Forgets all: what is made from now on is made from the catalogs of now.
  void Restart();
  // Whether anything of it has changed since. Accept invalidation messages first.
  bool Stale();

 private:
  friend void Note(uint64_t key);
  std::unordered_set<const uint64_t*> changes_;  // when each of them changed last, as a generation
  uint64_t checked_ = 0;
};

// As long as it lives, what is tracked belongs to these dependencies.
class Collecting {
 public:
  explicit Collecting(Dependencies* dependencies);
  ~Collecting();
  Collecting(const Collecting&) = delete;
  Collecting& operator=(const Collecting&) = delete;

 private:
  Dependencies* outer_;
};

void Track(uint32_t relation_oid);
void TrackType(uint32_t type_oid);
void TrackFunction(uint32_t function_oid);
void TrackSchema(uint32_t schema_oid);
// Whether it is there or not.
void TrackCast(uint32_t source_oid, uint32_t target_oid);
// Which role has the name, if any.
void TrackRoleName(const char* name);
// A role and all that it is a member of. May raise.
void TrackRole(uint32_t role_oid);

}  // namespace realtime::invalidation

#endif  // REALTIME_PG_INVALIDATION_H_
