// One TLS connection between its two descriptors. Only net/tls uses it.
#ifndef REALTIME_NET_TLS_CONNECTION_H_
#define REALTIME_NET_TLS_CONNECTION_H_

#include <unistd.h>
#include <uv.h>

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "net/admission.h"
#include "net/request_line.h"
#include "net/tls_context.h"

struct ssl_st;

namespace realtime {

class Tls;

// One descriptor in the loop.
class Watch {
 public:
  ~Watch() { Stop(); }

  // `events` 0: none. False: the loop does not take it.
  bool Set(uv_loop_t* loop, int fd, int events, void* owner, uv_poll_cb callback) {
    if (events == events_) return true;
    if (poll_ == nullptr) {
      auto poll = std::make_unique<uv_poll_t>();
      if (uv_poll_init(loop, poll.get(), fd) != 0) return false;
      poll_ = poll.release();
      poll_->data = owner;
    }
    events_ = events;
    return (events == 0 ? uv_poll_stop(poll_) : uv_poll_start(poll_, events, callback)) == 0;
  }
  // libuv stops looking when it reports an error.
  void Ended() { events_ = 0; }
  // Before the descriptor is closed.
  void Stop() {
    if (poll_ == nullptr) return;
    poll_->data = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(std::exchange(poll_, nullptr)),
             [](uv_handle_t* handle) { delete reinterpret_cast<uv_poll_t*>(handle); });
    events_ = 0;
  }

 private:
  uv_poll_t* poll_ = nullptr;  // freed by its own close callback
  int events_ = 0;
};

//   hello ──(a TLS record)──> handshake ──> request ──(its line, Give)──> open ──(inner closed, flushed)──> ending ──> gone
//     └─(something else: refused)─> ending          open ──(peer gone)──> dead ──(inner closed)──> gone
//
// `outer` is the peer's side, `inner` the one towards libwebsockets. Bytes are only read from one side when all of what was
// read before has been written to the other, so that each side's slowness reaches the other, and little is held here.
// `outer` events are awaited on `fd`, `inner` events on `inner`. The functions advance the state as far as the descriptors let
// them, and say in outer_events and inner_events what to wait for.
struct TlsConnection {
  enum class State : uint8_t { kHello, kHandshake, kRequest, kOpen, kEnding, kDead, kGone };

  Tls* owner = nullptr;
  State state = State::kHello;
  int fd = -1;
  int inner = -1;
  GuestPtr guest;  // until Give
  Now accepted;
  std::unique_ptr<ssl_st, void (*)(ssl_st*)> ssl{nullptr, nullptr};
  std::string up;    // decrypted, to be written to inner
  std::string down;  // to be encrypted
  bool peer_ended = false;
  bool told_inner = false;   // that the peer has ended
  bool inner_ended = false;
  bool given = false;
  bool said_goodbye = false;
  bool inner_hung_up = false;  // noticed while there was still something to send
  int outer_events = 0;
  int inner_events = 0;
  Watch outer_watch;
  Watch inner_watch;
  int64_t deadline_ms = INT64_MAX;
  std::list<std::unique_ptr<TlsConnection>>::iterator place;

  ~TlsConnection() {
    outer_watch.Stop();
    inner_watch.Stop();
    guest.reset();
    if (inner >= 0) close(inner);
    if (fd >= 0) close(fd);
  }

  // What an operation of OpenSSL waits for. False: nothing, it has failed.
  bool Wants(int result);
  // Nothing more comes from the peer or goes to it. Whoever holds the other end is told, and waited for.
  void Die();

  void Hello(const TlsContextPtr& context);
  void Handshake();
  bool ReadRequest(std::vector<char>* scratch, RequestLine* line);
  bool ReadPeer(std::vector<char>* scratch);
  void Feed(std::vector<char>* scratch);
  void WriteInner();
  bool WritePeer(std::string_view bytes);
  void Drain(std::vector<char>* scratch);
  void Discard(std::vector<char>* scratch);
  void SayGoodbye();
};

}  // namespace realtime

#endif  // REALTIME_NET_TLS_CONNECTION_H_
