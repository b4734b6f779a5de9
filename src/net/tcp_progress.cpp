#include "net/tcp_progress.h"

#include <linux/tcp.h>
#include <sys/socket.h>

#include <cstddef>

namespace realtime {
namespace {

constexpr int kTcpLevel = 6;  // IPPROTO_TCP, whose header conflicts with <linux/tcp.h>

}  // namespace

uint64_t AckedBytes(int fd) {
  tcp_info info{};
  socklen_t length = sizeof(info);
  if (getsockopt(fd, kTcpLevel, TCP_INFO, &info, &length) != 0) return 0;
  // Older kernels fill in less.
  if (length < offsetof(tcp_info, tcpi_bytes_acked) + sizeof(info.tcpi_bytes_acked)) return 0;
  return info.tcpi_bytes_acked;
}

}  // namespace realtime
