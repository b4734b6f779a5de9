#include "net/server.h"

#include <libwebsockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "core/ascii.h"
#include "net/http.h"
#include "net/inspector.h"
#include "net/loop.h"
#include "net/metrics.h"

namespace realtime {
namespace {

constexpr unsigned kTimeoutSeconds = 12;     // libwebsockets' own time-outs; ours (10 s) act first where both do
constexpr unsigned kHeaderPool = 1024;       // requests being read at the same time, kMaxHeaderBytes each
constexpr size_t kReceiveBytes = 2048;       // allocated per open connection, so small: idle connections are many
constexpr size_t kWriteBytes = 1 << 20;      // handed to the kernel in one piece, never copied below it
constexpr int kSendBufferBytes = 256 * 1024;
constexpr int kMaxOfferedList = 126;         // what libwebsockets can read of sec-websocket-protocol
constexpr int kEndOfCloseCodes = 5000;       // RFC 6455 7.4.2
constexpr char kMalformedLine[] = "the request line is malformed";
constexpr char kProtocolName[] = "realtime";

int CloseCodeOf(std::string_view payload) {
  return static_cast<uint8_t>(payload[0]) << 8 | static_cast<uint8_t>(payload[1]);
}

// No pings of libwebsockets' own: clients send heartbeats, and the engine ends idle sessions.
const lws_retry_bo_t kNoPings = {nullptr, 0, 0, 65534, 65535, 0};

}  // namespace

struct Server::Protocols {
  // See ChooseSubprotocol: libwebsockets reads the name through `list` at every upgrade.
  std::array<char, 64> name{};
  std::array<lws_protocols, 2> list{};
  std::array<void*, 1> loops{};
};

Server::Server(Engine* engine, Sockets* sockets, SettingsPtr settings, uint64_t seed)
    : engine_(engine),
      sockets_(sockets),
      calls_(engine, sockets, seed),
      settings_(std::move(settings)),
      protocols_(std::make_unique<Protocols>()) {}

Server::~Server() {
  BeginClose();
  FinishClose();
}

Status Server::Open(uv_loop_t* loop, int descriptors) {
  strcpy(protocols_->name.data(), kProtocolName);
  lws_protocols& protocol = protocols_->list[0];
  protocol.name = protocols_->name.data();
  protocol.callback = [](lws* wsi, lws_callback_reasons reason, void*, void* in, size_t length) {
    return Callback(wsi, reason, in, length);
  };
  protocol.rx_buffer_size = kReceiveBytes;
  protocol.tx_packet_size = kWriteBytes;
  protocols_->loops[0] = loop;

  lws_context_creation_info info{};
  info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
  info.protocols = protocols_->list.data();
  info.options =
      LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME |
      LWS_SERVER_OPTION_VALIDATE_UTF8;
  info.foreign_loops = protocols_->loops.data();
  info.user = this;
  info.gid = info.uid = -1;
  info.alpn = "http/1.1";
  info.timeout_secs = kTimeoutSeconds;
  info.timeout_secs_ah_idle = kTimeoutSeconds;
  info.keepalive_timeout = 1;
  info.retry_and_idle_policy = &kNoPings;
  info.max_http_header_data2 = kMaxHeaderBytes;
  info.max_http_header_pool2 = kHeaderPool;
  info.pt_serv_buf_size = kMaxHeaderBytes;
  // Less than the limit of open files would make every event a search through all connections.
  info.fd_limit_per_thread = static_cast<unsigned>(descriptors);
  context_ = lws_create_context(&info);
  if (context_ == nullptr) return Status(Code::kInvalid, "could not set up libwebsockets");
  vhost_ = lws_create_vhost(context_, &info);
  if (vhost_ == nullptr) return Status(Code::kInvalid, "could not set up libwebsockets' virtual host");
  return Status::Ok();
}

void Server::BeginClose() {
  if (context_ != nullptr && vhost_ != nullptr) lws_context_destroy(context_);
  vhost_ = nullptr;
}

void Server::FinishClose() {
  if (context_ != nullptr) lws_context_destroy(context_);
  context_ = nullptr;
}

void Server::Adopt(int fd, GuestPtr guest, RequestLine line, Now accepted) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (vhost_ == nullptr) {
    guest.reset();
    close(fd);
    return;
  }
  lws* wsi = lws_adopt_socket_vhost(vhost_, fd);
  if (wsi == nullptr) return;  // libwebsockets has closed it
  lws_set_opaque_user_data(wsi, sockets_->Add(wsi, fd, std::move(guest), std::move(line), accepted));
}

