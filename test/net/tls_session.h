// The client's side of TLS without a socket: bytes in, bytes out. So tests can send them in pieces, or only half of them.
#ifndef REALTIME_TEST_NET_TLS_SESSION_H_
#define REALTIME_TEST_NET_TLS_SESSION_H_

#include <memory>
#include <string>
#include <string_view>

struct ssl_ctx_st;
struct ssl_st;

namespace realtime::test {

class TlsSession {
 public:
  // The newest version that is spoken: TLS1_2_VERSION, ... Zero: the newest there is.
  explicit TlsSession(int newest_version = 0);

  // One step of the handshake with what has been received; TakeOutput has the bytes to be sent. False: it has failed.
  bool Advance();
  bool ready() const { return ready_; }
  // Once it is ready.
  std::string PeerName() const;  // the common name in the server's certificate
  std::string Version() const;   // "TLSv1.3"

  std::string Encrypt(std::string_view plain);
  std::string Goodbye();  // close_notify
  std::string TakeOutput();

  void Receive(std::string_view bytes);
  // Appends what can be decrypted. False: the server has ended the stream, or broken the protocol.
  bool Decrypt(std::string* plain);
  // The server has said that nothing more comes: what came was all of it.
  bool complete() const { return complete_; }

 private:
  std::unique_ptr<ssl_ctx_st, void (*)(ssl_ctx_st*)> context_;
  std::unique_ptr<ssl_st, void (*)(ssl_st*)> ssl_;
  bool ready_ = false;
  bool complete_ = false;
};

}  // namespace realtime::test

#endif  // REALTIME_TEST_NET_TLS_SESSION_H_
