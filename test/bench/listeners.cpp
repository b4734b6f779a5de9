#include "bench/listeners.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "bench/ws_client.h"

namespace realtime::bench {
namespace {

constexpr size_t kBufferBytes = 256 << 10;
constexpr size_t kHandshakeBufferBytes = 16 << 10;
constexpr int kJoinMs = 30000;
constexpr int kEvents = 512;

std::string Errno(const char* what) { return std::string(what) + ": " + std::strerror(errno); }

}  // namespace

Listeners::Listeners() : buffer_(kBufferBytes) {}

Listeners::~Listeners() {
  for (const Listener& listener : listeners_) HangUp(listener.fd);
  if (epoll_ >= 0) close(epoll_);
}

bool Listeners::Fail(const std::string& why) {
  if (error_.empty()) error_ = why;
  return false;
}

bool Listeners::Join(int port, const std::string& api_key, const std::string& table, size_t count, bool own_row_each) {
  listeners_.resize(count);
  for (size_t i = 0; i < count; i++) {
    std::string filter = "id=eq." + std::to_string(own_row_each ? i : 0);
    if (!JoinOne(port, api_key, table, filter, &listeners_[i].fd)) return false;
  }
  // To join thousands takes its time; the server's patience with the first of them starts anew.
  for (const Listener& listener : listeners_) {
    if (!Send(listener, kText, kHeartbeat)) return false;
  }
  return Watch();
}

bool Listeners::JoinOne(int port, const std::string& api_key, const std::string& table, const std::string& filter, int* fd) {
  RealtimeClient client(kHandshakeBufferBytes);
  if (!client.Connect(port, api_key) || !client.Join(table, kJoinMs, filter)) return Fail(client.error());
  *fd = client.Release();
  return *fd >= 0 || Fail("something came right behind the subscription");
}

bool Listeners::Watch() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  for (size_t i = 0; i < listeners_.size(); i++) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = i;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, listeners_[i].fd, &event) != 0) return Fail(Errno("epoll"));
  }
  return true;
}

bool Listeners::Poll(int timeout_ms, const OnChange& on_change) {
  epoll_event events[kEvents];
  int ready = epoll_wait(epoll_, events, kEvents, timeout_ms);
  if (ready < 0) return errno == EINTR || Fail(Errno("epoll_wait"));
  for (int i = 0; i < ready; i++) {
    if (!Read(events[i].data.u64, on_change)) return false;
  }
  return true;
}

bool Listeners::Read(size_t index, const OnChange& on_change) {
  Listener* listener = &listeners_[index];
  // The rest goes in front, so that frames are always handled in one piece.
  size_t kept = listener->rest.size();
  if (buffer_.size() < kept + kBufferBytes) buffer_.resize(kept + kBufferBytes);
  std::memcpy(buffer_.data(), listener->rest.data(), kept);
  ssize_t got = recv(listener->fd, buffer_.data() + kept, kBufferBytes, MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR || Fail(Errno("recv"));
  if (got == 0) return Fail("the server closed a listener's connection");
  int64_t now_us = NowMicros();
  std::string_view bytes(buffer_.data(), kept + static_cast<size_t>(got));
  FrameHeader header;
  for (;;) {
    Parsed parsed = ParseHeader(bytes, &header);
    if (parsed == Parsed::kInvalid) return Fail("a frame that is split, masked or too long");
    if (parsed == Parsed::kIncomplete || bytes.size() - header.bytes < header.length) break;
    std::string_view content = bytes.substr(header.bytes, header.length);
    if (header.opcode == kPing && !Send(*listener, kPong, content)) return false;
    if (header.opcode == kClose) return Fail("the server closed a listener's connection");
    if (header.opcode == kText && IsChange(content)) on_change(index, content, now_us);
    bytes.remove_prefix(header.bytes + header.length);
  }
  listener->rest.assign(bytes);
  return true;
}

bool Listeners::Send(const Listener& listener, uint8_t opcode, std::string_view content) {
  std::string frame = ClientFrame(opcode, content);
  return send(listener.fd, frame.data(), frame.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(frame.size()) ||
         Fail(Errno("send"));
}

}  // namespace realtime::bench
