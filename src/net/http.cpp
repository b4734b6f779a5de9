#include "net/http.h"

#include <libwebsockets.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <vector>

#include "core/ascii.h"
#include "core/json.h"

namespace realtime {
namespace {

constexpr std::string_view kJson = "application/json; charset=utf-8";

// lws hands out headers by copying; a request's headers together are smaller than this.
std::vector<char>& Scratch() {
  static thread_local std::vector<char> scratch(kMaxHeaderBytes + 1);
  return scratch;
}

std::optional<std::string> KnownHeader(lws* wsi, lws_token_indexes token) {
  if (lws_hdr_total_length(wsi, token) <= 0) return std::nullopt;
  auto& scratch = Scratch();
  int n = lws_hdr_copy(wsi, scratch.data(), static_cast<int>(scratch.size()), token);
  if (n < 0) return std::nullopt;
  return std::string(scratch.data(), strnlen(scratch.data(), static_cast<size_t>(n)));
}

// `name` in lower case with its colon.
std::optional<std::string> CustomHeader(lws* wsi, std::string_view name) {
  int length = static_cast<int>(name.size());
  if (lws_hdr_custom_length(wsi, name.data(), length) < 0) return std::nullopt;
  auto& scratch = Scratch();
  int n = lws_hdr_custom_copy(wsi, scratch.data(), static_cast<int>(scratch.size()), name.data(), length);
  if (n < 0) return std::nullopt;
  return std::string(scratch.data(), static_cast<size_t>(n));
}

// The value of the last `name=` (as the reference takes the last of equal names).
std::optional<std::string> QueryArgument(lws* wsi, std::string_view name_equals) {
  std::optional<std::string> value;
  auto& scratch = Scratch();
  for (int i = 0;; ++i) {
    int n = lws_hdr_copy_fragment(wsi, scratch.data(), static_cast<int>(scratch.size()), WSI_TOKEN_HTTP_URI_ARGS, i);
    if (n < 0) return value;
    std::string_view argument(scratch.data(), static_cast<size_t>(n));
    if (argument.substr(0, name_equals.size()) == name_equals) value = argument.substr(name_equals.size());
  }
}

void AppendMember(std::string_view name, const std::optional<std::string>& value, std::string* json) {
  if (!value || !json::IsValidUtf8(*value)) return;
  if (json->size() > 1) json->push_back(',');
  json::AppendString(name, json);
  json->push_back(':');
  json::AppendString(*value, json);
}

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 422: return "Unprocessable Content";
    case 426: return "Upgrade Required";
    case 429: return "Too Many Requests";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    default: return "Error";
  }
}

void AppendKnownHeaders(lws* wsi, std::string* json) {
  AppendMember("x-forwarded-for", KnownHeader(wsi, WSI_TOKEN_X_FORWARDED_FOR), json);
  AppendMember("x-real-ip", KnownHeader(wsi, WSI_TOKEN_HTTP_X_REAL_IP), json);
  for (std::string_view name : {"x-client-info:", "x-request-id:", "x-region:", "x-supabase-api-version:",
                                "x-app-version:", "x-tenant-id:", "x-user-agent:"}) {
    AppendMember(name.substr(0, name.size() - 1), CustomHeader(wsi, name), json);
  }
}

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

// `headers` are whole lines.
bool Write(lws* wsi, int status, std::string_view headers, std::string_view content_type, std::string_view body,
           bool head_only) {
  std::string text(LWS_PRE, '\0');
  text += "HTTP/1.1 " + std::to_string(status) + " ";
  text += ReasonPhrase(status);
  text += "\r\n";
  if (!body.empty()) text.append("content-type: ").append(content_type).append("\r\n");
  text += headers;
  if (status != 204) text += "content-length: " + std::to_string(body.size()) + "\r\n";
  text += "cache-control: no-store\r\nconnection: close\r\n\r\n";
  if (!head_only) text += body;
  size_t length = text.size() - LWS_PRE;
  unsigned char* start = reinterpret_cast<unsigned char*>(text.data()) + LWS_PRE;
  return lws_write(wsi, start, length, LWS_WRITE_HTTP_HEADERS) == static_cast<int>(length);
}

