#include "net/loop.h"

#include <sys/random.h>
#include <time.h>

#include <algorithm>
#include <string>

namespace realtime {
namespace {

int64_t Milliseconds(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<int64_t>(t.tv_sec) * 1000 + t.tv_nsec / 1000000;
}

void Ignore(uv_timer_t*) {}
void IgnoreIdle(uv_idle_t*) {}

}  // namespace

Now ReadClock() { return {Milliseconds(CLOCK_REALTIME), Milliseconds(CLOCK_MONOTONIC)}; }

int64_t MonotonicUs() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<int64_t>(t.tv_sec) * 1000000 + t.tv_nsec / 1000;
}

uint64_t RandomSeed() {
  uint64_t seed = 0;
  if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == sizeof(seed)) return seed;
  return static_cast<uint64_t>(ReadClock().unix_ms) * 1000003 + static_cast<uint64_t>(MonotonicUs());
}

Loop::~Loop() {
  if (!loop_open_) return;
  if (!handles_closed_) {
    CloseHandles();
    uv_run(&loop_, UV_RUN_DEFAULT);
  }
  uv_loop_close(&loop_);
}

Status Loop::Open() {
  int error = uv_loop_init(&loop_);
  if (error == 0) {
    loop_open_ = true;
    error = uv_async_init(&loop_, &async_, [](uv_async_t* handle) {
      Loop* self = static_cast<Loop*>(handle->data);
      self->Guard(self->wake_);
    });
    if (error != 0) handles_closed_ = true;
  }
  if (error != 0) {
    return Status(Code::kInvalid, std::string("could not set up the event loop: ") + uv_strerror(error));
  }
  uv_loop_configure(&loop_, UV_METRICS_IDLE_TIME);
  uv_timer_init(&loop_, &timer_);
  uv_idle_init(&loop_, &idle_);
  uv_prepare_init(&loop_, &prepare_);
  async_.data = prepare_.data = this;
  uv_prepare_start(&prepare_, [](uv_prepare_t* handle) { static_cast<Loop*>(handle->data)->Turn(); });
  std::lock_guard<std::mutex> lock(wake_mutex_);
  wake_open_ = true;
  return Status::Ok();
}

void Loop::Wake() {
  std::lock_guard<std::mutex> lock(wake_mutex_);
  if (wake_open_) uv_async_send(&async_);
}

int64_t Loop::TakeBusyUs() {
  const int64_t now_us = MonotonicUs();
  const uint64_t waited_ns = uv_metrics_idle_time(&loop_);
  const int64_t waited_us = static_cast<int64_t>((waited_ns - waited_ns_) / 1000);
  const int64_t busy_us = asked_us_ == 0 ? 0 : now_us - asked_us_ - waited_us;
  asked_us_ = now_us;
  waited_ns_ = waited_ns;
  return std::max<int64_t>(busy_us, 0);
}

void Loop::SetBusy(bool busy) {
  if (busy == busy_ || handles_closed_) return;
  busy_ = busy;
  // An active idle handle makes libuv poll without waiting.
  if (busy) {
    uv_idle_start(&idle_, IgnoreIdle);
  } else {
    uv_idle_stop(&idle_);
  }
}

void Loop::Run() { uv_run(&loop_, UV_RUN_DEFAULT); }

void Loop::CloseHandles() {
  if (handles_closed_) return;
  {
    std::lock_guard<std::mutex> lock(wake_mutex_);
    wake_open_ = false;
  }
  handles_closed_ = true;
  uv_close(reinterpret_cast<uv_handle_t*>(&async_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&idle_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&prepare_), nullptr);
}

template <typename F>
void Loop::Guard(const F& f) {
  try {
    f();
  } catch (...) {
    try {
      exception_();
    } catch (...) {
      // No memory even for the way out; the next turn tries again.
    }
  }
}

void Loop::Turn() {
  int64_t deadline = INT64_MAX;
  Guard([&] { deadline = turn_(); });
  if (handles_closed_) return;
  if (deadline == INT64_MAX) {
    uv_timer_stop(&timer_);
    return;
  }
  // libuv counts from its own idea of now, which is as old as this turn.
  uv_update_time(&loop_);
  int64_t wait = std::clamp<int64_t>(deadline - Milliseconds(CLOCK_MONOTONIC), 0, 3600 * 1000);
  uv_timer_start(&timer_, Ignore, static_cast<uint64_t>(wait), 0);
}

}  // namespace realtime
