#include "bench/bare_loop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include "bench/room_message.h"

namespace realtime::bench {
namespace {

constexpr int kBacklog = 4096;
constexpr size_t kReadBytes = 64 << 10;

bool SendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

bool Accept(int listener, size_t count, std::vector<int>* sockets) {
  int on = 1;
  while (sockets->size() < count) {
    int fd = accept(listener, nullptr, nullptr);
    if (fd < 0 && errno == EINTR) continue;
    if (fd < 0) return false;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    sockets->push_back(fd);
  }
  return true;
}

// Sockets are blocking: what the slowest reader cannot take yet is waited for.
bool Forward(const std::vector<int>& sockets, std::string_view push) {
  std::string frame = DeliveredFrame(push.substr(push.size() - kPayloadBytes));
  for (size_t i = 1; i < sockets.size(); i++) {
    if (!SendAll(sockets[i], frame)) return false;
  }
  return true;
}

void Serve(int listener, size_t count) {
  std::vector<int> sockets;
  if (!Accept(listener, 1 + count, &sockets) || !SendAll(sockets[0], "!")) return;
  const size_t push_bytes = PushFrame({}).size();
  std::string in;
  std::vector<char> buffer(kReadBytes);
  for (;;) {
    ssize_t got = recv(sockets[0], buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return;
    in.append(buffer.data(), static_cast<size_t>(got));
    size_t used = 0;
    for (; in.size() - used >= push_bytes; used += push_bytes) {
      if (!Forward(sockets, std::string_view(in).substr(used, push_bytes))) return;
    }
    in.erase(0, used);
  }
}

}  // namespace

BareLoop::BareLoop(size_t count) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (listener >= 0 && bind(listener, generic, length) == 0 && listen(listener, kBacklog) == 0 &&
      getsockname(listener, generic, &length) == 0) {
    child_ = fork();
    if (child_ == 0) {
      Serve(listener, count);
      _exit(0);
    }
    if (child_ > 0) port_ = ntohs(address.sin_port);
  }
  if (listener >= 0) close(listener);
}

BareLoop::~BareLoop() {
  if (child_ <= 0) return;
  kill(child_, SIGTERM);
  while (waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace realtime::bench
