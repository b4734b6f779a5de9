// The libwebsockets context: adopts accepted connections, turns its callbacks into calls of the engine.
#ifndef REALTIME_NET_SERVER_H_
#define REALTIME_NET_SERVER_H_

#include <uv.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/engine.h"
#include "core/settings.h"
#include "net/calls.h"
#include "net/sockets.h"

struct lws;
struct lws_context;
struct lws_vhost;

namespace realtime {

class Server {
 public:
  // `seed` is random: it makes request ids.
  Server(Engine* engine, Sockets* sockets, SettingsPtr settings, uint64_t seed = 0);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // `descriptors` is this process's soft limit of open files.
  Status Open(uv_loop_t* loop, int descriptors);
  // Destroying takes two steps with turns of the loop between them, in which libwebsockets closes its handles.
  void BeginClose();
  void FinishClose();

  void SetSettings(SettingsPtr settings) { settings_ = std::move(settings); }
  // While refusing, handshakes are answered with 503.
  void SetRefusing(bool refusing) { refusing_ = refusing; }

  // Called after every callback that may have queued, closed or written something.
  void OnActivity(std::function<void()> f) { activity_ = std::move(f); }
  // Makes the page of GET /metrics.
  void OnMetrics(std::function<std::string()> f) { metrics_ = std::move(f); }

  // Takes ownership of the descriptor. `line` is the request's first.
  void Adopt(int fd, GuestPtr guest, RequestLine line, Now accepted);

 private:
  struct Protocols;

  static int Callback(lws* wsi, int reason, void* in, size_t length) noexcept;
  int Dispatch(lws* wsi, Socket* socket, int reason, void* in, size_t length);
  int OnHttp(lws* wsi, Socket* socket);
  void AnswerMetrics(lws* wsi, bool is_head);
  int OnUpgrade(lws* wsi, Socket* socket, const char* upgrade);
  std::optional<Refusal> Bar(lws* wsi, Socket* socket) const;
  bool ChooseSubprotocol(lws* wsi);
  void OnEstablished(Socket* socket);
  int OnPeerClose(lws* wsi, Socket* socket, std::string_view payload);
  void OnMessage(Socket* socket, std::string_view fragment);

  Engine* const engine_;
  Sockets* const sockets_;
  Calls calls_;
  SettingsPtr settings_;
  std::function<void()> activity_ = [] {};
  std::function<std::string()> metrics_ = [] { return std::string(); };
  std::unique_ptr<Protocols> protocols_;
  lws_context* context_ = nullptr;
  lws_vhost* vhost_ = nullptr;
  bool refusing_ = false;
};

}  // namespace realtime

#endif  // REALTIME_NET_SERVER_H_
