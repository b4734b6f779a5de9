// The HTTP side of a connection: what a handshake asks for, and short answers.
#ifndef REALTIME_NET_HTTP_H_
#define REALTIME_NET_HTTP_H_

#include <optional>
#include <string>
#include <string_view>

#include "core/rest.h"

struct lws;

namespace realtime {

// The most bytes that one request's line and headers may have. Room for a 16 KiB token both in the URL and in a header.
inline constexpr unsigned kMaxHeaderBytes = 40 * 1024;

enum class Method { kGet, kHead, kPost, kOptions, kOther };

struct HttpRequest {
  Method method = Method::kOther;
  std::string path;  // without the query, as libwebsockets decodes it
};

// Valid only while libwebsockets holds the headers: in the callbacks that ask for a decision.
HttpRequest ReadRequest(lws* wsi);

std::string ReadForwardedFor(lws* wsi);
// The page that asks; nothing when it is no page.
std::optional<std::string> ReadOrigin(lws* wsi);
std::optional<std::string> ReadAuthorization(lws* wsi);

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
// Something below /api, with or without the prefix /realtime/v1.
bool IsApiPath(std::string_view path);
bool IsPingPath(std::string_view path);

// What a call says besides its body; path and query are the caller's business. Policies see in request.headers what a
// handshake's see and host, origin, referer, user-agent and content-type: no credentials.
RestCall ReadRestHeaders(lws* wsi, std::string_view query);

// How a request's body is announced.
struct BodyHeaders {
  bool has_length = false;
  size_t length = 0;
  bool malformed = false;  // a content-length that is not one number
  bool chunked = false;    // any transfer-encoding
  bool expects_continue = false;
};
BodyHeaders ReadBodyHeaders(lws* wsi);
// The request's own x-request-id if it is a sane one.
std::optional<std::string> ReadRequestId(lws* wsi);
// access-control-request-headers, or empty if it is not a plain list of names.
std::string ReadRequestedHeaders(lws* wsi);
// "100 Continue". False when the socket is gone.
bool SendContinue(lws* wsi);

struct Refusal {
  int status = 0;
  std::string_view error;
};
// Empty when the handshake has everything RFC 6455 4.2.1 asks for; else what to answer with.
std::optional<Refusal> CheckUpgrade(lws* wsi, std::string_view upgrade);

// Answers and asks the client to go away ("connection: close"). `body` may be empty, then there is no content-type.
// Returns false when the socket is gone.
bool Respond(lws* wsi, int status, std::string_view content_type, std::string_view body, bool head_only = false);
// The same for an answer of the API, whose headers every page may read (CORS).
bool RespondApi(lws* wsi, const RestAnswer& answer, std::string_view request_id, bool head_only = false);
// 200 with further headers, which are whole lines.
bool RespondPage(lws* wsi, std::string_view headers, std::string_view content_type, std::string_view body, bool head_only);
// {"error": error} with the status; an empty error is an empty body.
bool RespondError(lws* wsi, int status, std::string_view error);

}  // namespace realtime

#endif  // REALTIME_NET_HTTP_H_
