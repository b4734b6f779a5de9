#include "core/url.h"

#include "core/ascii.h"
#include "core/json.h"

namespace realtime {

std::optional<std::string> DecodeUrl(std::string_view text, bool plus_is_blank) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t at = 0; at < text.size(); at++) {
    char c = text[at];
    if (c == '%') {
      if (text.size() - at < 3) return std::nullopt;
      int high = HexDigit(text[at + 1]);
      int low = HexDigit(text[at + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      decoded.push_back(static_cast<char>(high * 16 + low));
      at += 2;
    } else {
      decoded.push_back(c == '+' && plus_is_blank ? ' ' : c);
    }
  }
  if (!json::IsValidUtf8(decoded)) return std::nullopt;
  return decoded;
}

std::optional<std::string> QueryValue(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    size_t start = query.rfind('&');
    std::string_view parameter = start == std::string_view::npos ? query : query.substr(start + 1);
    query = start == std::string_view::npos ? std::string_view() : query.substr(0, start);
    size_t equals = parameter.find('=');
    if (DecodeUrl(parameter.substr(0, equals), true) != name) continue;
    std::string_view value = equals == std::string_view::npos ? std::string_view() : parameter.substr(equals + 1);
    if (std::optional<std::string> decoded = DecodeUrl(value, true)) return decoded;
  }
  return std::nullopt;
}

}  // namespace realtime
