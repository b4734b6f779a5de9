#include "net/http.h"

#include <libwebsockets.h>

#include <algorithm>
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
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 426: return "Upgrade Required";
    case 429: return "Too Many Requests";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    default: return "Error";
  }
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
  if (method >= 0 && uri != nullptr && length > 0) request.path.assign(uri, static_cast<size_t>(length));
  return request;
}

bool IsWebSocketPath(std::string_view path) {
  return path == "/realtime/v1/websocket" || path == "/socket/websocket";
}

Handshake ReadHandshake(lws* wsi) {
  Handshake handshake;
  handshake.api_key = CustomHeader(wsi, "x-api-key:");
  if (!handshake.api_key) handshake.api_key = QueryArgument(wsi, "apikey=");
  handshake.vsn = QueryArgument(wsi, "vsn=");

  std::string& json = handshake.headers_json;
  json = "{";
  AppendMember("x-forwarded-for", KnownHeader(wsi, WSI_TOKEN_X_FORWARDED_FOR), &json);
  AppendMember("x-real-ip", KnownHeader(wsi, WSI_TOKEN_HTTP_X_REAL_IP), &json);
  for (std::string_view name : {"x-client-info:", "x-request-id:", "x-region:", "x-supabase-api-version:",
                                "x-app-version:", "x-tenant-id:", "x-user-agent:"}) {
    AppendMember(name.substr(0, name.size() - 1), CustomHeader(wsi, name), &json);
  }
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

bool Respond(lws* wsi, int status, std::string_view content_type, std::string_view body, bool head_only) {
  std::string text(LWS_PRE, '\0');
  text += "HTTP/1.1 " + std::to_string(status) + " ";
  text += ReasonPhrase(status);
  text += "\r\n";
  if (!body.empty()) {
    text += "content-type: ";
    text += content_type;
    text += "\r\n";
  }
  if (status == 426) text += "upgrade: websocket\r\nsec-websocket-version: 13\r\n";
  text += "content-length: " + std::to_string(body.size()) + "\r\ncache-control: no-store\r\nconnection: close\r\n\r\n";
  if (!head_only) text += body;
  size_t length = text.size() - LWS_PRE;
  unsigned char* start = reinterpret_cast<unsigned char*>(text.data()) + LWS_PRE;
  return lws_write(wsi, start, length, LWS_WRITE_HTTP_HEADERS) == static_cast<int>(length);
}

bool RespondError(lws* wsi, int status, std::string_view error) {
  if (error.empty()) return Respond(wsi, status, "", "");
  std::string body = "{\"error\":";
  json::AppendString(error, &body);
  body += "}";
  return Respond(wsi, status, kJson, body);
}

}  // namespace realtime
