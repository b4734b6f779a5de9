#include "net/tcp_progress.h"

#include <linux/tcp.h>
#include <sys/socket.h>

#include <cstddef>

namespace realtime {
namespace {

constexpr int kTcpLevel = 6;  // IPPROTO_TCP, whose header conflicts with <linux/tcp.h>

// How much of it the kernel has filled in.
socklen_t Read(int fd, tcp_info* info) {
  socklen_t length = sizeof(*info);
  return getsockopt(fd, kTcpLevel, TCP_INFO, info, &length) == 0 ? length : 0;
}

}  // namespace

uint64_t AckedBytes(int fd) {
  tcp_info info{};
  socklen_t length = Read(fd, &info);
  // Older kernels fill in less.
  if (length < offsetof(tcp_info, tcpi_bytes_acked) + sizeof(info.tcpi_bytes_acked)) return 0;
  return info.tcpi_bytes_acked;
}

int64_t MsSinceReceived(int fd) {
  tcp_info info{};
  socklen_t length = Read(fd, &info);
  if (length < offsetof(tcp_info, tcpi_last_data_recv) + sizeof(info.tcpi_last_data_recv)) return -1;
  return info.tcpi_last_data_recv;
}

}  // namespace realtime
