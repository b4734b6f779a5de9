// The settings that core and net need, as a value that is replaced whole on reload. Filled in from the realtime.* GUCs by
// pg/settings.
#ifndef REALTIME_CORE_SETTINGS_H_
#define REALTIME_CORE_SETTINGS_H_

#include "core/pure.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace realtime {

struct Settings {
  bool serving = false;                        // the extension exists: listen; false closes listeners and clients
  std::vector<std::string> listen_addresses;   // numeric addresses, "localhost" or "*"
  int port = 4000;
  std::vector<std::string> jwt_secrets;        // jwt_secret, jwt_secret_next; empty: refuse everybody

  int max_connections = 10000;
  int max_channels_per_client = 100;
  size_t max_message_size = 5000000;           // bytes of one WebSocket message from a client
  int max_json_depth = 64;
  size_t max_client_queue = 16u << 20;         // bytes waiting for one socket
  size_t max_mailbox = 32u << 20;              // bytes waiting for the network thread; above it the stream stops;
                                               // shares of it bound what waits for the database (net/intake.h)
  int64_t idle_timeout_ms = 60000;             // no frame from the client
  int64_t slow_client_grace_ms = 2000;         // a socket at its cap without progress
  int64_t slow_client_limit_ms = 30000;        // a socket at its cap in all
  int64_t drain_timeout_ms = 500;
};

using SettingsPtr = std::shared_ptr<const Settings>;

}  // namespace realtime

#endif  // REALTIME_CORE_SETTINGS_H_
