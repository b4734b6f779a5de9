#include "core/wal_position.h"

#include "core/ascii.h"

namespace realtime {
namespace {

constexpr size_t kMaxDigits = 8;

std::optional<uint64_t> ParseHalf(std::string_view digits) {
  if (digits.empty() || digits.size() > kMaxDigits) return std::nullopt;
  uint64_t value = 0;
  for (char c : digits) {
    int digit = HexDigit(c);
    if (digit < 0) return std::nullopt;
    value = value << 4 | static_cast<uint64_t>(digit);
  }
  return value;
}

std::string FormatHalf(uint64_t value) {
  std::string digits;
  int shift = static_cast<int>(kMaxDigits - 1) * 4;
  while (shift > 0 && value >> shift == 0) shift -= 4;
  for (; shift >= 0; shift -= 4) digits.push_back("0123456789ABCDEF"[value >> shift & 0xF]);
  return digits;
}

}  // namespace

std::optional<uint64_t> ParseWalPosition(std::string_view text) {
  size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  std::optional<uint64_t> high = ParseHalf(text.substr(0, slash));
  std::optional<uint64_t> low = ParseHalf(text.substr(slash + 1));
  if (!high || !low) return std::nullopt;
  return *high << 32 | *low;
}

std::string FormatWalPosition(uint64_t position) {
  return FormatHalf(position >> 32).append("/").append(FormatHalf(position & 0xFFFFFFFF));
}

}  // namespace realtime
