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

#include "core/rate_limit.h"
#include "core/token.h"

namespace realtime {

struct Settings {
  bool serving = false;                        // the extension exists: listen; false closes listeners and clients
  std::vector<std::string> listen_addresses;   // numeric addresses, "localhost" or "*"
  int port = 4000;
  bool ssl = false;                            // TLS, and nothing else
  std::string ssl_certificate;                 // PEM texts; empty: they could not be read
  std::string ssl_key;
  TokenRules tokens;                           // whom to believe
  std::string metrics_token;                   // for GET /metrics; empty: there is no such page
  bool private_only = false;                   // public channels are refused
  bool inspector = false;                      // the developers' page is served

  int max_connections = 10000;
  int max_connections_per_address = 0;         // 0: no limit
  std::vector<std::string> trusted_proxies;    // addresses and blocks whose x-forwarded-for is believed
  std::vector<std::string> allowed_origins;    // of pages that may connect; empty: all
  int max_channels_per_client = 100;
  size_t max_message_size = 5000000;           // bytes of one WebSocket message from a client
  int max_json_depth = 64;
  size_t max_payload_size = 3000 * 1000;       // bytes of one broadcast's or presence's payload
  size_t max_rest_body = 8u << 20;             // bytes of one REST request
  Rate joins{1000, 1000, 10000};               // of all clients together
  Rate events{1000, 1000, 10000};              // broadcasts of one connection; of one caller (role, sub) over REST
  Rate presence_events{1000, 1000, 10000};     // of all clients together
  Rate presence_calls{5, 30000, 5};            // of one channel
  int64_t authorization_ttl_ms = 60000;        // how long the policies' answer for a private channel counts
  int64_t no_channel_timeout_ms = 600000;      // a connection whose last channel has ended; 0: none
  size_t max_client_queue = 16u << 20;         // bytes waiting for one socket
  size_t max_queue_memory = 256u << 20;        // what waits for all sockets, shared frames counted once
  size_t max_mailbox = 16u << 20;              // bytes waiting for the network thread; above it the stream stops;
                                               // shares of it bound what waits for the database (net/intake.h)
  int64_t idle_timeout_ms = 60000;             // no frame from the client
  int64_t slow_client_grace_ms = 2000;         // a socket at its cap without progress
  int64_t slow_client_limit_ms = 30000;        // a socket at its cap in all
  int64_t drain_timeout_ms = 500;
};

using SettingsPtr = std::shared_ptr<const Settings>;

}  // namespace realtime

#endif  // REALTIME_CORE_SETTINGS_H_
