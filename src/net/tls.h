// TLS before libwebsockets, which knows nothing of it: each connection is decrypted here, and libwebsockets gets one end of a
// pair of sockets that stands for it. So paths are seen as they were sent (net/request_line.h), frames go as they do without
// TLS, and a new certificate needs no new virtual host. The price: three descriptors for a connection, and one more copy.
#ifndef REALTIME_NET_TLS_H_
#define REALTIME_NET_TLS_H_

#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "net/admission.h"
#include "net/request_line.h"
#include "net/tls_context.h"

namespace realtime {

struct TlsConnection;

class Tls {
 public:
  // Takes ownership of the descriptor, which stands for the connection until it is closed. See FirstLine::Ready.
  using Ready = std::function<void(int fd, GuestPtr guest, RequestLine line, Now accepted)>;

  static constexpr int kDescriptorsEach = 3;

  Tls(uv_loop_t* loop, Ready ready);
  ~Tls();
  Tls(const Tls&) = delete;
  Tls& operator=(const Tls&) = delete;

  // For connections from now on; those that are there keep theirs.
  void SetContext(TlsContextPtr context) { context_ = std::move(context); }
  bool has_context() const { return context_ != nullptr; }

  // Takes ownership of `fd` (connected, non-blocking). guest->fd is `fd`, which stays open as long as whoever Ready gave the
  // connection to has not closed the other descriptor.
  void Add(int fd, GuestPtr guest, Now now);
  void Close();

  // Connections that nobody else counts: not given to Ready yet, or no longer.
  size_t own_count() const { return all_.size() - given_; }
  // Something that was written is not sent yet.
  bool busy() const { return given_ > 0; }

  // Call at NextDeadline (mono ms; INT64_MAX for never) or later.
  void Tick(Now now);
  int64_t NextDeadline() const;

 private:
  static void OnOuter(uv_poll_t* handle, int status, int events);
  static void OnInner(uv_poll_t* handle, int status, int events);
  void PumpOrDie(TlsConnection* connection) noexcept;
  void Pump(TlsConnection* connection);
  void Request(TlsConnection* connection);
  void Settle(TlsConnection* connection);
  void Remove(TlsConnection* connection);
  void SetDeadline(TlsConnection* connection, int64_t mono_ms);

  uv_loop_t* const loop_;
  const Ready ready_;
  TlsContextPtr context_;
  std::list<std::unique_ptr<TlsConnection>> all_;
  std::set<std::pair<int64_t, TlsConnection*>> deadlines_;
  size_t given_ = 0;  // by Ready, and not closed there yet
  std::vector<char> scratch_;
};

}  // namespace realtime

#endif  // REALTIME_NET_TLS_H_
