// A WebSocket client that can misbehave: raw TCP, or TLS on it, frames made by hand.
#ifndef REALTIME_TEST_NET_CLIENT_H_
#define REALTIME_TEST_NET_CLIENT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "tls_session.h"

namespace realtime::test {

struct Frame {
  int opcode = -1;  // -1: none within the time limit; -2: the connection ended
  std::string payload;

  int close_code() const;  // of a close frame
};

class Client {
 public:
  Client() = default;
  ~Client() { Disconnect(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // From the next Connect on, which then includes the handshake. See TlsSession for the version.
  void SpeakTls(int newest_version = 0);
  const TlsSession& tls() const { return *tls_; }

  // Makes the socket (IPv4) that the next Connect uses, for when there will be no descriptor left then.
  bool Prepare();
  // The same, with this address as its own.
  bool PrepareFrom(const std::string& address);
  bool Connect(int port, const std::string& address = "127.0.0.1", int receive_buffer = 0);
  void Disconnect();
  void Reset();  // the server's next look finds an error instead of the end

  bool SendRaw(std::string_view bytes);  // with TLS: encrypted
  bool SendUnencrypted(std::string_view bytes);
  void EndSending();  // the server reads the end; its answers still come
  // What has come, or comes next; empty at the end or on time-out.
  std::string ReadSome(int timeout_ms = 5000);
  // Reads until the head of an HTTP response and its content-length are complete, or the end. Empty on time-out.
  std::string ReadResponse(int timeout_ms = 5000);

  // The handshake with this query ("apikey=...&vsn=2.0.0") and extra header lines (each with its CRLF); the response.
  std::string Upgrade(const std::string& query, const std::string& headers = "",
                      const std::string& path = "/realtime/v1/websocket");
  // The same without waiting for the response.
  bool SendUpgrade(const std::string& query, const std::string& headers = "",
                   const std::string& path = "/realtime/v1/websocket");
  // Connect, handshake with a valid token, join realtime:`topic` with one postgres_changes binding. True when joined
  // and the "system" message that follows the reply has come.
  bool Join(int port, const std::string& topic, int receive_buffer = 0);

  bool SendFrame(int opcode, std::string_view payload, bool fin = true, bool masked = true);
  bool SendText(std::string_view text) { return SendFrame(1, text); }
  // A message that comes in fragments is one frame here.
  Frame ReadFrame(int timeout_ms = 5000);
  // Skips frames until one contains `part`.
  bool ReadUntil(const std::string& part, int timeout_ms = 10000);
  // True when the server ends the connection within the time, whatever it sends before.
  bool WaitForEnd(int timeout_ms);

 private:
  bool Handshake();
  bool Fill(int timeout_ms);  // one read, into buffer_; false: nothing came or the end

  int fd_ = -1;
  bool speaks_tls_ = false;
  int newest_version_ = 0;
  std::unique_ptr<TlsSession> tls_;  // while connected
  bool prepared_ = false;
  bool ended_ = false;
  std::string buffer_;
  size_t used_ = 0;
  Frame partial_;  // fragments of a message so far
};

int StatusOf(const std::string& response);
std::string BodyOf(const std::string& response);

}  // namespace realtime::test

#endif  // REALTIME_TEST_NET_CLIENT_H_
