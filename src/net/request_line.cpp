#include "net/request_line.h"

#include <algorithm>

#include "net/http.h"

namespace realtime {
namespace {

constexpr std::string_view kPost = "POST ";

bool IsControl(char c) { return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 0x7f; }

// NUL, line feed or carriage return.
bool HasEscapedControl(std::string_view line) {
  for (size_t at = line.find("%0"); at != std::string_view::npos; at = line.find("%0", at + 1)) {
    std::string_view digit = line.substr(at + 2, 1);
    if (!digit.empty() && std::string_view("0aAdD").find(digit) != std::string_view::npos) return true;
  }
  return false;
}

}  // namespace

bool ReadRequestLine(std::string_view text, RequestLine* line) {
  const size_t end = text.find('\n');
  std::string_view first = text.substr(0, end);
  if (end != std::string_view::npos && first.ends_with('\r')) first.remove_suffix(1);
  // TLS, say: it is clear already.
  line->malformed = std::any_of(first.begin(), first.end(), [&](const char& c) {
    return IsControl(c) && (end != std::string_view::npos || c != '\r' || &c != &first.back());
  });
  if (line->malformed) return true;
  if (end == std::string_view::npos && text.size() < kMaxHeaderBytes) return false;
  line->malformed = end == std::string_view::npos || first.empty() || HasEscapedControl(first);
  if (!first.starts_with(kPost)) return true;
  first.remove_prefix(kPost.size());
  line->target = first.substr(0, first.find(' '));
  return true;
}

}  // namespace realtime
