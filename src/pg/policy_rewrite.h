// What the rewriter makes of a table's policies for the current user. Backend trees in the current memory context; may raise.
#ifndef REALTIME_PG_POLICY_REWRITE_H_
#define REALTIME_PG_POLICY_REWRITE_H_

#include <cstdint>

#include "pg/catalog.h"
#include "pg/pg.h"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace realtime {

enum class PolicyAction : uint8_t {
  kSelect,  // USING of the policies for SELECT: may the row be read?
  kInsert,  // WITH CHECK of the policies for INSERT: may the row be written?
};

// `quals` are to be tested one after the other, and each must be true; NIL: everything is allowed (no row-level security, or
// the user is above it). They refer to the table as range-table entry 1 of `carrier`, a SELECT from it.
struct PolicyQuals {
  Query* carrier;
  List* quals;
};
PolicyQuals RewritePolicies(const Table& table, PolicyAction action);

}  // namespace realtime

#endif  // REALTIME_PG_POLICY_REWRITE_H_
