// What has happened since the network thread began, for GET /metrics. Network thread only.
#ifndef REALTIME_CORE_TRAFFIC_H_
#define REALTIME_CORE_TRAFFIC_H_

#include "core/pure.h"

#include <cstdint>

namespace realtime {

struct Traffic {
  uint64_t connections = 0;  // accepted
  uint64_t refused = 0;      // handshakes that were not
  uint64_t joins = 0;        // answered with ok
  uint64_t broadcasts = 0;   // messages to topics, whoever has sent them
  uint64_t broadcast_deliveries = 0;
  uint64_t presence_events = 0;  // from clients
  uint64_t change_deliveries = 0;
};

}  // namespace realtime

#endif  // REALTIME_CORE_TRAFFIC_H_
