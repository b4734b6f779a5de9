// When the stream of changes waits for a slow socket, and when the socket is cut instead.
#ifndef REALTIME_NET_BACK_PRESSURE_H_
#define REALTIME_NET_BACK_PRESSURE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/engine.h"
#include "net/sockets.h"

namespace realtime {

// A socket at its cap holds the stream while its peer takes bytes: for at most slow_client_grace_ms without progress and
// slow_client_limit_ms in all (counted until its queue has once been empty), and until its queue is below half the cap.
// One that takes nothing holds nobody.
class BackPressure {
 public:
  BackPressure(Sockets* sockets, Engine* engine) : sockets_(sockets), engine_(engine) {}

  // May this message of the stream (a Delivery or a DatabaseBroadcast) be handed out now? If not, ask Resume later. Cuts
  // sockets that are out of patience.
  template <typename T>
  bool Admit(const T& message, const Settings& settings, Now now) {
    if (sockets_->watched().empty()) return true;
    reached_.clear();
    engine_->SessionsOf(message, &reached_);
    return AdmitReached(settings, now);
  }

  bool holding() const { return !holders_.empty(); }
  // Looks at those who hold again: true when nobody does any more.
  bool Resume(const Settings& settings, Now now);
  // A drain waits for nobody.
  void Release() { holders_.clear(); }

  // While sockets are watched or hold, look again this often.
  static constexpr int64_t kSampleMs = 100;

 private:
  bool AdmitReached(const Settings& settings, Now now);
  bool MayHold(const Socket& socket, const Settings& settings, Now now, std::string* why) const;

  Sockets* const sockets_;
  Engine* const engine_;
  std::vector<SessionId> holders_;
  std::vector<SessionId> reached_;
  int64_t counted_until_ms_ = 0;
};

}  // namespace realtime

#endif  // REALTIME_NET_BACK_PRESSURE_H_
