// All connections and what waits for each of them. The engine's sink: it queues; libwebsockets says when to write.
#ifndef REALTIME_NET_SOCKETS_H_
#define REALTIME_NET_SOCKETS_H_

#include <cstdint>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/burst.h"
#include "core/clock.h"
#include "core/engine.h"
#include "core/frame.h"
#include "core/settings.h"
#include "net/admission.h"
#include "net/exchange.h"
#include "net/intake.h"
#include "net/request_line.h"
#include "net/send_queue.h"

struct lws;

namespace realtime {

// One TCP connection from its acceptance to the end of its lws.
struct Socket {
  enum class State : uint8_t {
    kHandshake,  // HTTP, until kHandshakeMs have passed; or a REST call, `exchange`, which has time limits of its own
    kOpen,       // the engine knows it as `session`
    kClosing,    // the engine has forgotten it: flush the queue, whose last frame is the close frame
    kClosed,     // that is done and the peer's answer is awaited, or the peer is gone
  };

  lws* wsi = nullptr;
  int fd = -1;  // what libwebsockets reads and writes; with TLS, that is not the TCP connection, guest->fd is
  State state = State::kHandshake;
  bool established = false;  // the answer to the handshake is written
  SessionId session = 0;
  GuestPtr guest;
  std::string target;        // of a POST, as it was sent
  bool malformed = false;    // its first line
  std::unique_ptr<Exchange> exchange;

  std::string message;  // fragments received so far of one message
  bool message_is_binary = false;
  bool in_message = false;

  uint64_t bytes_in = 0;   // of messages
  uint64_t bytes_out = 0;  // of frames, queued or sent
  SendQueue queue;
  size_t in_flight = 0;  // given to libwebsockets, which has not given all of it to the kernel yet

  // Back-pressure: when the peer last took bytes or had none to take, and how long the stream has waited for it since its
  // queue was empty.
  int64_t last_progress_ms = 0;
  uint64_t acked_bytes = 0;
  int64_t held_ms = 0;
  bool above_watch = false;
  // As counted in Sockets::memory(), unfinished() and waiting().
  size_t own_memory = 0;
  size_t unfinished = 0;
  bool waits = false;

  int64_t deadline_ms = INT64_MAX;  // handshake or close: killed then

  size_t queued() const { return queue.bytes() + in_flight; }
  // What its end would give back, if it shares nothing.
  size_t held() const { return queue.bytes() + own_memory; }
};

class Sockets : public EngineSink {
 public:
  Sockets(DatabaseMailbox* outbox, SettingsPtr settings);
  ~Sockets() override;

  void SetSettings(SettingsPtr settings) { settings_ = std::move(settings); }

  // A new connection in state kHandshake. Removed by Remove, which the end of its lws calls.
  Socket* Add(lws* wsi, int fd, GuestPtr guest, RequestLine line, Now accepted);
  // The engine has accepted the handshake; Established when it is also complete.
  void Opened(Socket* socket, SessionId session, Now now);
  void Established(Socket* socket);
  // The peer is gone or going: nothing is queued for it any more. Returns the session the engine must be told about, or 0.
  SessionId Closed(Socket* socket);
  void Remove(Socket* socket);

  Socket* Find(SessionId session) const;
  size_t count() const { return all_.size(); }

  // May one more REST call be served now? When there are too many, the one whose body has been awaited longest goes, if it
  // has had its chance.
  bool MakeRoomForCall();
  // A REST call begins: its body, if there is one, has to come within a time.
  Exchange& BeginCall(Socket* socket);
  void AwaitBody(Socket* socket);
  // Counts bytes of its body. False: all calls together hold more than `limit`.
  bool HoldForCall(Socket* socket, size_t bytes, size_t limit);
  // The id under which Answer will find it. It is answered with 503 if that takes too long.
  CallId AwaitAnswer(Socket* socket);
  void SetAnswer(Socket* socket, RestAnswer answer);
  // Answered, while the peer still sends: the connection ends with that, or soon, or when many others linger.
  void Linger(Socket* socket);
  size_t call_count() const { return calls_; }

  // The writable callback. False: the connection is broken, end it.
  bool Write(Socket* socket, Now now);

