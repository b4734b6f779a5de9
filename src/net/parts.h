// What lives on the network thread's stack while it runs, in the order of construction, and how a connection passes from one
// to the next: listener, admission, TLS or the look at the first line, server.
#ifndef REALTIME_NET_PARTS_H_
#define REALTIME_NET_PARTS_H_

#include <uv.h>

#include <optional>
#include <string>

#include "core/engine.h"
#include "net/admission.h"
#include "net/back_pressure.h"
#include "net/census.h"
#include "net/first_line.h"
#include "net/listener.h"
#include "net/lws_log.h"
#include "net/server.h"
#include "net/sockets.h"
#include "net/tls.h"

namespace realtime {

struct Parts {
  Parts(uv_loop_t* uv, SettingsPtr settings, DatabaseMailbox* outbox);

  // Opens and closes the listening sockets, and takes the certificate into use. A new certificate that is broken leaves the
  // old one in use; without any that works nothing listens: what should be encrypted is not served in plain text.
  void Listen(const Settings& settings, Now now);

  LwsLog log;
  Admission admission;  // before whatever holds its guests
  Sockets sockets;
  Engine engine;
  BackPressure back_pressure;
  Census census;
  Server server;
  FirstLine first_line;
  Tls tls;
  Listener listener;

 private:
  void Receive(int fd, std::string peer, Now now);
  void UseCertificate(const Settings& settings);

  DatabaseMailbox* const outbox_;
  bool encrypts_ = false;
  std::string problem_;  // with the certificate, as logged
};

struct ClientCap {
  int descriptors = 0;  // how many there are; zero before the first call
  int possible = 0;     // clients, at the last call
  int wanted = 0;
};
// Lowers max_connections to what the process's descriptors allow, and returns a line that says so, unless the last call has.
std::optional<LogLine> ClampClients(SettingsPtr* settings, ClientCap* cap);

}  // namespace realtime

#endif  // REALTIME_NET_PARTS_H_
