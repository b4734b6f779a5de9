#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "net/loop.h"

namespace realtime {
namespace {

constexpr int64_t kRetryMs = 5000;         // a port that could not be bound
constexpr int64_t kDescriptorWaitMs = 250; // after EMFILE
constexpr int kAcceptsPerTurn = 64;        // so that a storm of connections does not starve the sockets that are there
constexpr int kBacklog = 1024;
constexpr int kOtherDescriptors = 128;     // files of the backend, log, pipes, handshakes beyond the cap
constexpr rlim_t kMaxUsefulLimit = 1u << 20;

union Address {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

struct Wanted {
  Address address{};
  socklen_t length = 0;
  std::string name;       // "127.0.0.1:4000", "[::1]:4000"
  bool optional = false;  // the IPv6 half of "localhost" and "*": hosts without IPv6 are not worth a warning
};

bool MakeAddress(const std::string& text, int port, Wanted* out) {
  memset(&out->address, 0, sizeof(out->address));
  uint16_t network_port = htons(static_cast<uint16_t>(port));
  if (inet_pton(AF_INET, text.c_str(), &out->address.v4.sin_addr) == 1) {
    out->address.v4.sin_family = AF_INET;
    out->address.v4.sin_port = network_port;
    out->length = sizeof(sockaddr_in);
    out->name = text + ":" + std::to_string(port);
    return true;
  }
  if (inet_pton(AF_INET6, text.c_str(), &out->address.v6.sin6_addr) == 1) {
    out->address.v6.sin6_family = AF_INET6;
    out->address.v6.sin6_port = network_port;
    out->length = sizeof(sockaddr_in6);
    out->name = "[" + text + "]:" + std::to_string(port);
    return true;
  }
  return false;
}

std::vector<Wanted> Expand(const Settings& settings, std::vector<std::string>* bad) {
  std::vector<Wanted> all;
  auto add = [&](const std::string& text, bool optional) {
    Wanted wanted;
    if (!MakeAddress(text, settings.port, &wanted)) {
      bad->push_back(text);
      return;
    }
    wanted.optional = optional;
    bool known = std::any_of(all.begin(), all.end(), [&](const Wanted& w) { return w.name == wanted.name; });
    if (!known) all.push_back(wanted);
  };
  for (const std::string& text : settings.listen_addresses) {
    if (text == "localhost") {
      add("127.0.0.1", false);
      add("::1", true);
    } else if (text == "*") {
      add("0.0.0.0", false);
      add("::", true);
    } else {
      add(text, false);
    }
  }
  return all;
}

// Returns the listening socket or -errno.
int OpenSocket(const Wanted& wanted) {
  int fd = socket(wanted.address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  int on = 1;
  bool ok = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0;
  if (ok && wanted.address.any.sa_family == AF_INET6) {
    ok = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0;
  }
  ok = ok && bind(fd, &wanted.address.any, wanted.length) == 0 && listen(fd, kBacklog) == 0;
  if (ok) return fd;
  int error = errno;
  close(fd);
  return -error;
}

std::string PeerName(const Address& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.any.sa_family == AF_INET) {
    inet_ntop(AF_INET, &address.v4.sin_addr, text, sizeof(text));
  } else if (address.any.sa_family == AF_INET6) {
    inet_ntop(AF_INET6, &address.v6.sin6_addr, text, sizeof(text));
  }
  return text;
}

std::string HintFor(int error) {
  switch (error) {
    case EADDRINUSE:
      return "Another server is using this port. Stop it, or change \"realtime.port\". It is tried again every 5 s.";
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
      return "The address is not one of this host's. Check \"realtime.listen_addresses\".";
    case EACCES:
      return "Ports below 1024 need a privilege that the server does not have. Change \"realtime.port\".";
    default:
      return "";
  }
}

}  // namespace

int ClampConnections(int wanted, int* descriptors, int each) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = limit.rlim_max = 1024;
  rlim_t needed = static_cast<rlim_t>(std::max(wanted, 1)) * static_cast<rlim_t>(each) + kOtherDescriptors;
  rlim_t target = limit.rlim_cur;
  if (target < needed) target = std::min(needed, limit.rlim_max);
  if (target > kMaxUsefulLimit) target = std::max(needed, kMaxUsefulLimit);
  if (target != limit.rlim_cur) {
    rlimit changed{target, limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &changed) != 0) target = limit.rlim_cur;
  }
  *descriptors = static_cast<int>(std::min<rlim_t>(target, 1 << 30));
  return ConnectionsWithin(*descriptors, wanted, each);
}

int ConnectionsWithin(int descriptors, int wanted, int each) {
  return std::clamp((descriptors - kOtherDescriptors) / each, 1, std::max(wanted, 1));
}

struct Listener::Endpoint {
  Listener* owner = nullptr;
  Wanted wanted;
  int fd = -1;
  int last_error = 0;
  int64_t retry_at_ms = INT64_MAX;
  uv_poll_t* poll = nullptr;  // freed by its own close callback

  ~Endpoint() {
    if (poll != nullptr) {
      poll->data = nullptr;
      uv_close(reinterpret_cast<uv_handle_t*>(poll),
               [](uv_handle_t* handle) { delete reinterpret_cast<uv_poll_t*>(handle); });
    }
    // uv_close has taken the descriptor out of epoll already.
    if (fd >= 0) close(fd);
  }
};

Listener::Listener(uv_loop_t* loop, Accept accept, Log log)
    : loop_(loop), accept_(std::move(accept)), log_(std::move(log)) {}

Listener::~Listener() = default;

void Listener::Close() { endpoints_.clear(); }

