#include "worker/event_loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "pg/guard.h"

#include "pg/pg.h"

extern "C" {
#include "storage/fd.h"
#include "utils/wait_event.h"
}

namespace realtime {

namespace {

constexpr int kBaseEvents = 3;
constexpr int64_t kBlindMs = 10;  // between two looks at a socket that cannot be waited for

WaitEventSet* MakeSet(int wake_fd, int extra) {
  WaitEventSet* set = compat::CreateWaitSet(kBaseEvents + extra);
  AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, nullptr);
  AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, nullptr, nullptr);
  AddWaitEventToSet(set, WL_SOCKET_READABLE, wake_fd, nullptr, nullptr);
  return set;
}

uint32 EventsOf(const Replication& stream) {
  uint32 events = 0;
  if (stream.wants_read()) events |= WL_SOCKET_READABLE;
  if (stream.wants_write()) events |= WL_SOCKET_WRITEABLE;
  return events == 0 ? static_cast<uint32>(WL_SOCKET_READABLE) : events;
}

}  // namespace

bool EventLoop::Init() {
  wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_fd_ < 0) {
    Log(LogLevel::kWarning, std::string("could not create an eventfd: ") + strerror(errno));
    return false;
  }
  ReserveExternalFD();
  PgError error;
  if (PgTry([&] { base_set_ = MakeSet(wake_fd_, 0); }, &error)) return true;
  Log(LogLevel::kWarning, error.Text());
  return false;
}

void EventLoop::Wake() {
  uint64_t one = 1;
  // The only failure is a full counter, and then the wait ends anyway.
  [[maybe_unused]] ssize_t written = write(wake_fd_, &one, sizeof one);
}

bool EventLoop::Rebuild(const Replication& stream) {
  if (stream_set_ != nullptr) FreeWaitEventSet(stream_set_);
  stream_set_ = nullptr;
  return PgTry(
      [&] {
        WaitEventSet* set = MakeSet(wake_fd_, 1);
        socket_position_ = AddWaitEventToSet(set, EventsOf(stream), stream.socket(), nullptr, nullptr);
        stream_set_ = set;
      },
      nullptr);
}

bool EventLoop::Wait(const Replication& stream, bool with_stream, int64_t timeout_ms) {
  WaitEventSet* set = base_set_;
  if (with_stream && stream.socket() >= 0) {
    if (stream_set_ == nullptr || stream_generation_ != stream.socket_generation()) {
      stream_generation_ = stream.socket_generation();
      // Without a set (no file descriptor is left) the socket cannot be waited for; look at it soon instead.
      if (!Rebuild(stream)) {
        WaitFor(base_set_, std::min(timeout_ms, kBlindMs));
        return timeout_ms > 0;
      }
    }
    ModifyWaitEvent(stream_set_, socket_position_, EventsOf(stream), nullptr);
    set = stream_set_;
  }
  return WaitFor(set, timeout_ms);
}

// Whether the event is the stream's.
bool EventLoop::WaitFor(WaitEventSet* set, int64_t timeout_ms) {
  WaitEvent events[kBaseEvents + 1];
  int count = WaitEventSetWait(set, timeout_ms, events, kBaseEvents + 1, PG_WAIT_EXTENSION);
  bool socket_ready = false;
  for (int i = 0; i < count; i++) {
    if (events[i].events & WL_LATCH_SET) {
      ResetLatch(MyLatch);
    } else if (events[i].fd == wake_fd_) {
      uint64_t ignored;
      [[maybe_unused]] ssize_t got = read(wake_fd_, &ignored, sizeof ignored);
    } else {
      socket_ready = true;
    }
  }
  return socket_ready;
}

}  // namespace realtime
