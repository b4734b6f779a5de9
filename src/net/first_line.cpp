#include "net/first_line.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "net/http.h"

namespace realtime {
namespace {

constexpr int64_t kPatienceMs = 10000;

}  // namespace

struct FirstLine::Connection {
  FirstLine* owner = nullptr;
  int fd = -1;
  GuestPtr guest;
  Now accepted;
  size_t seen = 0;            // bytes at the last look
  uv_poll_t* poll = nullptr;  // freed by its own close callback
  std::list<std::unique_ptr<Connection>>::iterator place;

  // uv_close takes the descriptor out of epoll at once: libwebsockets will put it in again.
  void StopPolling() {
    if (poll == nullptr) return;
    poll->data = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(std::exchange(poll, nullptr)),
             [](uv_handle_t* handle) { delete reinterpret_cast<uv_poll_t*>(handle); });
  }

  ~Connection() {
    StopPolling();
    guest.reset();
    if (fd >= 0) close(fd);
  }
};

FirstLine::FirstLine(uv_loop_t* loop, Ready ready)
    : loop_(loop), ready_(std::move(ready)), scratch_(kMaxHeaderBytes) {}

FirstLine::~FirstLine() = default;

void FirstLine::Close() { waiting_.clear(); }

void FirstLine::Add(int fd, GuestPtr guest, Now now) {
  auto owned = std::make_unique<Connection>();
  Connection* connection = owned.get();
  connection->owner = this;
  connection->fd = fd;
  connection->guest = std::move(guest);
  connection->accepted = now;
  connection->place = waiting_.insert(waiting_.end(), std::move(owned));
  RequestLine line;
  if (Peek(connection, &line) == Look::kDone) {
    Finish(connection, std::move(line));
  } else if (!StartPolling(connection)) {
    waiting_.erase(connection->place);
  }
}

bool FirstLine::StartPolling(Connection* connection) {
  auto poll = std::make_unique<uv_poll_t>();
  if (uv_poll_init(loop_, poll.get(), connection->fd) != 0) return false;
  connection->poll = poll.release();
  connection->poll->data = connection;
  uv_poll_start(connection->poll, UV_READABLE, [](uv_poll_t* handle, int status, int) {
    Connection* self = static_cast<Connection*>(handle->data);
    if (self == nullptr) return;
    FirstLine* owner = self->owner;
    try {
      owner->OnReadable(self, status);
    } catch (...) {
      // No memory for one more client. Whatever is left of the connection ends with its time.
    }
  });
  return true;
}

// After an error libuv looks no more: what has come until then is all. libwebsockets finds the error, too.
void FirstLine::OnReadable(Connection* connection, int status) {
  RequestLine line;
  const bool done = Peek(connection, &line) == Look::kDone;
  if (!done && status == 0) return;
  if (!done) line.malformed = true;
  Finish(connection, std::move(line));
}

FirstLine::Look FirstLine::Peek(Connection* connection, RequestLine* line) {
  ssize_t n = recv(connection->fd, scratch_.data(), scratch_.size(), MSG_PEEK | MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return Look::kMore;
  // The end, or nothing new in spite of the mark, which is the end behind a few bytes: libwebsockets deals with it.
  if (n <= 0 || static_cast<size_t>(n) == connection->seen) {
    line->malformed = true;
    return Look::kDone;
  }
  connection->seen = static_cast<size_t>(n);
  if (ReadRequestLine({scratch_.data(), connection->seen}, line)) return Look::kDone;
  // What was looked at stays readable: without the mark this would be called again and again.
  int mark = static_cast<int>(n) + 1;
  if (setsockopt(connection->fd, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof(mark)) == 0) return Look::kMore;
  line->malformed = true;
  return Look::kDone;
}

void FirstLine::Finish(Connection* connection, RequestLine line) {
  std::unique_ptr<Connection> owned = std::move(*connection->place);
  waiting_.erase(owned->place);
  owned->StopPolling();
  int one = 1;
  setsockopt(owned->fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one));
  ready_(std::exchange(owned->fd, -1), std::move(owned->guest), std::move(line), owned->accepted);
}

void FirstLine::Tick(Now now) {
  while (NextDeadline() <= now.mono_ms) waiting_.pop_front();
}

int64_t FirstLine::NextDeadline() const {
  return waiting_.empty() ? INT64_MAX : waiting_.front()->accepted.mono_ms + kPatienceMs;
}

}  // namespace realtime