bool ListContains(std::string_view list, std::string_view lower_case_item) {
  while (!list.empty()) {
    size_t comma = std::min(list.find(','), list.size());
    std::string_view item = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    while (!item.empty() && (item.front() == ' ' || item.front() == '\t')) item.remove_prefix(1);
    while (!item.empty() && (item.back() == ' ' || item.back() == '\t')) item.remove_suffix(1);
    if (EqualsIgnoringCase(item, lower_case_item)) return true;
  }
  return false;
}

}  // namespace

HttpRequest ReadRequest(lws* wsi) {
  HttpRequest request;
  char* uri = nullptr;
  int length = 0;
  int method = lws_http_get_uri_and_method(wsi, &uri, &length);
  if (method == LWSHUMETH_GET) request.method = Method::kGet;
  if (method == LWSHUMETH_HEAD) request.method = Method::kHead;
  if (method == LWSHUMETH_POST) request.method = Method::kPost;
  if (method == LWSHUMETH_OPTIONS) request.method = Method::kOptions;
  if (method >= 0 && uri != nullptr && length > 0) request.path.assign(uri, static_cast<size_t>(length));
  return request;
}

std::string ReadForwardedFor(lws* wsi) { return KnownHeader(wsi, WSI_TOKEN_X_FORWARDED_FOR).value_or(""); }

std::optional<std::string> ReadOrigin(lws* wsi) { return KnownHeader(wsi, WSI_TOKEN_ORIGIN); }

std::optional<std::string> ReadAuthorization(lws* wsi) { return KnownHeader(wsi, WSI_TOKEN_HTTP_AUTHORIZATION); }

bool IsWebSocketPath(std::string_view path) {
  return path == "/realtime/v1/websocket" || path == "/socket/websocket";
}

bool IsApiPath(std::string_view path) { return path.starts_with("/api/") || path.starts_with("/realtime/v1/api/"); }

bool IsPingPath(std::string_view path) { return path == "/api/ping" || path == "/realtime/v1/api/ping"; }

Handshake ReadHandshake(lws* wsi) {
  Handshake handshake;
  handshake.api_key = CustomHeader(wsi, "x-api-key:");
  if (!handshake.api_key) handshake.api_key = QueryArgument(wsi, "apikey=");
  handshake.vsn = QueryArgument(wsi, "vsn=");

  std::string& json = handshake.headers_json;
  json = "{";
  AppendKnownHeaders(wsi, &json);
  json.push_back('}');
  return handshake;
}

std::optional<Refusal> CheckUpgrade(lws* wsi, std::string_view upgrade) {
  if (!EqualsIgnoringCase(upgrade, "websocket")) return Refusal{400, "only an upgrade to websocket is served"};
  std::optional<std::string> connection = KnownHeader(wsi, WSI_TOKEN_CONNECTION);
  if (!connection || !ListContains(*connection, "upgrade")) return Refusal{400, "header connection lacks upgrade"};
  // libwebsockets copies the header into 128 bytes and would hang up without an answer.
  if (connection->size() > 120) return Refusal{400, "header connection is too long"};
  if (KnownHeader(wsi, WSI_TOKEN_VERSION) != "13") return Refusal{426, "header sec-websocket-version must be 13"};
  std::optional<std::string> key = KnownHeader(wsi, WSI_TOKEN_KEY);
  if (!key || key->empty() || key->size() > 64) return Refusal{400, "header sec-websocket-key is missing or malformed"};
  if (!KnownHeader(wsi, WSI_TOKEN_HOST)) return Refusal{400, "header host is missing"};
  return std::nullopt;
}

