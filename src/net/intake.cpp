#include "net/intake.h"

#include <libwebsockets.h>

#include "net/sockets.h"

namespace realtime {
namespace {

constexpr size_t kPauseShare = 8;
constexpr size_t kAcceptShare = 4;
constexpr size_t kResumeShare = 16;

// The mailbox's reader could tell when it has caught up, but only at a mark that no reload can move.
constexpr int64_t kLookMs = 20;

}  // namespace

void Intake::AfterMessage(Socket* socket, const Settings& settings) {
  if (!made_work_ || socket->state != Socket::State::kOpen) return;
  if (outbox_->bytes() <= settings.max_mailbox / kPauseShare || !paused_.insert(socket).second) return;
  lws_rx_flow_control(socket->wsi, 0);
}

void Intake::Release(Socket* socket) {
  if (paused_.erase(socket) > 0) lws_rx_flow_control(socket->wsi, 1);
}

bool Intake::MayAccept(const Settings& settings) const {
  return outbox_->bytes() <= settings.max_mailbox / kAcceptShare;
}

void Intake::Tick(const Settings& settings) {
  if (paused_.empty() || outbox_->bytes() > settings.max_mailbox / kResumeShare) return;
  for (Socket* socket : paused_) lws_rx_flow_control(socket->wsi, 1);
  paused_.clear();
}

int64_t Intake::NextLook(const Settings& settings, Now now) const {
  return paused_.empty() && MayAccept(settings) ? INT64_MAX : now.mono_ms + kLookMs;
}

}  // namespace realtime
