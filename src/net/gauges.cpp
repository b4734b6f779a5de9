#include "net/gauges.h"

#include "net/metrics.h"

namespace realtime {
namespace {

constexpr int64_t kLookMs = 1000;  // the clients' queues are many
constexpr double kStallShare = 0.99;

}  // namespace

void Gauges::Measure(const Parts& parts, int64_t busy_us, Now now) {
  counts_->connections.store(parts.engine.session_count(), std::memory_order_relaxed);
  counts_->channels.store(parts.engine.channel_count(), std::memory_order_relaxed);
  counts_->listeners.store(parts.listener.open_count(), std::memory_order_relaxed);
  stalls_.Add(busy_us, now.mono_ms);
  if (now.mono_ms < next_look_ms_) return;
  next_look_ms_ = now.mono_ms + kLookMs;
  const size_t queued = parts.sockets.QueuedBytes();
  waiting_ = queued > 0;
  counts_->client_queue_bytes.store(queued, std::memory_order_relaxed);
  counts_->loop_stall_us.store(stalls_.Quantile(kStallShare, now.mono_ms), std::memory_order_relaxed);
}

std::string Gauges::Page(const Parts& parts, const Settings& settings) const {
  MetricsInput input;
  input.traffic = parts.engine.traffic();
  input.connections = parts.engine.session_count();
  input.sockets = parts.sockets.count() + parts.first_line.count() + parts.tls.own_count();
  input.channels = parts.engine.channel_count();
  input.max_connections = settings.max_connections;
  input.bytes_in = parts.sockets.bytes_in();
  input.bytes_out = parts.sockets.bytes_out();
  input.client_queue_bytes = parts.sockets.QueuedBytes();
  input.loop_stall_us = counts_->loop_stall_us.load(std::memory_order_relaxed);
  input.figures = figures_;
  return RenderMetrics(input);
}

}  // namespace realtime
