#include "core/inspect.h"

#include <algorithm>

namespace realtime {
namespace {

constexpr size_t kMaxStringBytes = 4096;
constexpr size_t kMaxElements = 50;
constexpr size_t kMaxTotalBytes = 8192;
constexpr std::string_view kMore = "...";

void AppendEscaped(char c, std::string* out) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  static constexpr std::string_view kPlain("\"\\\0\a\b\x7f\x1b\f\n\r\t\v", 12);
  static constexpr std::string_view kEscape = "\"\\0abdefnrtv";
  size_t named = kPlain.find(c);
  uint8_t byte = static_cast<uint8_t>(c);
  if (named != std::string_view::npos) {
    out->push_back('\\');
    out->push_back(kEscape[named]);
  } else if (byte < 0x20) {
    out->append("\\x").append(1, kHex[byte >> 4]).append(1, kHex[byte & 0xF]);
  } else {
    out->push_back(c);
  }
}

void AppendJson(const json::Value& value, std::string* out);

void AppendArray(const json::Value& array, std::string* out) {
  out->push_back('[');
  for (size_t i = 0; i < array.elements.size(); i++) {
    if (i > 0) out->append(", ");
    if (i == kMaxElements || out->size() > kMaxTotalBytes) {
      out->append(kMore);
      break;
    }
    AppendJson(array.elements[i], out);
  }
  out->push_back(']');
}

void AppendObject(const json::Value& object, std::string* out) {
  std::vector<const json::Member*> members;
  for (const json::Member& member : object.members) members.push_back(&member);
  std::stable_sort(members.begin(), members.end(), [](auto a, auto b) { return a->first < b->first; });
  out->append("%{");
  size_t shown = 0;
  for (size_t i = 0; i < members.size(); i++) {
    bool overridden = i + 1 < members.size() && members[i + 1]->first == members[i]->first;
    if (overridden) continue;
    if (shown > 0) out->append(", ");
    if (shown == kMaxElements || out->size() > kMaxTotalBytes) {
      out->append(kMore);
      break;
    }
    shown++;
    out->append(InspectString(members[i]->first)).append(" => ");
    AppendJson(members[i]->second, out);
  }
  out->push_back('}');
}

// Recursion is bounded by the depth that json::Parse accepted.
void AppendJson(const json::Value& value, std::string* out) {
  switch (value.type) {
    case json::Type::kNull: out->append("nil"); break;
    case json::Type::kBool: out->append(value.boolean ? "true" : "false"); break;
    case json::Type::kNumber: out->append(value.raw.substr(0, kMaxStringBytes)); break;
    case json::Type::kString: out->append(InspectString(value.string)); break;
    case json::Type::kArray: AppendArray(value, out); break;
    case json::Type::kObject: AppendObject(value, out); break;
  }
}

}  // namespace

std::string_view Shorten(std::string_view text) {
  if (text.size() <= kMaxStringBytes) return text;
  size_t end = kMaxStringBytes;
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80) end--;
  return text.substr(0, end);
}

std::string InspectString(std::string_view text) {
  bool cut = text.size() > kMaxStringBytes;
  text = Shorten(text);
  std::string out = "\"";
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '#' && i + 1 < text.size() && text[i + 1] == '{') out.push_back('\\');  // no interpolation
    AppendEscaped(text[i], &out);
  }
  out.push_back('"');
  if (cut) out.append(" <> ").append(kMore);
  return out;
}

std::string InspectStrings(const std::vector<std::string>& strings) {
  std::string out = "[";
  for (size_t i = 0; i < strings.size(); i++) {
    if (i > 0) out.append(", ");
    if (i == kMaxElements || out.size() > kMaxTotalBytes) {
      out.append(kMore);
      break;
    }
    out.append(InspectString(strings[i]));
  }
  out.push_back(']');
  return out;
}

std::string InspectJson(const json::Value& value) {
  std::string out;
  AppendJson(value, &out);
  return out;
}

}  // namespace realtime
