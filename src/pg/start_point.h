// Takes the point at which a subscription begins. Database thread only, outside any transaction.
#ifndef REALTIME_PG_START_POINT_H_
#define REALTIME_PG_START_POINT_H_

#include <memory>

#include "pg/registry.h"

namespace realtime {

// Null when it cannot be taken now; logged, once a minute.
std::shared_ptr<const StartPoint> TakeStartPoint();

}  // namespace realtime

#endif  // REALTIME_PG_START_POINT_H_
