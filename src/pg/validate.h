// Whether a subscription can be served, asked of the catalogs. Database thread only, outside any transaction.
#ifndef REALTIME_PG_VALIDATE_H_
#define REALTIME_PG_VALIDATE_H_

#include <optional>

#include "core/door.h"

namespace realtime {

// Nothing when it can. kRefused (the join is denied) when the role does not exist or may not SELECT from a named table, or
// from any table that a wildcard covers; kFailed with the reference's text when a table is not published, or a
// filter or selected column does not fit. The first binding that cannot be served decides. Nothing too, with *locked, when
// somebody has locked what must be read: it cannot be told now.
std::optional<SubscribeResult> ValidateSubscription(const Subscribe& request, bool* locked);

}  // namespace realtime

#endif  // REALTIME_PG_VALIDATE_H_
