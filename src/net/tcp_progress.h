// What the kernel knows of a peer: how far it has come with what was sent to it, when it last sent something. A file of its
// own, because the kernel's tcp_info, which is newer than the C library's, cannot be included beside it.
#ifndef REALTIME_NET_TCP_PROGRESS_H_
#define REALTIME_NET_TCP_PROGRESS_H_

#include <cstdint>

namespace realtime {

// Bytes the peer's kernel has acknowledged since the connection began; 0 when this kernel does not tell.
uint64_t AckedBytes(int fd);

// Milliseconds since data last came from the peer, read or not; -1 when this kernel does not tell.
int64_t MsSinceReceived(int fd);

}  // namespace realtime

#endif  // REALTIME_NET_TCP_PROGRESS_H_
