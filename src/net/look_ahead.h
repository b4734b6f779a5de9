// Rows that each go to another channel cost mostly the wait for its memory: that of the next few is fetched meanwhile.
#ifndef REALTIME_NET_LOOK_AHEAD_H_
#define REALTIME_NET_LOOK_AHEAD_H_

#include <cstddef>
#include <deque>
#include <variant>

#include "core/door.h"
#include "core/engine.h"

namespace realtime {

// To be called before each message of the backlog is handed out.
inline void LookAhead(const Engine& engine, const std::deque<NetworkMailbox::Entry>& backlog) {
  constexpr size_t kDistance = 3;  // messages, per step
  for (int step = 0; step < Engine::kForeseeSteps; ++step) {
    size_t ahead = kDistance * static_cast<size_t>(Engine::kForeseeSteps - step);
    if (ahead >= backlog.size()) continue;
    const auto* delivery = std::get_if<Delivery>(&backlog[ahead].message);
    if (delivery != nullptr) engine.Foresee(*delivery, step);
  }
}

}  // namespace realtime

#endif  // REALTIME_NET_LOOK_AHEAD_H_
