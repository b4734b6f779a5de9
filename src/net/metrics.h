// GET /metrics: the worker's figures in the text format of Prometheus, for who presents realtime.metrics_token.
#ifndef REALTIME_NET_METRICS_H_
#define REALTIME_NET_METRICS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/figures.h"
#include "core/settings.h"
#include "core/traffic.h"
#include "net/http.h"

struct lws;

namespace realtime {

// What is to be said. `figures` are the database thread's; null where there is none (tests of the network thread alone).
struct MetricsInput {
  Traffic traffic;
  size_t connections = 0;
  size_t sockets = 0;  // with handshakes and REST calls
  size_t channels = 0;
  int max_connections = 0;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  size_t client_queue_bytes = 0;
  int64_t loop_stall_us = 0;
  const stat::Figures* figures = nullptr;
};

std::string RenderMetrics(const MetricsInput& input);

// Why the request is not answered with the metrics: as long as there is no token they do not exist.
std::optional<Refusal> RefuseMetrics(const std::optional<std::string>& authorization, const std::string& token);

}  // namespace realtime

#endif  // REALTIME_NET_METRICS_H_
