#include "core/payloads.h"

#include "core/json.h"

namespace realtime {

void AppendMessage(std::string_view message, std::string* out) {
  if (json::IsValidUtf8(message)) {
    json::AppendString(message, out);
    return;
  }
  std::string ascii(message);
  for (char& c : ascii) {
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  }
  json::AppendString(ascii, out);
}

std::string OkPayload() { return R"({"status":"ok","response":{}})"; }

std::string JoinedPayload(std::string_view bindings_echo) {
  std::string payload = R"({"status":"ok","response":{"postgres_changes":)";
  payload += bindings_echo;
  payload += "}}";
  return payload;
}

std::string ErrorPayload(std::string_view reason) {
  std::string payload = R"({"status":"error","response":{"reason":)";
  AppendMessage(reason, &payload);
  payload += "}}";
  return payload;
}

std::string RejectionPayload(std::string_view error) {
  std::string payload = R"({"status":"error","response":{"error":)";
  AppendMessage(error, &payload);
  payload += "}}";
  return payload;
}

std::string SystemPayload(SystemExtension extension, bool is_error, std::string_view message,
                          std::string_view channel) {
  std::string payload = R"({"message":)";
  AppendMessage(message, &payload);
  payload += is_error ? R"(,"status":"error")" : R"(,"status":"ok")";
  payload += extension == SystemExtension::kSystem ? R"(,"extension":"system")" : R"(,"extension":"postgres_changes")";
  payload += R"(,"channel":)";
  json::AppendString(channel, &payload);
  payload += '}';
  return payload;
}

std::string DrainPayload() {
  return R"({"message":"Server requested disconnect","status":"ok","extension":"system"})";
}

}  // namespace realtime
