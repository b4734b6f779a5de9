// What a policy demands of one column: the conjunct `column = expression` whose expression is the same for every row that
// one identity is judged on. Backend trees in the current memory context; may raise.
#ifndef REALTIME_PG_POLICY_DEMAND_H_
#define REALTIME_PG_POLICY_DEMAND_H_

#include "pg/catalog.h"
#include "pg/pg.h"
#include "pg/predicate_index.h"

extern "C" {
#include "nodes/pg_list.h"
#include "nodes/primnodes.h"
}

namespace realtime {

struct PolicyDemand {
  IndexKey key;           // not valid: there is no such conjunct
  Expr* value = nullptr;  // made of immutable built-in functions, constants and the request's settings
  Oid equality = InvalidOid;  // the function that compares column and value, in either order
};

// `quals` are all demanded, and refer to the table as range-table entry 1. Plans parts of them: inside the role's scope.
PolicyDemand FindPolicyDemand(const Table& table, List* quals);

// The demand that is all that a planned policy says; not valid: it says more, or something else.
PolicyDemand FindOnlyDemand(const Table& table, Expr* planned);

}  // namespace realtime

#endif  // REALTIME_PG_POLICY_DEMAND_H_
