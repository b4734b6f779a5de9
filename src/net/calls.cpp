#include "net/calls.h"

#include <libwebsockets.h>

#include <memory>
#include <utility>

#include "net/exchange.h"
#include "net/loop.h"

namespace realtime {
namespace {

constexpr size_t kMaxHeldBytes = 128u << 20;  // of the bodies of all calls
constexpr size_t kMaxDiscarded = 32u << 20;   // what a refused request may still send
constexpr char kUsualHeaders[] = "apikey, authorization, content-type, x-client-info";

RestAnswer Preflight(lws* wsi, bool is_ping) {
  RestAnswer answer;
  answer.status = 204;
  answer.headers.emplace_back("access-control-allow-methods", is_ping ? "GET, HEAD, OPTIONS" : "POST, OPTIONS");
  std::string asked = ReadRequestedHeaders(wsi);
  answer.headers.emplace_back("access-control-allow-headers", asked.empty() ? std::string(kUsualHeaders) : asked);
  answer.headers.emplace_back("access-control-max-age", "7200");
  answer.headers.emplace_back("vary", "access-control-request-headers");
  return answer;
}

RestAnswer WrongMethod(std::string_view allowed) {
  RestAnswer answer = ErrorAnswer(405, "Method Not Allowed");
  answer.headers.emplace_back("allow", std::string(allowed));
  return answer;
}

}  // namespace

int Calls::OnRequest(Socket* socket, const HttpRequest& request, const Settings& settings, bool refusing,
                     const std::optional<Refusal>& barred) {
  bool is_ping = IsPingPath(request.path);
  bool post = request.method == Method::kPost;
  bool reads = request.method == Method::kGet || request.method == Method::kHead;
  bool is_head = request.method == Method::kHead;
  if (barred) return AnswerNow(socket, ErrorAnswer(barred->status, std::string(barred->error)), post, is_head);
  if (request.method == Method::kOptions) return AnswerNow(socket, Preflight(socket->wsi, is_ping), false);
  if (is_ping && !reads) return AnswerNow(socket, WrongMethod("GET, HEAD, OPTIONS"), post);
  if (is_ping && refusing) return AnswerNow(socket, ErrorAnswer(503, "Server requested disconnect"), false, is_head);
  if (is_ping) return AnswerNow(socket, MessageAnswer(200, "Success"), false, is_head);
  std::string_view target = socket->target;
  std::string_view path = post ? target.substr(0, target.find('?')) : std::string_view(request.path);
  if (RouteOf(path) == RestRoute::kNone) return AnswerNow(socket, ErrorAnswer(404, "Not Found"), post, is_head);
  if (!post) return AnswerNow(socket, WrongMethod("POST, OPTIONS"), false, is_head);
  return OnPost(socket, settings, refusing);
}

int Calls::AnswerNow(Socket* socket, RestAnswer answer, bool body_follows, bool is_head) {
  Exchange& exchange = sockets_->BeginCall(socket);
  exchange.complete = !body_follows;
  exchange.is_head = is_head;
  exchange.request_id = ReadRequestId(socket->wsi).value_or(names_.Uuid());
  exchange.answer = std::move(answer);
  exchange.state = Exchange::State::kAnswered;
  return Write(socket);
}

int Calls::OnPost(Socket* socket, const Settings& settings, bool refusing) {
  BodyHeaders body = ReadBodyHeaders(socket->wsi);
  bool follows = body.chunked || body.malformed || body.length > 0;
  auto refuse = [&](int status, std::string_view error) {
    return AnswerNow(socket, ErrorAnswer(status, error), follows);
  };
  if (refusing) return refuse(503, "Server requested disconnect");
  if (!sockets_->MakeRoomForCall() || !sockets_->MayAccept()) return refuse(503, "Too many calls at the same time");
  if (body.malformed) return refuse(400, "header content-length is malformed");
  if (body.chunked || !body.has_length) return refuse(411, "header content-length is missing");
  if (body.length > settings.max_rest_body) return refuse(413, "Request Entity Too Large");

  std::string_view target = socket->target;
  size_t question = target.find('?');
  std::string_view query = question == std::string_view::npos ? std::string_view() : target.substr(question + 1);
  RestCall call = ReadRestHeaders(socket->wsi, query);
  // Said before the body is awaited: nobody without a key holds a place among the calls.
  if (!engine_->Knows(call, ReadClock())) return AnswerNow(socket, MessageAnswer(401, "Unauthorized"), follows);
  Exchange& exchange = sockets_->BeginCall(socket);
  exchange.request_id = ReadRequestId(socket->wsi).value_or(names_.Uuid());
  exchange.call = std::move(call);
  exchange.call.path = target.substr(0, question);
  exchange.call.query = query;
  exchange.call.peer = socket->guest->address;
  exchange.expected = body.length;
  if (body.length == 0) {
    Hand(socket);
    return 0;
  }
  sockets_->AwaitBody(socket);
  return body.expects_continue && !SendContinue(socket->wsi) ? -1 : 0;
}

int Calls::OnBody(Socket* socket, std::string_view bytes, const Settings& settings) {
  if (socket->exchange == nullptr) return -1;
  Exchange& exchange = *socket->exchange;
  if (exchange.state != Exchange::State::kReading) {
    exchange.discarded += bytes.size();
    return exchange.discarded > kMaxDiscarded ? -1 : 0;
  }
  if (bytes.size() > exchange.expected - std::min(exchange.call.body.size(), exchange.expected)) return -1;
  if (exchange.call.body.size() + bytes.size() > settings.max_rest_body) {
    Refuse(socket, 413, "Request Entity Too Large");  // a reload has lowered it
  } else if (!sockets_->HoldForCall(socket, bytes.size(), kMaxHeldBytes)) {
    Refuse(socket, 503, "Too many calls at the same time");
  } else {
    exchange.call.body.append(bytes);
  }
  return 0;
}

int Calls::OnBodyEnd(Socket* socket) {
  if (socket->exchange == nullptr) return -1;
  Exchange& exchange = *socket->exchange;
  exchange.complete = true;
  if (exchange.state == Exchange::State::kReading) Hand(socket);
  return exchange.state == Exchange::State::kLingering ? -1 : 0;
}

// The answer may come before this returns.
void Calls::Hand(Socket* socket) {
  Exchange& exchange = *socket->exchange;
  exchange.complete = true;
  lws_set_timeout(socket->wsi, NO_PENDING_TIMEOUT, 0);
  RestCall call = std::move(exchange.call);
  engine_->Call(sockets_->AwaitAnswer(socket), std::move(call), ReadClock());
}

void Calls::Refuse(Socket* socket, int status, std::string_view error) {
  Exchange& exchange = *socket->exchange;
  exchange.call = {};
  sockets_->SetAnswer(socket, ErrorAnswer(status, error));
}

int Calls::OnWriteable(Socket* socket) {
  bool has_answer = socket->exchange != nullptr && socket->exchange->state == Exchange::State::kAnswered;
  return has_answer ? Write(socket) : 0;
}

int Calls::Write(Socket* socket) {
  Exchange& exchange = *socket->exchange;
  if (!RespondApi(socket->wsi, exchange.answer, exchange.request_id, exchange.is_head) || exchange.complete) return -1;
  sockets_->Linger(socket);
  return 0;
}

}  // namespace realtime