int Server::Callback(lws* wsi, int reason, void* in, size_t length) noexcept {
  if (wsi == nullptr) return 0;
  lws_context* context = lws_get_context(wsi);
  Server* self = context == nullptr ? nullptr : static_cast<Server*>(lws_context_user(context));
  Socket* socket = static_cast<Socket*>(lws_get_opaque_user_data(wsi));
  if (self == nullptr || socket == nullptr) return 0;
  try {
    return self->Dispatch(wsi, socket, reason, in, length);
  } catch (...) {
    return -1;  // no memory for this connection: it ends, the others do not
  }
}

int Server::Dispatch(lws* wsi, Socket* socket, int reason, void* in, size_t length) {
  int result = 0;
  switch (reason) {
    case LWS_CALLBACK_HTTP:
      result = OnHttp(wsi, socket);
      break;
    case LWS_CALLBACK_HTTP_BODY:
      result = calls_.OnBody(socket, {static_cast<const char*>(in), in == nullptr ? 0 : length}, *settings_);
      break;
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
      result = calls_.OnBodyEnd(socket);
      break;
    case LWS_CALLBACK_HTTP_WRITEABLE:
      result = calls_.OnWriteable(socket);
      break;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
      return OnUpgrade(wsi, socket, static_cast<const char*>(in));
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
      protocols_->name[0] = '\0';  // an empty name is not echoed
      return 0;
    case LWS_CALLBACK_ESTABLISHED:
      OnEstablished(socket);
      break;
    case LWS_CALLBACK_RECEIVE:
      OnMessage(socket, {static_cast<const char*>(in), in == nullptr ? 0 : length});
      break;
    case LWS_CALLBACK_RECEIVE_PONG:
      if (socket->state == Socket::State::kOpen) engine_->Alive(socket->session, ReadClock());
      break;
    case LWS_CALLBACK_SERVER_WRITEABLE:
      result = sockets_->Write(socket, ReadClock()) ? 0 : -1;
      break;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
      result = OnPeerClose(wsi, socket, {static_cast<const char*>(in), in == nullptr ? 0 : length});
      break;
    case LWS_CALLBACK_CLOSED:
      if (SessionId session = sockets_->Closed(socket)) engine_->Disconnected(session);
      break;
    case LWS_CALLBACK_WSI_DESTROY: {
      // The engine last: it may run out of memory, and nobody may find this socket afterwards.
      SessionId session = sockets_->Closed(socket);
      lws_set_opaque_user_data(wsi, nullptr);
      sockets_->Remove(socket);
      if (session != 0) engine_->Disconnected(session);
      break;
    }
    default:
      return 0;
  }
  activity_();
  return result;
}

// Every answer closes the connection.
int Server::OnHttp(lws* wsi, Socket* socket) {
  if (socket->malformed) {
    RespondError(wsi, 400, kMalformedLine);
    return -1;
  }
  HttpRequest request = ReadRequest(wsi);
  if (IsApiPath(request.path)) return calls_.OnRequest(socket, request, *settings_, refusing_, Bar(wsi, socket));
  bool reads = request.method == Method::kGet || request.method == Method::kHead;
  if (IsWebSocketPath(request.path)) {
    if (request.method == Method::kGet) {
      RespondError(wsi, 426, "an upgrade to websocket is expected here");
    } else {
      Respond(wsi, 400, "", "");
    }
  } else if (request.path == "/healthcheck" && reads) {
    Respond(wsi, 200, "text/plain; charset=utf-8", "ok", request.method == Method::kHead);
  } else if (std::optional<InspectorFile> file = FindInspectorFile(request.path); file && reads && settings_->inspector) {
    RespondPage(wsi, kInspectorHeaders, file->content_type, file->body, request.method == Method::kHead);
  } else if (request.path == "/metrics" && reads) {
    AnswerMetrics(wsi, request.method == Method::kHead);
  } else {
    RespondError(wsi, 404, "Not Found");
  }
  return -1;
}

void Server::AnswerMetrics(lws* wsi, bool is_head) {
  std::optional<Refusal> refusal = RefuseMetrics(ReadAuthorization(wsi), settings_->metrics_token);
  if (refusal) {
    RespondError(wsi, refusal->status, refusal->error);
  } else {
    Respond(wsi, 200, "text/plain; version=0.0.4; charset=utf-8", metrics_(), is_head);
  }
}

