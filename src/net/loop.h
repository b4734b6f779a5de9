// The libuv loop of the network thread: wake from other threads, one timer, and work that is spread over several turns.
#ifndef REALTIME_NET_LOOP_H_
#define REALTIME_NET_LOOP_H_

#include <uv.h>

#include <cstdint>
#include <functional>
#include <mutex>

#include "core/clock.h"
#include "core/status.h"

namespace realtime {

// Both clocks, read now.
Now ReadClock();
int64_t MonotonicUs();
// For names that must not repeat in another life of the process; nothing secret depends on it.
uint64_t RandomSeed();

// Everything but Wake belongs to the thread that calls Run. The functions set with On... run on that thread; an exception
// that leaves one of them (only bad_alloc is expected) is handed to OnException's function instead of crossing libuv.
class Loop {
 public:
  Loop() = default;
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  Status Open();
  uv_loop_t* uv() { return &loop_; }

  // Any thread, any time, also before Open and after Run. Leads to one call of OnWake's function, soon.
  void Wake();

  void OnWake(std::function<void()> f) { wake_ = std::move(f); }
  // Called at every turn of the loop just before it waits; returns when (mono ms) the loop must turn again at the latest,
  // INT64_MAX for never.
  void OnTurn(std::function<int64_t()> f) { turn_ = std::move(f); }
  void OnException(std::function<void()> f) { exception_ = std::move(f); }

  // How long the loop has been at work, not waiting, since it was last asked. For OnTurn's function.
  int64_t TakeBusyUs();

  // While set, the loop does not wait at all: OnTurn comes again after the sockets had their turn.
  void SetBusy(bool busy);

  // Runs until CloseHandles was called and everybody else's handles are closed too.
  void Run();
  void CloseHandles();

 private:
  template <typename F>
  void Guard(const F& f);
  void Turn();

  uv_loop_t loop_{};
  uv_async_t async_{};
  uv_timer_t timer_{};
  uv_idle_t idle_{};
  uv_prepare_t prepare_{};
  bool loop_open_ = false;
  int64_t asked_us_ = 0;       // by TakeBusyUs
  uint64_t waited_ns_ = 0;     // in all until then
  bool busy_ = false;
  bool handles_closed_ = false;

  std::mutex wake_mutex_;
  bool wake_open_ = false;  // guarded by wake_mutex_: async_ may be sent to

  std::function<void()> wake_ = [] {};
  std::function<int64_t()> turn_ = [] { return INT64_MAX; };
  std::function<void()> exception_ = [] {};
};

}  // namespace realtime

#endif  // REALTIME_NET_LOOP_H_