  // EngineSink.
  void Send(SessionId session, SharedBytes frame) override;
  void Close(SessionId session, CloseCode code, std::string_view reason) override;
  void ToDatabase(realtime::ToDatabase message) override;
  void Answer(CallId call, RestAnswer answer) override;
  void SlowDown(SessionId session, int64_t ms, Now now) override;
  int64_t LastReceived(SessionId session, Now now) override;

  // Around the engine's dealing with a message of this socket: what asks more of a database that is behind is not read on.
  void BeforeMessage() { intake_.BeforeMessage(); }
  void AfterMessage(Socket* socket) { intake_.AfterMessage(socket, *settings_); }
  bool MayAccept() const { return intake_.MayAccept(*settings_); }

  // Sockets with more than a quarter of their cap queued. Empty: no delivery needs to be checked.
  const std::unordered_set<Socket*>& watched() const { return watched_; }
  // Asks the kernel whether the peers of the watched sockets take bytes; when memory runs short, of all that wait for some.
  void SampleProgress(Now now);

  // What waits for all sockets: frames, each counted once, and what is every socket's own: its queue, what libwebsockets has
  // copied of it, and what has come of a message that is not complete yet.
  size_t memory() const { return FrameMemory() + own_memory_; }
  bool short_of_memory() const { return memory() > settings_->max_queue_memory / 2; }
  bool over_budget() const { return memory() > settings_->max_queue_memory; }
  // Of this, what has come of messages that are not complete.
  size_t unfinished() const { return unfinished_; }
  // Open sockets that have not taken all that waits for them.
  size_t waiting() const { return waiting_; }
  // Open sockets for which something waits, or that have begun a message: what an idle one keeps does not count.
  std::vector<Socket*> Holders() const;
  // Those that say goodbye give up what they had still to send.
  void DropClosing();
  // After a fragment of a message.
  void CountMemory(Socket* socket);

  // While a delivery is handed out, a queue may pass its cap: back-pressure has judged it before.
  void set_in_delivery(bool in) { in_delivery_ = in; }
  // Sessions whose queue passed the cap otherwise. To be cut by the caller once the engine has returned.
  std::vector<SessionId> TakeOverflowed();

  // Kills connections whose handshake or close takes too long, reads on when the database has caught up, and gives memory back
  // that is not needed any more. Call at every turn of the loop, and at NextDeadline (mono ms) at the latest.
  void Tick(Now now);
  int64_t NextDeadline(Now now) const;
  // Connections past their handshake, with those that wait for the peer to answer the close frame.
  size_t clients() const { return clients_; }

  // Of all clients since the start.
  uint64_t bytes_in() const { return bytes_in_; }
  uint64_t bytes_out() const { return bytes_out_; }
  void CountReceived(Socket* socket, size_t bytes) {
    socket->bytes_in += bytes;
    bytes_in_ += bytes;
  }
  // Looks at each client: not to be asked at every turn.
  size_t QueuedBytes() const;

 private:
  void SetDeadline(Socket* socket, int64_t mono_ms);
  void UpdateWatch(Socket* socket);
  void EndCall(Socket* socket);
  void Enlist(Socket* socket, std::list<Socket*>* list);
  void OnDeadline(Socket* socket);

  DatabaseMailbox* const outbox_;
  SettingsPtr settings_;
  Intake intake_;
  std::unordered_map<Socket*, std::unique_ptr<Socket>> all_;
  std::unordered_map<SessionId, Socket*> by_session_;
  std::unordered_map<CallId, Socket*> by_call_;  // those that wait for the engine
  CallId last_call_ = 0;
  size_t calls_ = 0;
  size_t held_by_calls_ = 0;
  std::list<Socket*> reading_;    // oldest first
  std::list<Socket*> lingering_;  // likewise
  std::unordered_set<Socket*> watched_;
  size_t own_memory_ = 0;
  size_t unfinished_ = 0;
  size_t waiting_ = 0;
  Burst burst_;  // of memory()
  std::vector<SessionId> overflowed_;
  std::set<std::pair<int64_t, Socket*>> deadlines_;
  size_t clients_ = 0;
  uint64_t bytes_in_ = 0;
  uint64_t bytes_out_ = 0;
  bool in_delivery_ = false;
  int64_t now_ms_ = 0;  // of the last Tick
  std::vector<char> join_buffer_;
};

}  // namespace realtime

#endif  // REALTIME_NET_SOCKETS_H_
