// The HTTP side of a connection: what a handshake asks for, and short answers.
#ifndef REALTIME_NET_HTTP_H_
#define REALTIME_NET_HTTP_H_

#include <optional>
#include <string>
#include <string_view>

struct lws;

namespace realtime {

// The most bytes that one request's line and headers may have. Room for a 16 KiB token both in the URL and in a header.
inline constexpr unsigned kMaxHeaderBytes = 40 * 1024;

enum class Method { kGet, kHead, kOther };

struct HttpRequest {
  Method method = Method::kOther;
  std::string path;  // without the query
};

// Valid only while libwebsockets holds the headers: in the callbacks that ask for a decision.
HttpRequest ReadRequest(lws* wsi);

struct Handshake {
  std::optional<std::string> api_key;  // header x-api-key, else query apikey (URL-decoded once, by libwebsockets)
  std::optional<std::string> vsn;
  std::string headers_json;            // what policies see in request.headers
};

// Of the request headers, those that policies see: x-client-info, x-forwarded-for, x-real-ip, x-request-id, x-region,
// x-supabase-api-version, x-app-version, x-tenant-id, x-user-agent. libwebsockets finds unknown headers only by name, so
// the list is fixed. x-api-key is left out on purpose: it is a credential.
Handshake ReadHandshake(lws* wsi);

bool IsWebSocketPath(std::string_view path);

struct Refusal {
  int status = 0;
  std::string_view error;
};
// Empty when the handshake has everything RFC 6455 4.2.1 asks for; else what to answer with.
std::optional<Refusal> CheckUpgrade(lws* wsi, std::string_view upgrade);

// Answers and asks the client to go away ("connection: close"). `body` may be empty, then there is no content-type.
// Returns false when the socket is gone.
bool Respond(lws* wsi, int status, std::string_view content_type, std::string_view body, bool head_only = false);
// {"error": error} with the status; an empty error is an empty body.
bool RespondError(lws* wsi, int status, std::string_view error);

}  // namespace realtime

#endif  // REALTIME_NET_HTTP_H_
