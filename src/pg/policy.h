// Row-level security compiled to something that judges a row without reading the table, or inserting into it.
//
// The rewritten query of SELECT ... FROM ONLY table under the role carries the role's policies as security quals of the
// table's range-table entry, that of an INSERT as check options (policy_rewrite.h). They become one boolean expression,
// evaluated in the list's order (CASE, not AND: as one WHERE the planner would reorder them by cost and a guard would no
// longer precede what it guards):
//
//   kExpression  no sub-queries: columns are external parameters, evaluated as a bare expression.
//   kQuery       sub-queries: the table is replaced by a sub-select of the parameters behind OFFSET 0. That fence keeps the
//                references to the row correlated, so only what depends on the identity alone becomes an init plan or a
//                hashed sub-plan: an executor state may judge many rows of one identity under one snapshot, and nothing else.
//   kLookup      system columns or whole-row references: only the table itself can answer, by primary key.
//
// `(select auth.uid())`, the idiom that Supabase teaches, is unwrapped to auth.uid(): as an expression it needs no init
// plan. What user code could have decided while planning (a function wrongly declared IMMUTABLE is folded) binds the plan
// to the identity it was planned for.
// Database thread only.
#ifndef REALTIME_PG_POLICY_H_
#define REALTIME_PG_POLICY_H_

#include <memory>
#include <vector>

#include "pg/catalog.h"
#include "pg/policy_demand.h"
#include "pg/policy_rewrite.h"
#include "pg/pg.h"

extern "C" {
#include "nodes/plannodes.h"
#include "nodes/primnodes.h"
}

namespace realtime {

struct PolicyPlan {
  enum class Kind : uint8_t { kAllow, kDeny, kExpression, kQuery, kLookup };

  PolicyPlan() = default;
  ~PolicyPlan();
  PolicyPlan(const PolicyPlan&) = delete;
  PolicyPlan& operator=(const PolicyPlan&) = delete;

  Kind kind = Kind::kDeny;
  // Volatile or not built-in: may change settings, so each check gets a role scope and an evaluation state of its own.
  bool runs_user_code = false;
  bool identity_bound = false;
  // kExpression of nothing but the row and the request's settings (policy_closed.h).
  bool closed = false;
  std::vector<AttrNumber> columns;  // the row's columns it refers to

  MemoryContext context = nullptr;  // owns the trees below
  PolicyDemand demand;
  // The policy is closed and says nothing but the demand: it shows exactly the rows whose column equals the value.
  bool only_demand = false;
  FmgrInfo equality = {};  // of such a demand
  Expr* expression = nullptr;
  PlannedStmt* statement = nullptr;
};

// Compiles the policies of `table` for the current user, which must be the role (inside its RoleScope). May raise; *plan
// then still owns its memory context. A check that comes out null has failed, for either action.
void CompilePolicy(const Table& table, PolicyAction action, PolicyPlan* plan);

// Counts look-ups of functions that are not built in, since the worker started: a difference over executor start means that
// user code is involved. Of IMMUTABLE ones also separately: a difference over planning means that the plan may contain what
// user code answered. (Others are run while planning for estimates only.) Installed once at worker start.
void InstallFunctionCounter();
struct FunctionCounts {
  uint64_t all;
  uint64_t immutable;
};
const FunctionCounts& FunctionLookups();

}  // namespace realtime

#endif  // REALTIME_PG_POLICY_H_
