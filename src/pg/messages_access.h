// Privileges on realtime.messages. Database thread only, inside a transaction; may raise.
#ifndef REALTIME_PG_MESSAGES_ACCESS_H_
#define REALTIME_PG_MESSAGES_ACCESS_H_

#include "pg/catalog.h"
#include "pg/policy_rewrite.h"
#include "pg/pg.h"

namespace realtime {

// Whether the role may run the statement of the reference's probe that asks for this action.
bool MayProbe(const Table& messages, Oid role, PolicyAction action);

}  // namespace realtime

#endif  // REALTIME_PG_MESSAGES_ACCESS_H_
