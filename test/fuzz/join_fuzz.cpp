// The first line is the subtopic, the rest the payload. The echo is valid JSON, one object per binding with its id, and
// ids are equal exactly where objects are.
#include "core/join.h"

#include <map>
#include <string>

#include "check.h"
#include "core/json.h"
#include "core/wal_position.h"

namespace {

using realtime::Binding;
using realtime::JoinRequest;
namespace json = realtime::json;

constexpr int kMaxDepth = 32;

void CheckEcho(const JoinRequest& join) {
  json::Limits limits;
  limits.max_depth = kMaxDepth + 2;
  limits.max_values = 10000000;
  realtime::Result<json::Value> echo = json::Parse(join.bindings_echo, limits);
  FUZZ_CHECK(echo.ok() && echo.value.IsArray());
  FUZZ_CHECK(echo.value.elements.size() == join.bindings.size());
  std::map<uint32_t, std::string> texts;
  for (size_t i = 0; i < join.bindings.size(); i++) {
    const Binding& binding = join.bindings[i];
    const json::Value& object = echo.value.elements[i];
    FUZZ_CHECK(binding.id > 0 && binding.id <= 0x7FFFFFFF);
    FUZZ_CHECK(object.IsObject() && !object.members.empty() && object.members.back().first == "id");
    for (size_t m = 0; m + 1 < object.members.size(); m++) FUZZ_CHECK(object.members[m].first != "id");
    FUZZ_CHECK(object.members.back().second.integer == binding.id);
    auto [known, added] = texts.emplace(binding.id, std::string(object.raw));
    FUZZ_CHECK(added || known->second == object.raw);
  }
}

void CheckBinding(const Binding& binding) {
  FUZZ_CHECK(binding.events != 0 && binding.events <= realtime::kAllEvents);
  FUZZ_CHECK(!binding.schema.empty() || !binding.table.empty() || binding.filters.size() <= realtime::kMaxFilterClauses);
  FUZZ_CHECK(binding.schema.find('\0') == std::string::npos && binding.table.find('\0') == std::string::npos);
  FUZZ_CHECK(binding.columns.empty() || !binding.wildcard());
  FUZZ_CHECK(json::IsValidUtf8(binding.Describe()));
  if (!binding.since) return;
  uint64_t position = binding.since->commit_lsn;
  FUZZ_CHECK(realtime::ParseWalPosition(realtime::FormatWalPosition(position)) == position);
}

void CheckOptions(const JoinRequest& join) {
  FUZZ_CHECK(!join.replay || !join.replay_error);
  FUZZ_CHECK(!join.replay || (join.is_private && join.replay->since_ms >= 0));
  FUZZ_CHECK(!join.replay || (join.replay->limit >= 1 && join.replay->limit <= 25));
  FUZZ_CHECK(join.wait_timeout_ms >= 0 && join.wait_timeout_ms <= 20000);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  size_t newline = text.find('\n');
  std::string_view subtopic = newline == std::string_view::npos ? "room" : text.substr(0, newline);
  std::string_view payload = newline == std::string_view::npos ? text : text.substr(newline + 1);
  realtime::Result<JoinRequest> join = realtime::ParseJoin(subtopic, payload, kMaxDepth);
  if (!join.ok()) return 0;
  FUZZ_CHECK(join.value.bindings.size() <= realtime::kMaxBindings);
  CheckEcho(join.value);
  CheckOptions(join.value);
  if (join.value.binding_error) {
    FUZZ_CHECK(!join.value.binding_error->empty() && json::IsValidUtf8(*join.value.binding_error));
    return 0;
  }
  for (const Binding& binding : join.value.bindings) CheckBinding(binding);
  return 0;
}
