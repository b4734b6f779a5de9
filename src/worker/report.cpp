// What the worker says of itself in realtime.stat_worker.
#include <string>

#include "pg/settings.h"
#include "pg/stat.h"
#include "worker/worker.h"

namespace realtime {

// What it does, or what it waits for. The same words as a client's where those say enough.
std::string Worker::StateText() const {
  if (!serving_) return "waiting for extension realtime";
  if (!network_runs_) return "waiting: " + network_condition_.reason();
  if (settings_->tokens.empty()) return "waiting for realtime.jwt_secret, realtime.jwt_secret_file or realtime.jwks";
  // The log, and last_error, say why.
  const bool listens = network_->counts().listeners.load(std::memory_order_relaxed) > 0;
  if (!listens && !settings_->listen_addresses.empty()) return "waiting for an address to listen on";
  const bool changes = feed_.channel_count() > 0 || !joins_.empty();
  if (changes && !stream_.carries_changes()) return "waiting: " + stream_.Cause();
  if (stream_.live()) return "streaming";
  return listening_ || !pending_rights_.empty() ? "waiting: " + stream_.Cause() : "idle";
}

// Texts, and what is looked at once a second.
void Worker::ReportState() {
  stat::SetState(StateText());
  stat::SetSlot(stream_.may_have_slot() ? stream_.slot_name() : "");
}

void Worker::ReportProgress(Reader::Turn turn) {
  using stat::Figure;
  const bool slot = stream_.may_have_slot();
  stat::Set(Figure::kConfirmedLsn, slot ? stream_.confirmed_lsn() : 0);
  stat::Set(Figure::kReceivedLsn, slot ? stream_.received_lsn() : 0);
  stat::Set(Figure::kBehind, slot && (turn != Reader::Turn::kIdle || !stream_.live()));
  stat::Set(Figure::kQueueBytes, outbox_.bytes());
  stat::Set(Figure::kSubscriptions, feed_.channel_count());
  if (!network_runs_) return;
  stat::Set(Figure::kConnections, network_->counts().connections.load(std::memory_order_relaxed));
  const NetworkCounts& counts = network_->counts();
  stat::Set(Figure::kChannels, counts.channels.load(std::memory_order_relaxed));
  stat::Set(Figure::kClientQueueBytes, counts.client_queue_bytes.load(std::memory_order_relaxed));
  stat::Set(Figure::kLoopStallUs, static_cast<uint64_t>(counts.loop_stall_us.load(std::memory_order_relaxed)));
}

}  // namespace realtime
