// Lines of a call and then its body: path, query, content type. Whatever is accepted must be fit to be sent; whatever is not
// must have an answer.
#include "core/rest.h"

#include <string>
#include <string_view>

#include "check.h"
#include "core/json.h"

namespace {

using realtime::Broadcast;
using realtime::RestAnswer;
using realtime::RestCall;
using realtime::RestRequest;

constexpr size_t kMaxPayload = 2000;
constexpr int kMaxDepth = 16;

std::string_view TakeLine(std::string_view* text) {
  size_t end = text->find('\n');
  std::string_view line = text->substr(0, end);
  text->remove_prefix(end == std::string_view::npos ? text->size() : end + 1);
  return line;
}

void CheckMessage(const Broadcast& message) {
  FUZZ_CHECK(!message.topic.empty() && message.topic.find('\0') == std::string::npos);
  FUZZ_CHECK(realtime::json::IsValidUtf8(message.topic) && realtime::json::IsValidUtf8(message.event));
  FUZZ_CHECK(message.payload != nullptr && !message.event.empty() && message.id.empty());
  if (message.form == Broadcast::Form::kBinary) return;
  // Whatever wraps the payload adds a few levels.
  realtime::json::Limits limits{.max_depth = kMaxDepth + 4, .max_values = 1000000};
  realtime::Result<realtime::json::Value> payload = realtime::json::ParseShallow(*message.payload, limits);
  FUZZ_CHECK(payload.ok() && payload.value.IsObject());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  RestCall call;
  call.path = TakeLine(&text);
  call.query = TakeLine(&text);
  std::string_view type = TakeLine(&text);
  if (type != "-") call.content_type = type;
  call.body = text;
  RestRequest request;
  RestAnswer answer;
  bool ok = realtime::ReadRestCall(call, kMaxPayload, kMaxDepth, &request, &answer);
  FUZZ_CHECK(ok == (answer.status == 0));
  if (!ok) {
    FUZZ_CHECK(answer.status >= 400 && answer.status < 500);
    FUZZ_CHECK(realtime::json::Parse(answer.body).ok());
    return 0;
  }
  FUZZ_CHECK(!request.messages.empty() && request.ttl_s >= 0 && (request.ttl_s == 0 || request.persist));
  FUZZ_CHECK(request.is_batch || request.messages.size() == 1);
  FUZZ_CHECK(!request.persist || request.messages.front()->is_private);
  for (const auto& message : request.messages) CheckMessage(*message);
  return 0;
}
