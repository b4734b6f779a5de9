#include "net/tls.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "net/loop.h"
#include "net/tls_connection.h"

namespace realtime {
namespace {

constexpr int64_t kPatienceMs = 10000;  // until the request has begun
constexpr int64_t kFlushMs = 5000;      // for what was written before the other end was closed
constexpr int64_t kGoodbyeMs = 2000;    // a connection closed before the peer has read everything would be reset
constexpr size_t kChunk = 64 * 1024;
constexpr int kSendBufferBytes = 256 * 1024;

void SetOption(int fd, int level, int name, int value) { setsockopt(fd, level, name, &value, sizeof(value)); }

}  // namespace

Tls::Tls(uv_loop_t* loop, Ready ready) : loop_(loop), ready_(std::move(ready)), scratch_(kChunk) {}

Tls::~Tls() = default;

void Tls::Close() {
  deadlines_.clear();
  all_.clear();
  given_ = 0;
}

void Tls::Add(int fd, GuestPtr guest, Now now) {
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  auto owned = std::make_unique<TlsConnection>();
  TlsConnection* connection = owned.get();
  connection->owner = this;
  connection->fd = fd;
  connection->guest = std::move(guest);
  connection->accepted = now;
  connection->place = all_.insert(all_.end(), std::move(owned));
  SetDeadline(connection, now.mono_ms + kPatienceMs);
  Pump(connection);
}

void Tls::Pump(TlsConnection* connection) {
  using State = TlsConnection::State;
  connection->outer_events = connection->inner_events = 0;
  ERR_clear_error();
  if (connection->state == State::kHello) connection->Hello(context_);
  if (connection->state == State::kHandshake) connection->Handshake();
  if (connection->state == State::kRequest) Request(connection);
  if (connection->state == State::kOpen) connection->Feed(&scratch_);
  if (connection->state == State::kOpen) connection->Drain(&scratch_);
  if (connection->state == State::kDead || connection->state == State::kEnding) connection->Discard(&scratch_);
  Settle(connection);
}

void Tls::Request(TlsConnection* connection) {
  RequestLine line;
  if (!connection->ReadRequest(&scratch_, &line)) return;
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
    connection->Die();
    return;
  }
  connection->inner = ends[0];
  connection->state = TlsConnection::State::kOpen;
  connection->given = true;
  ++given_;
  SetDeadline(connection, INT64_MAX);
  SetOption(connection->fd, SOL_SOCKET, SO_SNDBUF, kSendBufferBytes);
  ready_(ends[1], std::move(connection->guest), std::move(line), connection->accepted);
}

// What follows from the state the connection has come to.
void Tls::Settle(TlsConnection* connection) {
  using State = TlsConnection::State;
  if (connection->state == State::kGone) {
    Remove(connection);
    return;
  }
  if (connection->state == State::kEnding && !std::exchange(connection->said_goodbye, true)) {
    if (std::exchange(connection->given, false)) --given_;
    connection->inner_watch.Stop();
    if (connection->inner >= 0) close(std::exchange(connection->inner, -1));
    SetDeadline(connection, ReadClock().mono_ms + kGoodbyeMs);
  }
  if (connection->state == State::kDead || connection->state == State::kEnding) {
    (connection->state == State::kDead ? connection->outer_events : connection->inner_events) = 0;
  }
  bool watched = connection->outer_watch.Set(loop_, connection->fd, connection->outer_events, connection, &Tls::OnOuter);
  if (connection->inner >= 0) {
    watched = connection->inner_watch.Set(loop_, connection->inner, connection->inner_events, connection, &Tls::OnInner) &&
              watched;
  }
  if (!watched && connection->inner < 0) Remove(connection);
}

void Tls::OnOuter(uv_poll_t* handle, int status, int) {
  TlsConnection* connection = static_cast<TlsConnection*>(handle->data);
  if (connection == nullptr) return;
  if (status < 0) connection->outer_watch.Ended();
  connection->owner->PumpOrDie(connection);
}

// An error, which is what closing the other end with bytes unread is, ends the watch: it is a hang-up as well.
void Tls::OnInner(uv_poll_t* handle, int status, int events) {
  TlsConnection* connection = static_cast<TlsConnection*>(handle->data);
  if (connection == nullptr) return;
  if (status < 0) connection->inner_watch.Ended();
  const bool hung_up = status < 0 || (events & UV_DISCONNECT) != 0;
  if (hung_up && !connection->down.empty() && !std::exchange(connection->inner_hung_up, true)) {
    connection->owner->SetDeadline(connection, ReadClock().mono_ms + kFlushMs);
  }
  connection->owner->PumpOrDie(connection);
}

void Tls::PumpOrDie(TlsConnection* connection) noexcept {
  try {
    Pump(connection);
  } catch (...) {
    // No memory for this connection: it ends, the others do not. Discard and Settle need none.
    connection->Die();
    if (connection->state == TlsConnection::State::kDead) connection->Discard(&scratch_);
    Settle(connection);
  }
}

void Tls::Remove(TlsConnection* connection) {
  if (connection->given) --given_;
  SetDeadline(connection, INT64_MAX);
  all_.erase(connection->place);
}

void Tls::SetDeadline(TlsConnection* connection, int64_t mono_ms) {
  if (connection->deadline_ms != INT64_MAX) deadlines_.erase({connection->deadline_ms, connection});
  connection->deadline_ms = mono_ms;
  if (mono_ms != INT64_MAX) deadlines_.insert({mono_ms, connection});
}

void Tls::Tick(Now now) {
  while (NextDeadline() <= now.mono_ms) {
    TlsConnection* connection = deadlines_.begin()->second;
    SetDeadline(connection, INT64_MAX);
    // The other end still counts on the descriptor unless it has hung up.
    if (connection->given && !connection->inner_hung_up) continue;
    Remove(connection);
  }
}

int64_t Tls::NextDeadline() const { return deadlines_.empty() ? INT64_MAX : deadlines_.begin()->first; }

}  // namespace realtime
