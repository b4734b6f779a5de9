#include "net/tls_connection.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "net/request_line.h"
#include "net/http.h"

namespace realtime {
namespace {

constexpr int kMaxReads = 16;
constexpr char kTlsHandshake = 0x16;  // first byte of every TLS connection
constexpr std::string_view kSpeakTls =
    "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: 50\r\n"
    "connection: close\r\n\r\n{\"error\":\"this port speaks TLS: use https or wss\"}";
static_assert(kSpeakTls.size() - kSpeakTls.find("{\"error") == 50);

}  // namespace

bool TlsConnection::Wants(int result) {
  int error = SSL_get_error(ssl.get(), result);
  if (error == SSL_ERROR_WANT_READ) outer_events |= UV_READABLE;
  if (error == SSL_ERROR_WANT_WRITE) outer_events |= UV_WRITABLE;
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

void TlsConnection::Die() {
  ERR_clear_error();
  up.clear();
  down.clear();
  if (inner < 0) {
    state = State::kGone;
    return;
  }
  state = State::kDead;
  shutdown(inner, SHUT_WR);
}

void TlsConnection::Hello(const TlsContextPtr& context) {
  char first = 0;
  ssize_t n = recv(fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
    outer_events = UV_READABLE;
  } else if (n <= 0) {
    Die();
  } else if (first != kTlsHandshake) {
    [[maybe_unused]] ssize_t sent = send(fd, kSpeakTls.data(), kSpeakTls.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    SayGoodbye();
  } else {
    ssl = {SSL_new(context.get()), &SSL_free};
    state = State::kHandshake;
    if (ssl == nullptr || SSL_set_fd(ssl.get(), fd) != 1) Die();
  }
}

void TlsConnection::Handshake() {
  int result = SSL_accept(ssl.get());
  if (result == 1) {
    state = State::kRequest;
  } else if (!Wants(result)) {
    Die();
  }
}

// False: nothing came.
bool TlsConnection::ReadPeer(std::vector<char>* scratch) {
  if (peer_ended) return false;
  int n = SSL_read(ssl.get(), scratch->data(), static_cast<int>(scratch->size()));
  if (n > 0) {
    up.append(scratch->data(), static_cast<size_t>(n));
    return true;
  }
  if (Wants(n)) return false;
  if (SSL_get_error(ssl.get(), n) == SSL_ERROR_ZERO_RETURN) {
    peer_ended = true;
  } else {
    Die();
  }
  return false;
}

void TlsConnection::WriteInner() {
  ssize_t n = send(inner, up.data(), up.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n >= 0) {
    up.erase(0, static_cast<size_t>(n));
  } else if (errno != EAGAIN && errno != EINTR) {
    up.clear();  // the other end is closed, as Drain will see
    peer_ended = true;
  }
}

// From the peer to inner.
void TlsConnection::Feed(std::vector<char>* scratch) {
  while (state == State::kOpen) {
    if (!up.empty()) WriteInner();
    if (!up.empty()) {
      inner_events |= UV_WRITABLE;
      return;
    }
    if (!ReadPeer(scratch)) break;
  }
  if (state == State::kOpen && peer_ended && !std::exchange(told_inner, true)) shutdown(inner, SHUT_WR);
}

// Keeps what the peer does not take yet. False: that is something.
bool TlsConnection::WritePeer(std::string_view bytes) {
  while (!bytes.empty()) {
    int n = SSL_write(ssl.get(), bytes.data(), static_cast<int>(bytes.size()));
    if (n > 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (Wants(n)) {
      break;
    } else {
      Die();
      return false;
    }
  }
  down = std::string(bytes);
  return down.empty();
}

// From inner to the peer.
void TlsConnection::Drain(std::vector<char>* scratch) {
  if (state != State::kOpen) return;
  bool flowing = down.empty() || WritePeer(std::string(std::move(down)));
  while (flowing && !inner_ended) {
    ssize_t n = recv(inner, scratch->data(), scratch->size(), MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      inner_events |= UV_READABLE;
      return;
    }
    if (n <= 0) {
      inner_ended = true;
    } else {
      flowing = WritePeer({scratch->data(), static_cast<size_t>(n)});
    }
  }
  if (state != State::kOpen) return;
  if (flowing) {
    SSL_shutdown(ssl.get());
    ERR_clear_error();
    SayGoodbye();
  } else if (!inner_hung_up) {
    inner_events |= UV_DISCONNECT;
  }
}

// What nobody wants any more, in bounded turns: somebody may send as fast as it is read.
void TlsConnection::Discard(std::vector<char>* scratch) {
  int from = state == State::kDead ? inner : fd;
  for (int reads = 0; reads < kMaxReads; ++reads) {
    ssize_t n = recv(from, scratch->data(), scratch->size(), MSG_DONTWAIT);
    if (n > 0 || (n < 0 && errno == EINTR)) continue;
    if (n < 0 && errno == EAGAIN) break;
    state = State::kGone;
    return;
  }
  (state == State::kDead ? inner_events : outer_events) |= UV_READABLE;
}

void TlsConnection::SayGoodbye() {
  shutdown(fd, SHUT_WR);
  state = State::kEnding;
}

// True when enough of it has come to give the connection away.
bool TlsConnection::ReadRequest(std::vector<char>* scratch, RequestLine* line) {
  while (up.empty() || !ReadRequestLine(up, line)) {
    if (ReadPeer(scratch)) continue;
    if (peer_ended) Die();
    return false;
  }
  return true;
}

}  // namespace realtime
