// The API over HTTP: reads REST calls for the engine, writes its answers, and answers what needs no engine (preflights, ping).
// Each connection serves one request ("connection: close").
#ifndef REALTIME_NET_CALLS_H_
#define REALTIME_NET_CALLS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/engine.h"
#include "core/presence.h"
#include "core/settings.h"
#include "net/http.h"
#include "net/sockets.h"

namespace realtime {

class Calls {
 public:
  // `seed` is random: it makes request ids.
  Calls(Engine* engine, Sockets* sockets, uint64_t seed) : engine_(engine), sockets_(sockets), names_(seed) {}

  // The callbacks of libwebsockets, and what it is to be told: not 0 ends the connection.
  // `barred`: who asks may not, whatever it is.
  int OnRequest(Socket* socket, const HttpRequest& request, const Settings& settings, bool refusing,
                const std::optional<Refusal>& barred);
  int OnBody(Socket* socket, std::string_view bytes, const Settings& settings);
  int OnBodyEnd(Socket* socket);
  int OnWriteable(Socket* socket);

 private:
  int AnswerNow(Socket* socket, RestAnswer answer, bool body_follows, bool is_head = false);
  int OnPost(Socket* socket, const Settings& settings, bool refusing);
  void Refuse(Socket* socket, int status, std::string_view error);
  void Hand(Socket* socket);
  int Write(Socket* socket);

  Engine* const engine_;
  Sockets* const sockets_;
  NameSource names_;
};

}  // namespace realtime

#endif  // REALTIME_NET_CALLS_H_
