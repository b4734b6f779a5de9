// The listening sockets. They are ours and not libwebsockets', so that a port in use, a reload and a lack of file
// descriptors are handled without losing the clients that are already there.
#ifndef REALTIME_NET_LISTENER_H_
#define REALTIME_NET_LISTENER_H_

#include <uv.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/door.h"
#include "core/settings.h"

namespace realtime {

// How many of `wanted` client connections this process has descriptors for. Raises the soft RLIMIT_NOFILE towards the
// hard one when that is needed, and lowers an absurdly high one, because libwebsockets sizes tables by it.
// *descriptors is the soft limit afterwards. `each`: how many descriptors a connection takes.
int ClampConnections(int wanted, int* descriptors, int each = 1);
// The same under a limit that is settled already.
int ConnectionsWithin(int descriptors, int wanted, int each = 1);

class Listener {
 public:
  // Takes ownership of `fd` (connected, non-blocking).
  using Accept = std::function<void(int fd, std::string peer)>;
  using Log = std::function<void(LogLine)>;

  Listener(uv_loop_t* loop, Accept accept, Log log);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Opens, keeps or closes sockets so that they are what the settings say. Addresses that fail are tried again by Tick.
  void Apply(const Settings& settings, int64_t mono_ms);
  void Close();
  // Addresses on which somebody can connect.
  size_t open_count() const;
  // While paused no connection is accepted; they wait in the kernel.
  void Pause(bool paused);

  // Call at NextDeadline (mono ms; INT64_MAX for never) or later.
  void Tick(int64_t mono_ms);
  int64_t NextDeadline() const;

 private:
  struct Endpoint;

  void TryOpen(Endpoint* endpoint, int64_t mono_ms);
  void StartPolling(Endpoint* endpoint);
  void AcceptSome(Endpoint* endpoint);
  void ReportFailure(Endpoint* endpoint, int error);

  uv_loop_t* const loop_;
  const Accept accept_;
  const Log log_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
  std::vector<std::string> bad_;  // of the settings: no addresses, as the log says
  bool paused_ = false;
  bool out_of_descriptors_ = false;
  bool descriptors_reported_ = false;
  int64_t resume_at_ms_ = INT64_MAX;
};

}  // namespace realtime

#endif  // REALTIME_NET_LISTENER_H_
