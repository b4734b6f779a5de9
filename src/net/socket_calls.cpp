// Sockets' half of REST calls: which connection an answer goes to, how long it may take, and what all of them may hold.
#include <libwebsockets.h>

#include <algorithm>
#include <utility>

#include "net/loop.h"
#include "net/sockets.h"

namespace realtime {
namespace {

constexpr int64_t kBodyMs = 10000;
constexpr int64_t kAnswerMs = 10000;  // of the database; libwebsockets' time-out for the request is off by then
constexpr int64_t kWriteMs = 5000;
constexpr int64_t kLingerMs = 2000;

}  // namespace

Exchange& Sockets::BeginCall(Socket* socket) {
  EndCall(socket);
  socket->exchange = std::make_unique<Exchange>();
  ++calls_;
  SetDeadline(socket, ReadClock().mono_ms + kBodyMs);
  return *socket->exchange;
}

bool Sockets::HoldForCall(Socket* socket, size_t bytes, size_t limit) {
  if (held_by_calls_ + bytes > limit) return false;
  held_by_calls_ += bytes;
  socket->exchange->held += bytes;
  return true;
}

CallId Sockets::AwaitAnswer(Socket* socket) {
  CallId id = ++last_call_;
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
  exchange.answer = std::move(answer);
  exchange.state = Exchange::State::kAnswered;
  SetDeadline(socket, ReadClock().mono_ms + kWriteMs);
  lws_callback_on_writable(socket->wsi);
}

void Sockets::Linger(Socket* socket) {
  socket->exchange->state = Exchange::State::kLingering;
  SetDeadline(socket, ReadClock().mono_ms + kLingerMs);
}

void Sockets::EndCall(Socket* socket) {
  if (socket->exchange == nullptr) return;
  by_call_.erase(socket->exchange->id);
  held_by_calls_ -= socket->exchange->held;
  --calls_;
  socket->exchange.reset();
}

}  // namespace realtime
