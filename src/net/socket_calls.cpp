// Sockets' half of REST calls: which connection an answer goes to, how long it may take, and what all of them may hold.
#include <libwebsockets.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "net/loop.h"
#include "net/sockets.h"

namespace realtime {
namespace {

// A request keeps libwebsockets' header memory until its end. Handshakes need some too (server.cpp has 1,024).
constexpr size_t kMaxCalls = 512;
constexpr size_t kMaxLingering = 128;

constexpr int64_t kBodyMs = 10000;
constexpr int64_t kChanceMs = 1000;  // of a body, while others wait
constexpr int64_t kAnswerMs = 10000;  // of the database; libwebsockets' time-out for the request is off by then
constexpr int64_t kWriteMs = 5000;
constexpr int64_t kLingerMs = 2000;

}  // namespace

bool Sockets::MakeRoomForCall() {
  if (reading_.size() + by_call_.size() < kMaxCalls) return true;
  if (reading_.empty()) return false;
  Socket* oldest = reading_.front();
  if (oldest->deadline_ms - ReadClock().mono_ms > kBodyMs - kChanceMs) return false;
  oldest->exchange->call = {};
  SetAnswer(oldest, ErrorAnswer(408, "The body did not arrive in time"));
  return true;
}

Exchange& Sockets::BeginCall(Socket* socket) {
  EndCall(socket);
  socket->exchange = std::make_unique<Exchange>();
  ++calls_;
  SetDeadline(socket, ReadClock().mono_ms + kBodyMs);
  return *socket->exchange;
}

void Sockets::AwaitBody(Socket* socket) { Enlist(socket, &reading_); }

bool Sockets::HoldForCall(Socket* socket, size_t bytes, size_t limit) {
  if (held_by_calls_ + bytes > limit) return false;
  held_by_calls_ += bytes;
  socket->exchange->held += bytes;
  return true;
}

CallId Sockets::AwaitAnswer(Socket* socket) {
  CallId id = ++last_call_;
  Enlist(socket, nullptr);
  by_call_[id] = socket;
  socket->exchange->id = id;
  socket->exchange->state = Exchange::State::kWaiting;
  SetDeadline(socket, ReadClock().mono_ms + kAnswerMs);
  return id;
}

void Sockets::Answer(CallId call, RestAnswer answer) {
  auto found = by_call_.find(call);
  if (found != by_call_.end()) SetAnswer(found->second, std::move(answer));
}

void Sockets::SetAnswer(Socket* socket, RestAnswer answer) {
  Exchange& exchange = *socket->exchange;
  by_call_.erase(exchange.id);
  exchange.id = 0;
  Enlist(socket, nullptr);
  exchange.answer = std::move(answer);
  exchange.state = Exchange::State::kAnswered;
  SetDeadline(socket, ReadClock().mono_ms + kWriteMs);
  lws_callback_on_writable(socket->wsi);
}

void Sockets::Linger(Socket* socket) {
  socket->exchange->state = Exchange::State::kLingering;
  SetDeadline(socket, ReadClock().mono_ms + kLingerMs);
  Enlist(socket, &lingering_);
  if (lingering_.size() <= kMaxLingering) return;
  Socket* oldest = lingering_.front();
  EndCall(oldest);
  shutdown(oldest->fd, SHUT_RDWR);
}

void Sockets::Enlist(Socket* socket, std::list<Socket*>* list) {
  Exchange& exchange = *socket->exchange;
  if (exchange.list != nullptr) exchange.list->erase(exchange.place);
  exchange.list = list;
  if (list != nullptr) exchange.place = list->insert(list->end(), socket);
}

void Sockets::EndCall(Socket* socket) {
  if (socket->exchange == nullptr) return;
  Enlist(socket, nullptr);
  by_call_.erase(socket->exchange->id);
  held_by_calls_ -= socket->exchange->held;
  --calls_;
  socket->exchange.reset();
}

}  // namespace realtime
