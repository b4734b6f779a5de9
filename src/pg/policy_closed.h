// Expressions that read nothing but their row and the request's settings: made of constants, columns, immutable built-in
// functions, and current_setting() of what a role scope sets. Whoever evaluates them needs no role scope, once the settings
// have been put in. Backend trees in the current memory context; may raise.
#ifndef REALTIME_PG_POLICY_CLOSED_H_
#define REALTIME_PG_POLICY_CLOSED_H_

#include <vector>

#include "pg/catalog.h"
#include "pg/pg.h"

extern "C" {
#include "nodes/primnodes.h"
}

namespace realtime {

// Whether the expression has one value for each identity: no columns. Planned before, as for the other.
bool IsIdentityOnly(Node* expression);

// Whether the expression is closed, as are the conversions of `columns` from text. Types are built in or enums: of others
// nobody knows what comparing them runs.
bool IsClosed(const Table& table, const std::vector<AttrNumber>& columns, Expr* expression);

// A copy with the settings' values of now, in the identity's role scope. Only they are put in: what is made of them may
// raise, and does so at each row that gets there.
Expr* WithSettings(Expr* expression);

}  // namespace realtime

#endif  // REALTIME_PG_POLICY_CLOSED_H_