// 0: libwebsockets goes on with the handshake. Positive: answered.
int Server::OnUpgrade(lws* wsi, Socket* socket, const char* upgrade) {
  HttpRequest request = ReadRequest(wsi);
  std::optional<Refusal> refusal;
  if (socket->malformed) {
    refusal = Refusal{400, kMalformedLine};
  } else if (!IsWebSocketPath(request.path)) {
    refusal = Refusal{404, "Not Found"};
  } else if (request.method != Method::kGet) {
    refusal = Refusal{400, ""};
  } else if (refusing_) {
    refusal = Refusal{503, "Server requested disconnect"};
  } else {
    refusal = CheckUpgrade(wsi, upgrade == nullptr ? "" : upgrade);
  }
  if (!refusal) refusal = Bar(wsi, socket);
  if (!refusal && !ChooseSubprotocol(wsi)) refusal = Refusal{400, "header sec-websocket-protocol is malformed or too long"};
  if (refusal) {
    RespondError(wsi, refusal->status, refusal->error);
    return 1;
  }
  Handshake handshake = ReadHandshake(wsi);
  ConnectRequest ask;
  ask.api_key = handshake.api_key ? &*handshake.api_key : nullptr;
  ask.vsn = handshake.vsn ? &*handshake.vsn : nullptr;
  ask.headers_json = std::move(handshake.headers_json);
  ask.peer = socket->guest->address;
  ConnectResult answer = engine_->Connect(ask, ReadClock());
  if (answer.session == 0) {
    RespondError(wsi, answer.http_status, answer.error);
    return 1;
  }
  sockets_->Opened(socket, answer.session, ReadClock());
  return 0;
}

// From a page that may not, or from an address that has enough.
std::optional<Refusal> Server::Bar(lws* wsi, Socket* socket) const {
  const std::vector<std::string>& allowed = settings_->allowed_origins;
  if (!allowed.empty()) {
    std::optional<std::string> origin = ReadOrigin(wsi);
    auto same = [&](const std::string& one) { return EqualsIgnoringCase(one, *origin); };
    if (origin && std::none_of(allowed.begin(), allowed.end(), same)) return Refusal{403, "Origin not allowed"};
  }
  Guest* guest = socket->guest.get();
  if (guest->admission->Enter(guest, ReadForwardedFor(wsi), ReadClock())) return std::nullopt;
  return Refusal{429, "Too many connections from this address"};
}

// A client may offer subprotocols; the reference ignores them and never echoes one. libwebsockets 4.1 refuses a client
// whose offers it does not know, and echoes the one it does. It compares them with our protocol's name, so the name
// becomes the first offer for the time of this handshake, and empty (not echoed) before the answer is written.
bool Server::ChooseSubprotocol(lws* wsi) {
  strcpy(protocols_->name.data(), kProtocolName);
  char list[kMaxOfferedList + 1];
  int length = lws_hdr_copy(wsi, list, sizeof(list), WSI_TOKEN_PROTOCOL);
  if (length <= 0) return length == 0;
  struct lws_tokenize ts {};
  lws_tokenize_init(&ts, list, LWS_TOKENIZE_F_COMMA_SEP_LIST | LWS_TOKENIZE_F_MINUS_NONTERM |
                                   LWS_TOKENIZE_F_DOT_NONTERM | LWS_TOKENIZE_F_RFC7230_DELIMS);
  ts.len = static_cast<size_t>(length);
  if (lws_tokenize(&ts) != LWS_TOKZE_TOKEN) return false;
  return lws_tokenize_cstr(&ts, protocols_->name.data(), static_cast<int>(protocols_->name.size())) == 0;
}

void Server::OnEstablished(Socket* socket) {
  sockets_->Established(socket);
  // libwebsockets has just shrunk the kernel's buffer to the size of its receive buffer.
  setsockopt(socket->fd, SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof(kSendBufferBytes));
}

int Server::OnPeerClose(lws* wsi, Socket* socket, std::string_view payload) {
  // The answer to our own close frame needs none.
  if (socket->state != Socket::State::kOpen) return -1;
  // libwebsockets answers with what it got, and 1002 to a code that nobody may send. Of these it does not know all: half a
  // code, and those above the private range.
  bool valid = payload.empty() || (payload.size() >= 2 && CloseCodeOf(payload) < kEndOfCloseCodes);
  if (valid) return 0;
  lws_close_reason(wsi, LWS_CLOSE_STATUS_PROTOCOL_ERR, nullptr, 0);
  return -1;
}

void Server::OnMessage(Socket* socket, std::string_view fragment) {
  if (socket->state != Socket::State::kOpen) return;
  sockets_->CountReceived(socket, fragment.size());
  if (!socket->in_message) {
    socket->in_message = true;
    socket->message_is_binary = lws_frame_is_binary(socket->wsi) != 0;
  }
  bool last = lws_is_final_fragment(socket->wsi) != 0;
  if (fragment.size() > settings_->max_message_size - std::min(socket->message.size(), settings_->max_message_size)) {
    engine_->Oversize(socket->session, ReadClock());
    return;
  }
  // Short messages come whole and need no copy.
  bool whole = last && socket->message.empty();
  if (!whole) socket->message.append(fragment);
  if (!last) return sockets_->CountMemory(socket);
  socket->in_message = false;
  std::string message = std::move(socket->message);
  socket->message = {};
  if (!whole) sockets_->CountMemory(socket);
  sockets_->BeforeMessage();
  engine_->Receive(socket->session, whole ? fragment : std::string_view(message), socket->message_is_binary, ReadClock());
  sockets_->AfterMessage(socket);
}

}  // namespace realtime
