#include "net/back_pressure.h"

namespace realtime {

bool BackPressure::AdmitReached(const Settings& settings, Now now) {
  std::string why;
  for (SessionId session : reached_) {
    Socket* socket = sockets_->Find(session);
    if (socket == nullptr || socket->queued() < settings.max_client_queue) continue;
    if (QueueBudget::MayHold(*socket, settings, now, &why)) {
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
    if (QueueBudget::MayHold(*socket, settings, now, &why)) {
      still.push_back(session);
    } else {
      engine_->CutSlow(session, why);
    }
  }
  holders_.swap(still);
  return budget_.Resume(settings, now) && holders_.empty();
}

void BackPressure::CutOverflowed(const Settings& settings) {
  for (auto cut = sockets_->TakeOverflowed(); !cut.empty(); cut = sockets_->TakeOverflowed()) {
    for (SessionId session : cut) {
      const Socket* socket = sockets_->Find(session);
      if (socket != nullptr) engine_->CutSlow(session, std::to_string(socket->queued()) + " bytes were queued");
    }
  }
  budget_.Relieve(settings);
}

}  // namespace realtime
