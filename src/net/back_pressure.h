// When the stream of changes waits for a slow socket, and when the socket is cut instead.
#ifndef REALTIME_NET_BACK_PRESSURE_H_
#define REALTIME_NET_BACK_PRESSURE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/engine.h"
#include "net/queue_budget.h"
#include "net/sockets.h"

namespace realtime {

// A socket at its cap holds the stream while its peer takes bytes: for at most slow_client_grace_ms without progress and
// slow_client_limit_ms in all (counted until its queue has once been empty), and until its queue is below half the cap.
// One that takes nothing holds nobody. When all of them together hold too much, QueueBudget says the same for all.
class BackPressure {
 public:
  BackPressure(Sockets* sockets, Engine* engine) : sockets_(sockets), engine_(engine), budget_(sockets, engine) {}

  // May this message of the stream (a Delivery or a DatabaseBroadcast) be handed out now? If not, ask Resume later. Cuts
  // sockets that are out of patience.
  template <typename T>
  bool Admit(const T& message, const Settings& settings, Now now) {
    if (!budget_.Admit(settings, now)) return false;
    if (sockets_->watched().empty()) return true;
    reached_.clear();
    engine_->SessionsOf(message, &reached_);
    return AdmitReached(settings, now);
  }

  // In the middle of a message: the rest has to be admitted anew.
  bool MustPause(const Settings& settings) const { return budget_.Full(settings); }

  bool holding() const { return !holders_.empty() || budget_.holding(); }
  // Looks at those who hold again: true when nobody does any more.
  bool Resume(const Settings& settings, Now now);
  // A drain waits for nobody.
  void Release() {
    holders_.clear();
    budget_.Release();
  }

  // Cuts those whose queue has passed its cap outside of the stream, and whom it takes for all to keep within their budget.
  void CutOverflowed(const Settings& settings);

  // Asks how far slow sockets have come, if there are any and it is time.
  void Sample(Now now) {
    if (!watching() || now.mono_ms < next_sample_ms_) return;
    sockets_->SampleProgress(now);
    next_sample_ms_ = now.mono_ms + kSampleMs;
  }
  // While it is, look again this often.
  bool watching() const { return holding() || !sockets_->watched().empty() || sockets_->short_of_memory(); }
  static constexpr int64_t kSampleMs = 100;

 private:
  bool AdmitReached(const Settings& settings, Now now);

  Sockets* const sockets_;
  Engine* const engine_;
  QueueBudget budget_;
  std::vector<SessionId> holders_;
  std::vector<SessionId> reached_;
  int64_t counted_until_ms_ = 0;
  int64_t next_sample_ms_ = 0;
};

}  // namespace realtime

#endif  // REALTIME_NET_BACK_PRESSURE_H_
