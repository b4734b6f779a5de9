// Differences between PostgreSQL versions, named for the feature. Included by pg/pg.h only.
#ifndef REALTIME_PG_COMPAT_H_
#define REALTIME_PG_COMPAT_H_

#if PG_VERSION_NUM < 150000
#error "realtime needs PostgreSQL 15 or newer"
#endif

extern "C" {
#include "access/genam.h"
#include "catalog/pg_database.h"
#include "nodes/nodeFuncs.h"
#include "replication/slot.h"
#include "storage/latch.h"
#if PG_VERSION_NUM >= 180000
#include "storage/waiteventset.h"
#endif
#include "utils/acl.h"
#include "utils/backend_status.h"
#include "utils/relcache.h"
#include "utils/resowner.h"
}

namespace realtime::compat {

// 17 ties wait event sets to a resource owner instead of a memory context.
inline WaitEventSet* CreateWaitSet(int events) {
#if PG_VERSION_NUM >= 170000
  return CreateWaitEventSet(nullptr, events);
#else
  return CreateWaitEventSet(TopMemoryContext, events);
#endif
}

// 18 counts a deferrable primary key when asked to; up to 17 it is none.
inline Oid PrimaryKeyIndex(Relation relation) {
#if PG_VERSION_NUM >= 180000
  return RelationGetPrimaryKeyIndex(relation, false);
#else
  return RelationGetPrimaryKeyIndex(relation);
#endif
}

// 18 takes a place to count in.
inline IndexScanDesc BeginIndexScan(Relation table, Relation index, Snapshot snapshot, int keys) {
#if PG_VERSION_NUM >= 180000
  return index_beginscan(table, index, snapshot, nullptr, keys, 0);
#else
  return index_beginscan(table, index, snapshot, keys, 0);
#endif
}

inline bool OwnsDatabase(Oid database, Oid role) {
#if PG_VERSION_NUM >= 160000
  return object_ownercheck(DatabaseRelationId, database, role);
#else
  return pg_database_ownercheck(database, role);
#endif
}

// Of a snapshot of the backends' statuses; counts from one.
inline const LocalPgBackendStatus* BackendStatusAt(int place) {
#if PG_VERSION_NUM >= 160000
  return pgstat_get_local_beentry_by_index(place);
#else
  return pgstat_fetch_stat_local_beentry(place);
#endif
}

// 16 says why. Up to 15 a slot that is still being created has no restart_lsn either, but only its creator can see it so.
inline bool IsInvalidated(const ReplicationSlotPersistentData& slot) {
#if PG_VERSION_NUM >= 160000
  return slot.invalidated != RS_INVAL_NONE;
#else
  return slot.invalidated_at != InvalidXLogRecPtr;
#endif
}

using Walker = bool (*)(Node*, void*);
using Mutator = Node* (*)(Node*, void*);

// Up to 15 the tree walkers take callbacks of unspecified arguments, which C++ reads as "none".
#if PG_VERSION_NUM >= 160000
inline Walker AsWalker(Walker walker) { return walker; }
inline Mutator AsMutator(Mutator mutator) { return mutator; }
#else
inline bool (*AsWalker(Walker walker))() { return reinterpret_cast<bool (*)()>(reinterpret_cast<void*>(walker)); }
inline Node* (*AsMutator(Mutator mutator))() { return reinterpret_cast<Node* (*)()>(reinterpret_cast<void*>(mutator)); }
#endif

inline bool WalkExpression(Node* node, Walker walker, void* context) {
  return expression_tree_walker(node, AsWalker(walker), context);
}
inline bool WalkQuery(Query* query, Walker walker, void* context) {
  return query_tree_walker(query, AsWalker(walker), context, 0);
}
inline bool WalkQueryAndTables(Query* query, Walker walker, void* context) {
  return query_tree_walker(query, AsWalker(walker), context, QTW_EXAMINE_RTES_BEFORE);
}
inline Node* MutateExpression(Node* node, Mutator mutator, void* context) {
  return expression_tree_mutator(node, AsMutator(mutator), context);
}

}  // namespace realtime::compat

#endif  // REALTIME_PG_COMPAT_H_
