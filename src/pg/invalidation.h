// When cached knowledge of the catalogs is stale.
//
// Plans and lookups that we make by hand get no invalidation from the plan cache, so these callbacks stand in for it.
// One counter covers everything: DDL is rare, rebuilding is cheap, and a stale answer would show a row to somebody who may
// not see it. Events of relations and types count only for those somebody tracks, because vacuum and temporary tables
// cause many.
// Database thread only.
#ifndef REALTIME_PG_INVALIDATION_H_
#define REALTIME_PG_INVALIDATION_H_

#include <cstdint>

namespace realtime::invalidation {

// Once, at worker start.
void Register();

// Changes whenever something cached may be stale. Compare for equality; accept invalidation messages first.
uint64_t Generation();

// The relation's invalidations count from now on.
void Track(uint32_t relation_oid);
// Likewise for a type.
void TrackType(uint32_t type_oid);

}  // namespace realtime::invalidation

#endif  // REALTIME_PG_INVALIDATION_H_
