#include "net/metrics.h"

#include <cstdio>

#include "core/ascii.h"
#include "core/token.h"

namespace realtime {
namespace {

constexpr std::string_view kBearer = "bearer ";

class Page {
 public:
  void Counter(std::string_view name, std::string_view help, uint64_t value) { Put(name, "counter", help, value); }
  void Gauge(std::string_view name, std::string_view help, uint64_t value) { Put(name, "gauge", help, value); }
  void GaugeSeconds(std::string_view name, std::string_view help, int64_t us) {
    char text[32];
    snprintf(text, sizeof(text), "%.6f", static_cast<double>(us) / 1e6);
    Put(name, "gauge", help, std::string(text));
  }
  std::string Take() { return std::move(text_); }

 private:
  void Put(std::string_view name, std::string_view type, std::string_view help, uint64_t value) {
    Put(name, type, help, std::to_string(value));
  }
  void Put(std::string_view name, std::string_view type, std::string_view help, const std::string& value) {
    text_.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ");
    text_.append(name).append(" ").append(type).append("\n");
    text_.append(name).append(" ").append(value).append("\n");
  }

  std::string text_;
};

// Names that begin with realtime_ and not with realtime_worker_, and phoenix_, are those of Supabase Realtime, for dashboards
// that exist.
void PutTraffic(const MetricsInput& in, Page* page) {
  const Traffic& t = in.traffic;
  page->Gauge("phoenix_connections_active", "TCP connections, with handshakes and REST calls.", in.sockets);
  page->Gauge("phoenix_connections_max", "Most client connections, as configured and possible.",
              static_cast<uint64_t>(in.max_connections));
  page->Gauge("realtime_connections_global_connected", "WebSocket connections.", in.connections);
  page->Gauge("realtime_worker_channels", "Channels that are joined or being joined.", in.channels);
  page->Counter("realtime_worker_connections_total", "WebSocket connections accepted.", t.connections);
  page->Counter("realtime_worker_connections_refused_total", "WebSocket handshakes refused.", t.refused);
  page->Counter("realtime_channel_global_joins", "Joins answered with ok.", t.joins);
  page->Counter("realtime_channel_global_events", "Broadcasts to topics, from clients, REST and SQL.", t.broadcasts);
  page->Counter("realtime_worker_broadcast_deliveries_total", "Broadcasts delivered, one for each member.",
                t.broadcast_deliveries);
  page->Counter("realtime_channel_global_presence_events", "Presence events from clients.", t.presence_events);
  page->Counter("realtime_channel_global_db_events", "Changes delivered, one for each channel.", t.change_deliveries);
  page->Counter("realtime_channel_global_input_bytes", "Bytes of messages from clients.", in.bytes_in);
  page->Counter("realtime_channel_global_output_bytes", "Bytes of frames queued for clients.", in.bytes_out);
  page->Gauge("realtime_worker_client_queue_bytes", "Bytes that wait for clients.", in.client_queue_bytes);
  page->GaugeSeconds("realtime_worker_loop_stall_p99_seconds",
                     "99th percentile of a turn of the network thread, in the last minute or two.", in.loop_stall_us);
}

void PutDatabase(const stat::Figures& figures, Page* page) {
  using stat::Figure;
  auto read = [&](Figure figure) { return stat::Read(figures, figure); };
  page->Gauge("realtime_subscriptions_manager_subscribers", "Channels that are subscribed to changes.",
              read(Figure::kSubscriptions));
  page->Counter("realtime_worker_transactions_total", "Transactions decoded.", read(Figure::kTransactions));
  page->Counter("realtime_worker_rows_total", "Changes decoded.", read(Figure::kRows));
  page->Counter("realtime_replication_poller_changes_dispatch", "Changes handed to channels.", read(Figure::kDeliveries));
  page->Counter("realtime_worker_policy_checks_total", "Rows judged by policies.", read(Figure::kPolicyChecks));
  page->Counter("realtime_worker_slow_policy_checks_total", "Of these: by the slow way.", read(Figure::kSlowPolicyChecks));
  page->Counter("realtime_worker_policy_failures_total", "Policies that raised or ran out of time.",
                read(Figure::kPolicyFailures));
  page->Counter("realtime_worker_filter_failures_total", "Filters that raised or ran out of time.",
                read(Figure::kFilterFailures));
  page->Gauge("realtime_worker_parked_rows", "Changes that wait until they can be judged.", read(Figure::kParkedRows));
  page->Gauge("realtime_worker_parked_bytes", "Their memory.", read(Figure::kParkedBytes));
  page->Gauge("realtime_worker_history_rows", "Changes kept for clients that come back.", read(Figure::kHistoryRows));
  page->Gauge("realtime_worker_history_bytes", "Their memory.", read(Figure::kHistoryBytes));
  page->Gauge("realtime_worker_queue_bytes", "Bytes that wait for the network thread.", read(Figure::kQueueBytes));
  page->Gauge("realtime_worker_confirmed_lsn_bytes", "The slot's position; 0: there is none.", read(Figure::kConfirmedLsn));
  page->Gauge("realtime_worker_received_lsn_bytes", "How far the stream has been read.", read(Figure::kReceivedLsn));
}

}  // namespace

std::string RenderMetrics(const MetricsInput& input) {
  Page page;
  PutTraffic(input, &page);
  if (input.figures != nullptr) PutDatabase(*input.figures, &page);
  return page.Take();
}

std::optional<Refusal> RefuseMetrics(const std::optional<std::string>& authorization, const std::string& token) {
  if (token.empty()) return Refusal{404, "Not Found"};
  if (!authorization) return Refusal{401, "header authorization is missing"};
  std::string_view value = *authorization;
  const bool bearer = value.size() > kBearer.size() && EqualsIgnoringCase(value.substr(0, kBearer.size()), kBearer);
  if (bearer && SameSecret(value.substr(kBearer.size()), token)) return std::nullopt;
  return Refusal{403, "the token is not realtime.metrics_token"};
}

}  // namespace realtime
