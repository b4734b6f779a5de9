#include "net/queue_budget.h"

#include <algorithm>

#include "net/loop.h"

namespace realtime {
namespace {

constexpr int64_t kLookMs = 100;  // a look at all sockets costs a call of the kernel for each

}  // namespace

bool QueueBudget::MayHold(const Socket& socket, const Settings& settings, Now now, std::string* why) {
  std::string queued = std::to_string(socket.held()) + " bytes were queued";
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

bool QueueBudget::Admit(const Settings& settings, Now now) {
  if (!Full(settings)) return true;
  looked_ms_ = now.mono_ms;
  holding_ = !Look(settings, now, 0);
  return !holding_;
}

bool QueueBudget::Resume(const Settings& settings, Now now) {
  if (!holding_) return true;
  // With nothing left to take there is nobody to wait for, whatever else holds memory.
  bool enough = sockets_->memory() <= settings.max_queue_memory / 2 || sockets_->waiting() == 0;
  if (!enough && now.mono_ms - looked_ms_ >= kLookMs) {
    enough = Look(settings, now, now.mono_ms - looked_ms_);
    looked_ms_ = now.mono_ms;
  }
  holding_ = !enough;
  return enough;
}

// True: nothing keeps the stream any more. `held_ms` is how long it has waited since the last look.
bool QueueBudget::Look(const Settings& settings, Now now, int64_t held_ms) {
  sockets_->DropClosing();
  sockets_->SampleProgress(now);
  std::string why;
  bool anybody = false;
  for (Socket* socket : ByGuilt(settings, now)) {
    if (sockets_->memory() <= settings.max_queue_memory / 2) return true;
    if (socket->queued() == 0) continue;
    socket->held_ms += held_ms;
    if (MayHold(*socket, settings, now, &why)) {
      anybody = true;
    } else {
      Cut(*socket, why);
    }
  }
  return !anybody || sockets_->memory() <= settings.max_queue_memory / 2;
}

void QueueBudget::Relieve(const Settings& settings) {
  if (sockets_->unfinished() > settings.max_queue_memory / 4) CutUploads(settings);
  if (!sockets_->over_budget()) return;
  auto enough = [&] { return sockets_->memory() <= settings.max_queue_memory / 4 * 3; };
  sockets_->DropClosing();
  // A join that is refused is tried again by itself.
  if (!enough()) engine_->DropHeld();
  if (enough()) return;
  Now now = ReadClock();
  sockets_->SampleProgress(now);
  for (Socket* socket : ByGuilt(settings, now)) {
    Cut(*socket, std::to_string(socket->held()) + " bytes were queued");
    if (enough()) return;
  }
}

void QueueBudget::CutUploads(const Settings& settings) {
  std::vector<Socket*> holders = sockets_->Holders();
  std::sort(holders.begin(), holders.end(), [](const Socket* a, const Socket* b) { return a->unfinished > b->unfinished; });
  for (Socket* socket : holders) {
    if (sockets_->unfinished() <= settings.max_queue_memory / 8) return;
    Cut(*socket, "a message of which " + std::to_string(socket->unfinished) + " bytes had come was not complete");
  }
}

std::vector<Socket*> QueueBudget::ByGuilt(const Settings& settings, Now now) const {
  std::vector<Socket*> holders = sockets_->Holders();
  auto stuck = [&](const Socket* s) { return s->waits && now.mono_ms - s->last_progress_ms >= settings.slow_client_grace_ms; };
  std::sort(holders.begin(), holders.end(), [&](const Socket* a, const Socket* b) {
    return stuck(a) != stuck(b) ? stuck(a) : a->held() > b->held();
  });
  return holders;
}

void QueueBudget::Cut(const Socket& socket, const std::string& why) {
  engine_->CutSlow(socket.session, why + ", " + std::to_string(sockets_->memory()) + " for all clients");
}

}  // namespace realtime
