#include "net/intake.h"

#include <libwebsockets.h>

#include <algorithm>

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
  if (!IsPaused(socket)) return;
  Forget(socket);
  ReadOn(socket);
}

void Intake::Forget(Socket* socket) {
  paused_.erase(socket);
  auto slowed = slowed_.find(socket);
  if (slowed == slowed_.end()) return;
  slow_ends_.erase({slowed->second, socket});
  slowed_.erase(slowed);
}

void Intake::SlowDown(Socket* socket, int64_t until_ms) {
  int64_t& end = slowed_[socket];
  if (end >= until_ms) return;
  slow_ends_.erase({end, socket});
  end = until_ms;
  slow_ends_.insert({until_ms, socket});
  lws_rx_flow_control(socket->wsi, 0);
}

// There may be two reasons not to.
void Intake::ReadOn(Socket* socket) {
  if (!IsPaused(socket)) lws_rx_flow_control(socket->wsi, 1);
}

bool Intake::MayAccept(const Settings& settings) const {
  return outbox_->bytes() <= settings.max_mailbox / kAcceptShare;
}

void Intake::Tick(const Settings& settings, Now now) {
  while (!slow_ends_.empty() && slow_ends_.begin()->first <= now.mono_ms) {
    Socket* socket = slow_ends_.begin()->second;
    slow_ends_.erase(slow_ends_.begin());
    slowed_.erase(socket);
    ReadOn(socket);
  }
  if (paused_.empty() || outbox_->bytes() > settings.max_mailbox / kResumeShare) return;
  std::unordered_set<Socket*> resumed;
  resumed.swap(paused_);
  for (Socket* socket : resumed) ReadOn(socket);
}

int64_t Intake::NextLook(const Settings& settings, Now now) const {
  int64_t look = paused_.empty() && MayAccept(settings) ? INT64_MAX : now.mono_ms + kLookMs;
  return slow_ends_.empty() ? look : std::min(look, slow_ends_.begin()->first);
}

}  // namespace realtime