RestCall ReadRestHeaders(lws* wsi, std::string_view query) {
  RestCall call;
  call.authorization = KnownHeader(wsi, WSI_TOKEN_HTTP_AUTHORIZATION);
  call.api_key = CustomHeader(wsi, "apikey:");
  if (!call.api_key) call.api_key = CustomHeader(wsi, "x-api-key:");
  if (!call.api_key) call.api_key = QueryValue(query, "apikey");
  call.content_type = KnownHeader(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE);
  std::string& json = call.headers_json;
  json = "{";
  AppendKnownHeaders(wsi, &json);
  AppendMember("host", KnownHeader(wsi, WSI_TOKEN_HOST), &json);
  AppendMember("origin", KnownHeader(wsi, WSI_TOKEN_ORIGIN), &json);
  AppendMember("referer", KnownHeader(wsi, WSI_TOKEN_HTTP_REFERER), &json);
  AppendMember("user-agent", KnownHeader(wsi, WSI_TOKEN_HTTP_USER_AGENT), &json);
  AppendMember("content-type", call.content_type, &json);
  json.push_back('}');
  return call;
}

BodyHeaders ReadBodyHeaders(lws* wsi) {
  BodyHeaders body;
  body.chunked = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0;
  std::optional<std::string> expect = KnownHeader(wsi, WSI_TOKEN_HTTP_EXPECT);
  body.expects_continue = expect && EqualsIgnoringCase(*expect, "100-continue");
  std::optional<std::string> length = KnownHeader(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH);
  if (!length) return body;
  const char* end = length->data() + length->size();
  auto parsed = std::from_chars(length->data(), end, body.length);
  // libwebsockets reads it too, into a buffer of 32 bytes, and more leniently.
  body.has_length = parsed.ec == std::errc() && parsed.ptr == end && length->size() <= 18;
  body.malformed = !body.has_length;
  return body;
}

std::optional<std::string> ReadRequestId(lws* wsi) {
  std::optional<std::string> id = CustomHeader(wsi, "x-request-id:");
  if (!id || id->size() < 20 || id->size() > 200) return std::nullopt;
  bool sane = std::all_of(id->begin(), id->end(), [](char c) {
    return IsNameCharacter(c) || c == '.' || c == ':' || c == '=' || c == '+' || c == '/';
  });
  return sane ? id : std::nullopt;
}

std::string ReadRequestedHeaders(lws* wsi) {
  std::optional<std::string> list = KnownHeader(wsi, WSI_TOKEN_HTTP_AC_REQUEST_HEADERS);
  if (!list || list->size() > 2048) return "";
  bool plain = std::all_of(list->begin(), list->end(), [](char c) { return IsNameCharacter(c) || c == ',' || c == ' '; });
  return plain ? *list : "";
}

bool SendContinue(lws* wsi) {
  std::string text = std::string(LWS_PRE, '\0') + "HTTP/1.1 100 Continue\r\n\r\n";
  size_t length = text.size() - LWS_PRE;
  unsigned char* start = reinterpret_cast<unsigned char*>(text.data()) + LWS_PRE;
  return lws_write(wsi, start, length, LWS_WRITE_HTTP_HEADERS) == static_cast<int>(length);
}

bool Respond(lws* wsi, int status, std::string_view content_type, std::string_view body, bool head_only) {
  std::string_view headers = status == 426 ? "upgrade: websocket\r\nsec-websocket-version: 13\r\n" : "";
  return Write(wsi, status, headers, content_type, body, head_only);
}

bool RespondApi(lws* wsi, const RestAnswer& answer, std::string_view request_id, bool head_only) {
  std::string headers =
      "access-control-allow-origin: *\r\n"
      "access-control-expose-headers: x-request-id, x-rate-rolling, x-rate-limit, x-rate-limit-remaining\r\n";
  headers.append("x-request-id: ").append(request_id).append("\r\n");
  for (const auto& [name, value] : answer.headers) headers.append(name).append(": ").append(value).append("\r\n");
  return Write(wsi, answer.status, headers, kJson, answer.body, head_only);
}

bool RespondPage(lws* wsi, std::string_view headers, std::string_view content_type, std::string_view body, bool head_only) {
  return Write(wsi, 200, headers, content_type, body, head_only);
}

bool RespondError(lws* wsi, int status, std::string_view error) {
  if (error.empty()) return Respond(wsi, status, "", "");
  std::string body = "{\"error\":";
  json::AppendString(error, &body);
  body += "}";
  return Respond(wsi, status, kJson, body);
}

}  // namespace realtime