size_t Listener::open_count() const {
  auto open = [](const auto& endpoint) { return endpoint->fd >= 0; };
  return static_cast<size_t>(std::count_if(endpoints_.begin(), endpoints_.end(), open));
}

void Listener::Apply(const Settings& settings, int64_t mono_ms) {
  if (!settings.serving) {
    Close();
    return;
  }
  std::vector<std::string> bad;
  std::vector<Wanted> wanted = Expand(settings, &bad);
  for (const std::string& text : bad) {
    if (std::find(bad_.begin(), bad_.end(), text) != bad_.end()) continue;
    log_({LogLevel::kWarning, "cannot listen on \"" + text + "\": not an address",
          "\"realtime.listen_addresses\" takes numeric addresses, \"localhost\" and \"*\"."});
  }
  bad_ = std::move(bad);
  std::vector<std::unique_ptr<Endpoint>> kept;
  for (const Wanted& w : wanted) {
    for (auto& endpoint : endpoints_) {
      if (endpoint && endpoint->wanted.name == w.name) kept.push_back(std::move(endpoint));
    }
  }
  // Those not kept are closed first: "*" cannot be bound while "127.0.0.1" is.
  endpoints_ = std::move(kept);
  for (const Wanted& w : wanted) {
    bool known = std::any_of(endpoints_.begin(), endpoints_.end(),
                             [&](const auto& endpoint) { return endpoint->wanted.name == w.name; });
    if (known) continue;
    auto endpoint = std::make_unique<Endpoint>();
    endpoint->owner = this;
    endpoint->wanted = w;
    endpoints_.push_back(std::move(endpoint));
    TryOpen(endpoints_.back().get(), mono_ms);
  }
}

void Listener::TryOpen(Endpoint* endpoint, int64_t mono_ms) {
  endpoint->retry_at_ms = mono_ms + kRetryMs;
  int fd = OpenSocket(endpoint->wanted);
  if (fd < 0) {
    ReportFailure(endpoint, -fd);
    return;
  }
  auto poll = std::make_unique<uv_poll_t>();
  int error = uv_poll_init(loop_, poll.get(), fd);
  if (error != 0) {
    close(fd);
    ReportFailure(endpoint, -error);
    return;
  }
  endpoint->fd = fd;
  endpoint->poll = poll.release();
  endpoint->poll->data = endpoint;
  endpoint->last_error = 0;
  endpoint->retry_at_ms = INT64_MAX;
  StartPolling(endpoint);
  log_({LogLevel::kInfo, "listening for Realtime clients on " + endpoint->wanted.name, ""});
}

void Listener::ReportFailure(Endpoint* endpoint, int error) {
  if (error == endpoint->last_error) return;
  endpoint->last_error = error;
  bool no_ipv6 = error == EADDRNOTAVAIL || error == EAFNOSUPPORT;
  LogLevel level = endpoint->wanted.optional && no_ipv6 ? LogLevel::kDebug : LogLevel::kWarning;
  log_({level, "cannot listen on " + endpoint->wanted.name + ": " + uv_strerror(uv_translate_sys_error(error)),
        HintFor(error)});
}

void Listener::StartPolling(Endpoint* endpoint) {
  if (paused_ || out_of_descriptors_ || endpoint->poll == nullptr) return;
  uv_poll_start(endpoint->poll, UV_READABLE, [](uv_poll_t* handle, int, int) {
    Endpoint* self = static_cast<Endpoint*>(handle->data);
    if (self == nullptr) return;
    try {
      self->owner->AcceptSome(self);
    } catch (...) {
      // No memory for one more client: it was not accepted, or its descriptor was closed by the acceptor.
    }
  });
}

void Listener::AcceptSome(Endpoint* endpoint) {
  for (int i = 0; i < kAcceptsPerTurn && !paused_; ++i) {
    Address address{};
    socklen_t length = sizeof(address);
    int fd = accept4(endpoint->fd, &address.any, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      descriptors_reported_ = false;
      accept_(fd, PeerName(address));
      continue;
    }
    const int error = errno;
    if (error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS) {
      out_of_descriptors_ = true;
      resume_at_ms_ = ReadClock().mono_ms + kDescriptorWaitMs;
      for (auto& e : endpoints_) {
        if (e->poll != nullptr) uv_poll_stop(e->poll);
      }
      if (!descriptors_reported_) {
        log_({LogLevel::kWarning,
              std::string("cannot accept more Realtime clients: ") + uv_strerror(uv_translate_sys_error(error)),
              "Raise the limit of open files, or lower \"realtime.max_connections\"."});
      }
      descriptors_reported_ = true;
      return;
    }
    // EAGAIN: all accepted. Anything else concerns the connection that has just gone; poll calls again if there are more.
    return;
  }
}

void Listener::Pause(bool paused) {
  if (paused == paused_) return;
  paused_ = paused;
  for (auto& endpoint : endpoints_) {
    if (endpoint->poll == nullptr) continue;
    if (paused) {
      uv_poll_stop(endpoint->poll);
    } else {
      StartPolling(endpoint.get());
    }
  }
}

void Listener::Tick(int64_t mono_ms) {
  if (mono_ms >= resume_at_ms_) {
    resume_at_ms_ = INT64_MAX;
    out_of_descriptors_ = false;
    for (auto& endpoint : endpoints_) StartPolling(endpoint.get());
  }
  for (auto& endpoint : endpoints_) {
    if (endpoint->fd < 0 && mono_ms >= endpoint->retry_at_ms) TryOpen(endpoint.get(), mono_ms);
  }
}

int64_t Listener::NextDeadline() const {
  int64_t next = resume_at_ms_;
  for (const auto& endpoint : endpoints_) next = std::min(next, endpoint->retry_at_ms);
  return next;
}

}  // namespace realtime
