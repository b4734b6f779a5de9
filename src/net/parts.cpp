#include "net/parts.h"

#include <unistd.h>

#include <memory>
#include <utility>

#include "net/loop.h"

namespace realtime {
namespace {

constexpr char kCertificateHint[] =
    "Check the files that \"realtime.ssl_cert_file\" and \"realtime.ssl_key_file\" name, and reload.";

}  // namespace

Parts::Parts(uv_loop_t* uv, SettingsPtr settings, DatabaseMailbox* outbox)
    : log(outbox),
      admission([outbox](LogLine line) { Post<ToDatabase>(std::move(line), outbox); }),
      sockets(outbox, settings),
      engine(settings, &sockets, RandomSeed()),
      back_pressure(&sockets, &engine),
      census(&engine, &sockets, outbox),
      server(&engine, &sockets, settings, RandomSeed()),
      first_line(uv,
                 [this](int fd, GuestPtr guest, RequestLine line, Now accepted) {
                   server.Adopt(fd, std::move(guest), std::move(line), accepted);
                 }),
      tls(uv,
          [this](int fd, GuestPtr guest, RequestLine line, Now accepted) {
            server.Adopt(fd, std::move(guest), std::move(line), accepted);
          }),
      listener(uv, [this](int fd, std::string peer) { Receive(fd, std::move(peer), ReadClock()); },
               [outbox](LogLine line) { Post<ToDatabase>(std::move(line), outbox); }),
      outbox_(outbox) {}

void Parts::Receive(int fd, std::string peer, Now now) {
  GuestPtr guest = admission.Arrive(fd, std::move(peer), now);
  if (guest == nullptr) {
    close(fd);
  } else if (encrypts_) {
    tls.Add(fd, std::move(guest), now);
  } else {
    first_line.Add(fd, std::move(guest), now);
  }
}

void Parts::Listen(const Settings& settings, Now now) {
  UseCertificate(settings);
  if (std::exchange(encrypts_, settings.ssl) != settings.ssl) first_line.Close();
  if (settings.ssl && !tls.has_context()) {
    listener.Close();
  } else {
    listener.Apply(settings, now.mono_ms);
  }
}

void Parts::UseCertificate(const Settings& settings) {
  if (!settings.ssl) {
    tls.SetContext(nullptr);
    problem_.clear();
    return;
  }
  std::string problem;
  if (settings.ssl_certificate.empty() || settings.ssl_key.empty()) {
    problem = "a file of the TLS certificate could not be read";
  } else {
    Result<TlsContextPtr> made = MakeTlsContext(settings.ssl_certificate, settings.ssl_key);
    if (made.ok()) tls.SetContext(std::move(made.value));
    problem = made.status.message();
  }
  if (!problem.empty()) {
    problem += tls.has_context() ? "; the certificate before it stays in use" : "; nothing is served, because realtime.ssl is on";
  }
  if (problem_ == problem) return;
  problem_ = problem;
  if (problem.empty()) {
    Post<ToDatabase>(LogLine{LogLevel::kInfo, "the TLS certificate is in use", ""}, outbox_);
  } else {
    Post<ToDatabase>(LogLine{LogLevel::kWarning, problem, kCertificateHint}, outbox_);
  }
}

std::optional<LogLine> ClampClients(SettingsPtr* settings, ClientCap* cap) {
  // libwebsockets' tables have the size of the limit at the start: a reload cannot raise it, but may switch TLS on.
  const int wanted = (*settings)->max_connections;
  const int each = (*settings)->ssl ? Tls::kDescriptorsEach : 1;
  if (cap->descriptors == 0) ClampConnections(wanted, &cap->descriptors, Tls::kDescriptorsEach);
  const int possible = ConnectionsWithin(cap->descriptors, wanted, each);
  const bool said = possible == cap->possible && wanted == cap->wanted;
  cap->possible = possible;
  cap->wanted = wanted;
  if (possible >= wanted) return std::nullopt;
  auto clamped = std::make_shared<Settings>(**settings);
  clamped->max_connections = possible;
  *settings = std::move(clamped);
  if (said) return std::nullopt;
  return LogLine{LogLevel::kWarning,
                 "serving at most " + std::to_string(possible) + " Realtime clients instead of " + std::to_string(wanted),
                 "The limit of open files is too low for \"realtime.max_connections\". It is read when the server starts."};
}

}  // namespace realtime
