// What waits for all sockets together, and who pays when it is too much.
#ifndef REALTIME_NET_QUEUE_BUDGET_H_
#define REALTIME_NET_QUEUE_BUDGET_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/engine.h"
#include "net/sockets.h"

namespace realtime {

// Two marks below settings.max_queue_memory. At three quarters the stream waits, until half is left: for those who take
// bytes as long as BackPressure waits for a single one, and not for the others. The rest is for what waits for nobody
// (broadcasts, presence, answers): at the whole of it sockets are cut at once, down to three quarters.
//
// Cut are first those who take nothing, and among these who hold most: they have brought it about, and give back most for
// each client lost. Who takes bytes is cut last, the largest first. Whoever holds nothing is never cut.
//
// Messages that clients have begun and not ended may hold a quarter; then the largest are cut at once, down to half of that.
// Waiting does not make them less, so that whoever leaves his unfinished could else keep the stream at its mark for good.
class QueueBudget {
 public:
  QueueBudget(Sockets* sockets, Engine* engine) : sockets_(sockets), engine_(engine) {}

  // The stream has to wait, or to be stopped in the middle of a message with many receivers.
  bool Full(const Settings& settings) const { return sockets_->memory() >= settings.max_queue_memory / 4 * 3; }
  // Cuts those out of patience if it is full. False: the stream waits for the others; ask Resume.
  bool Admit(const Settings& settings, Now now);
  bool holding() const { return holding_; }
  bool Resume(const Settings& settings, Now now);
  void Release() { holding_ = false; }

  // Cuts whom it takes if the whole budget is spent.
  void Relieve(const Settings& settings);

  // Whether the stream may wait for the socket; if not, `why` says why not.
  static bool MayHold(const Socket& socket, const Settings& settings, Now now, std::string* why);

 private:
  bool Look(const Settings& settings, Now now, int64_t held_ms);
  std::vector<Socket*> ByGuilt(const Settings& settings, Now now) const;
  void CutUploads(const Settings& settings);
  void Cut(const Socket& socket, const std::string& why);

  Sockets* const sockets_;
  Engine* const engine_;
  bool holding_ = false;
  int64_t looked_ms_ = 0;
};

}  // namespace realtime

#endif  // REALTIME_NET_QUEUE_BUDGET_H_
