#include "net/sockets.h"

#include <libwebsockets.h>
#include <malloc.h>
#include <sys/socket.h>

#include <algorithm>

#include "net/loop.h"
#include "net/tcp_progress.h"

namespace realtime {
namespace {

constexpr int64_t kHandshakeMs = 10000;
constexpr int64_t kCloseMs = 5000;      // for the queue and the close frame
constexpr int64_t kCloseSlowMs = 1000;  // a peer cut for slowness has had its chance
constexpr int64_t kMaxPauseMs = 60000;  // of a client that sends more than it may
constexpr size_t kJoinBytes = 64 * 1024;
constexpr size_t kMaxCloseReason = 123;  // RFC 6455 5.5: 125 bytes with the code

// Cuts at a character's start.
std::string_view Truncated(std::string_view text, size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
  return text.substr(0, limit);
}

// By all threads of the process.
void GiveBackMemory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

}  // namespace

Sockets::Sockets(DatabaseMailbox* outbox, SettingsPtr settings)
    : outbox_(outbox), settings_(std::move(settings)), intake_(outbox), join_buffer_(LWS_PRE + kJoinBytes) {}

Sockets::~Sockets() = default;

Socket* Sockets::Add(lws* wsi, int fd, GuestPtr guest, RequestLine line, Now accepted) {
  auto owned = std::make_unique<Socket>();
  Socket* socket = owned.get();
  socket->wsi = wsi;
  socket->fd = fd;
  socket->guest = std::move(guest);
  socket->target = std::move(line.target);
  socket->malformed = line.malformed;
  all_.emplace(socket, std::move(owned));
  SetDeadline(socket, accepted.mono_ms + kHandshakeMs);
  return socket;
}

void Sockets::Opened(Socket* socket, SessionId session, Now now) {
  socket->state = Socket::State::kOpen;
  socket->session = session;
  socket->last_progress_ms = now.mono_ms;
  by_session_[session] = socket;
  ++clients_;
}

void Sockets::Established(Socket* socket) {
  socket->established = true;
  if (socket->state == Socket::State::kOpen) SetDeadline(socket, INT64_MAX);
  if (!socket->queue.empty() || socket->state == Socket::State::kClosing) lws_callback_on_writable(socket->wsi);
}

SessionId Sockets::Closed(Socket* socket) {
  SessionId known = socket->state == Socket::State::kOpen ? socket->session : 0;
  if (known != 0) by_session_.erase(known);
  if (socket->state != Socket::State::kHandshake) socket->state = Socket::State::kClosed;
  socket->queue.Clear();
  socket->in_flight = 0;
  socket->message = {};
  intake_.Forget(socket);
  UpdateWatch(socket);
  return known;
}

void Sockets::Remove(Socket* socket) {
  if (socket->state != Socket::State::kHandshake) --clients_;
  SetDeadline(socket, INT64_MAX);
  watched_.erase(socket);
  own_memory_ -= socket->own_memory;
  unfinished_ -= socket->unfinished;
  waiting_ -= socket->waits;
  intake_.Forget(socket);
  EndCall(socket);
  if (socket->state == Socket::State::kOpen) by_session_.erase(socket->session);
  all_.erase(socket);
}

Socket* Sockets::Find(SessionId session) const {
  auto it = by_session_.find(session);
  return it == by_session_.end() ? nullptr : it->second;
}

bool Sockets::Write(Socket* socket, Now now) {
  // libwebsockets flushes the rest of the last write first, and calls again. Anything written before that would be
  // appended to a copy of its own.
  if (lws_partial_buffered(socket->wsi)) return true;
  if (socket->in_flight > 0) {
    socket->in_flight = 0;
    socket->last_progress_ms = now.mono_ms;
  }
  if (socket->queue.empty()) {
    socket->held_ms = 0;
    UpdateWatch(socket);
    if (socket->state == Socket::State::kClosing) socket->state = Socket::State::kClosed;
    return true;
  }
  std::string_view bytes = socket->queue.Peek(join_buffer_.data() + LWS_PRE, kJoinBytes);
  // Never more than the buffer: what the kernel does not take, libwebsockets copies, for each socket anew.
  auto* start = reinterpret_cast<unsigned char*>(join_buffer_.data() + LWS_PRE);
  int written = lws_write(socket->wsi, start, bytes.size(), LWS_WRITE_RAW);
  if (written < 0) return false;
  if (lws_partial_buffered(socket->wsi)) {
    socket->in_flight = bytes.size();
  } else {
    socket->last_progress_ms = now.mono_ms;
  }
  socket->queue.Pop();
  UpdateWatch(socket);
  if (!socket->queue.empty() || socket->in_flight > 0 || socket->state == Socket::State::kClosing) {
    lws_callback_on_writable(socket->wsi);
  }
  return true;
}

void Sockets::Send(SessionId session, SharedBytes frame) {
  Socket* socket = Find(session);
  if (socket == nullptr || !frame) return;
  bool was_empty = socket->queue.empty();
  socket->bytes_out += frame->size();
  bytes_out_ += frame->size();
  socket->queue.Push(std::move(frame));
  if (was_empty) {
    // Patience with the peer begins when there is something for it to take.
    if (socket->in_flight == 0) socket->last_progress_ms = now_ms_;
    lws_callback_on_writable(socket->wsi);
  }
  UpdateWatch(socket);
  if (!in_delivery_ && socket->queued() > settings_->max_client_queue) overflowed_.push_back(session);
}

void Sockets::Close(SessionId session, CloseCode code, std::string_view reason) {
  Socket* socket = Find(session);
  if (socket == nullptr) return;
  by_session_.erase(session);
  socket->state = Socket::State::kClosing;
  socket->message = {};
  intake_.Release(socket);
  bool slow = code == CloseCode::kPolicyViolation;
  if (slow) socket->queue.Clear();
  // The close frame takes its place in the queue like any other: libwebsockets does not know about it, and would hang up
  // without one here.
  uint16_t number = static_cast<uint16_t>(code);
  std::string payload{static_cast<char>(number >> 8), static_cast<char>(number & 0xff)};
  payload += Truncated(reason, kMaxCloseReason);
  socket->queue.Push(MakeFrame(Opcode::kClose, payload));
  UpdateWatch(socket);
  // Behind bytes that the peer does not take, a close frame has no chance, and the bytes are to go.
  const bool hopeless = slow && socket->in_flight > 0 && short_of_memory();
  SetDeadline(socket, ReadClock().mono_ms + (hopeless ? 0 : slow ? kCloseSlowMs : kCloseMs));
  lws_callback_on_writable(socket->wsi);
}

void Sockets::ToDatabase(realtime::ToDatabase message) {
  Post(std::move(message), outbox_);
  intake_.NoteWork();
}

void Sockets::SlowDown(SessionId session, int64_t ms, Now now) {
  Socket* socket = Find(session);
  if (socket != nullptr) intake_.SlowDown(socket, now.mono_ms + std::clamp<int64_t>(ms, 1, kMaxPauseMs));
}

int64_t Sockets::LastReceived(SessionId session, Now now) {
  Socket* socket = Find(session);
  if (socket == nullptr) return 0;
  if (intake_.IsPaused(socket)) return now.mono_ms;  // what it has sent waits for us
  int64_t ago = MsSinceReceived(socket->guest->fd);
  return ago < 0 ? 0 : now.mono_ms - ago;
}

void Sockets::CountMemory(Socket* socket) {
  // What is closing holds it for a second or a few, and nothing can be done about it.
  const bool open = socket->state == Socket::State::kOpen;
  const size_t unfinished = open && socket->in_message ? socket->message.capacity() : 0;
  const size_t own = open ? socket->in_flight + socket->queue.own_memory() + unfinished : 0;
  const bool waits = open && socket->queued() > 0;
  own_memory_ += own - std::exchange(socket->own_memory, own);
  unfinished_ += unfinished - std::exchange(socket->unfinished, unfinished);
  waiting_ += size_t{waits} - std::exchange(socket->waits, waits);
}

void Sockets::UpdateWatch(Socket* socket) {
  CountMemory(socket);
  bool above = socket->state == Socket::State::kOpen && socket->queued() > settings_->max_client_queue / 4;
  if (above == socket->above_watch) return;
  socket->above_watch = above;
  if (above) {
    socket->acked_bytes = AckedBytes(socket->guest->fd);
    watched_.insert(socket);
  } else {
    watched_.erase(socket);
  }
}

void Sockets::SampleProgress(Now now) {
  auto sample = [&](Socket* socket) {
    uint64_t acked = AckedBytes(socket->guest->fd);
    if (acked == socket->acked_bytes) return;
    socket->acked_bytes = acked;
    socket->last_progress_ms = now.mono_ms;
  };
  if (!short_of_memory()) {
    for (Socket* socket : watched_) sample(socket);
  } else {
    for (const auto& [session, socket] : by_session_) {
      if (socket->queued() > 0) sample(socket);
    }
  }
}

std::vector<Socket*> Sockets::Holders() const {
  std::vector<Socket*> holders;
  for (const auto& [session, socket] : by_session_) {
    if (socket->waits || socket->unfinished > 0) holders.push_back(socket);
  }
  return holders;
}

void Sockets::DropClosing() {
  for (const auto& [socket, owned] : all_) {
    if (socket->state != Socket::State::kClosing || socket->queue.empty()) continue;
    socket->queue.Clear();
    SetDeadline(socket, now_ms_);
  }
}

size_t Sockets::QueuedBytes() const {
  size_t sum = 0;
  for (const auto& [session, socket] : by_session_) sum += socket->queued();
  return sum;
}

std::vector<SessionId> Sockets::TakeOverflowed() { return std::exchange(overflowed_, {}); }

void Sockets::SetDeadline(Socket* socket, int64_t mono_ms) {
  if (socket->deadline_ms != INT64_MAX) deadlines_.erase({socket->deadline_ms, socket});
  socket->deadline_ms = mono_ms;
  if (mono_ms != INT64_MAX) deadlines_.insert({mono_ms, socket});
}

void Sockets::Tick(Now now) {
  now_ms_ = now.mono_ms;
  intake_.Tick(*settings_, now);
  while (!deadlines_.empty() && deadlines_.begin()->first <= now.mono_ms) {
    Socket* socket = deadlines_.begin()->second;
    SetDeadline(socket, INT64_MAX);
    OnDeadline(socket);
  }
  burst_.Note(memory(), now.mono_ms);
  if (burst_.TakeEnd(now.mono_ms)) GiveBackMemory();
}

void Sockets::OnDeadline(Socket* socket) {
  if (socket->state == Socket::State::kOpen && socket->established) return;
  Exchange* exchange = socket->exchange.get();
  if (exchange != nullptr && exchange->state == Exchange::State::kReading) {
    SetAnswer(socket, ErrorAnswer(408, "The body did not arrive in time"));
  } else if (exchange != nullptr && exchange->state == Exchange::State::kWaiting) {
    SetAnswer(socket, ErrorAnswer(503, "The database did not answer in time"));
  } else {
    // libwebsockets notices in its own time and closes by its usual way, whatever state the connection is in.
    shutdown(socket->fd, SHUT_RDWR);
  }
}

int64_t Sockets::NextDeadline(Now now) const {
  int64_t look = std::min(intake_.NextLook(*settings_, now), burst_.Deadline());
  return deadlines_.empty() ? look : std::min(look, deadlines_.begin()->first);
}

}  // namespace realtime
