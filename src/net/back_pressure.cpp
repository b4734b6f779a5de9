#include "net/back_pressure.h"

namespace realtime {

bool BackPressure::MayHold(const Socket& socket, const Settings& settings, Now now, std::string* why) const {
  std::string queued = std::to_string(socket.queued()) + " bytes were queued";
  int64_t idle_ms = now.mono_ms - socket.last_progress_ms;
  if (idle_ms >= settings.slow_client_grace_ms) {
    *why = queued + " and the client took none for " + std::to_string(idle_ms) + " ms";
    return false;
  }
  if (socket.held_ms >= settings.slow_client_limit_ms) {
    *why = queued + " and the stream had waited " + std::to_string(socket.held_ms) + " ms for the client";
    return false;
  }
  return true;
}

bool BackPressure::AdmitReached(const Settings& settings, Now now) {
  std::string why;
  for (SessionId session : reached_) {
    Socket* socket = sockets_->Find(session);
    if (socket == nullptr || socket->queued() < settings.max_client_queue) continue;
    if (MayHold(*socket, settings, now, &why)) {
      holders_.push_back(session);
    } else {
      engine_->CutSlow(session, why);
    }
  }
  counted_until_ms_ = now.mono_ms;
  return holders_.empty();
}

bool BackPressure::Resume(const Settings& settings, Now now) {
  int64_t passed = now.mono_ms - counted_until_ms_;
  counted_until_ms_ = now.mono_ms;
  std::vector<SessionId> still;
  std::string why;
  for (SessionId session : holders_) {
    Socket* socket = sockets_->Find(session);
    if (socket == nullptr) continue;
    socket->held_ms += passed;
    if (socket->queued() < settings.max_client_queue / 2) continue;
    if (MayHold(*socket, settings, now, &why)) {
      still.push_back(session);
    } else {
      engine_->CutSlow(session, why);
    }
  }
  holders_.swap(still);
  return holders_.empty();
}

}  // namespace realtime
