// Parse and ParseShallow agree, raw texts are what they say, and re-encoding gives the same value.
#include "core/json.h"

#include <cmath>
#include <string>

#include "check.h"

namespace realtime::json {
namespace {

constexpr int kMaxDepth = 16;

void Encode(const Value& value, std::string* out) {
  switch (value.type) {
    case Type::kNull: out->append("null"); break;
    case Type::kBool: out->append(value.boolean ? "true" : "false"); break;
    case Type::kNumber: out->append(value.raw); break;
    case Type::kString: AppendString(value.string, out); break;
    case Type::kArray:
      out->push_back('[');
      for (const Value& element : value.elements) {
        if (&element != &value.elements.front()) out->push_back(',');
        Encode(element, out);
      }
      out->push_back(']');
      break;
    case Type::kObject:
      out->push_back('{');
      for (const auto& member : value.members) {
        if (&member != &value.members.front()) out->push_back(',');
        AppendString(member.first, out);
        out->push_back(':');
        Encode(member.second, out);
      }
      out->push_back('}');
      break;
  }
}

bool Same(const Value& a, const Value& b) {
  if (a.type != b.type || a.boolean != b.boolean || a.is_integer != b.is_integer || a.integer != b.integer) return false;
  if (a.string != b.string || a.elements.size() != b.elements.size() || a.members.size() != b.members.size()) return false;
  if (a.number != b.number && !(std::isnan(a.number) && std::isnan(b.number))) return false;
  for (size_t i = 0; i < a.elements.size(); i++) {
    if (!Same(a.elements[i], b.elements[i])) return false;
  }
  for (size_t i = 0; i < a.members.size(); i++) {
    if (a.members[i].first != b.members[i].first || !Same(a.members[i].second, b.members[i].second)) return false;
  }
  return true;
}

// Every value's raw text lies in its parent's and parses to the value again.
void CheckRaw(const Value& value, std::string_view parent) {
  FUZZ_CHECK(value.raw.data() >= parent.data());
  FUZZ_CHECK(value.raw.data() + value.raw.size() <= parent.data() + parent.size());
  FUZZ_CHECK(IsValidUtf8(value.string));
  Limits limits;
  limits.max_depth = kMaxDepth;
  Result<Value> again = Parse(value.raw, limits);
  FUZZ_CHECK(again.ok() && again.value.raw == value.raw && Same(again.value, value));
  for (const Value& element : value.elements) CheckRaw(element, value.raw);
  for (const auto& member : value.members) CheckRaw(member.second, value.raw);
}

void CheckShallow(const Value& full, const Value& shallow) {
  FUZZ_CHECK(full.type == shallow.type && full.raw == shallow.raw);
  FUZZ_CHECK(full.elements.size() == shallow.elements.size() && full.members.size() == shallow.members.size());
  for (size_t i = 0; i < full.elements.size(); i++) {
    FUZZ_CHECK(full.elements[i].raw == shallow.elements[i].raw && full.elements[i].string == shallow.elements[i].string);
    FUZZ_CHECK(shallow.elements[i].elements.empty() && shallow.elements[i].members.empty());
  }
  for (size_t i = 0; i < full.members.size(); i++) {
    FUZZ_CHECK(full.members[i].first == shallow.members[i].first);
    FUZZ_CHECK(full.members[i].second.raw == shallow.members[i].second.raw);
  }
}

}  // namespace
}  // namespace realtime::json

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace realtime::json;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  Limits limits;
  limits.max_depth = kMaxDepth;
  realtime::Result<Value> full = Parse(text, limits);
  realtime::Result<Value> shallow = ParseShallow(text, limits);
  FUZZ_CHECK(full.ok() == shallow.ok() || full.status.code() == realtime::Code::kTooLarge);
  FUZZ_CHECK(Check(text, kMaxDepth).ok() == full.ok() || full.status.code() == realtime::Code::kTooLarge);
  if (!full.ok()) return 0;
  FUZZ_CHECK(IsValidUtf8(text));
  CheckShallow(full.value, shallow.value);
  std::string encoded;
  Encode(full.value, &encoded);
  realtime::Result<Value> again = Parse(encoded, limits);
  FUZZ_CHECK(again.ok() && Same(again.value, full.value));
  if (size <= 2000) CheckRaw(full.value, text);
  return 0;
}
