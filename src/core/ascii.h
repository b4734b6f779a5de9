// Text of protocols, compared without regard to the locale.
#ifndef REALTIME_CORE_ASCII_H_
#define REALTIME_CORE_ASCII_H_

#include "core/pure.h"

#include <algorithm>
#include <string_view>

namespace realtime {

// `lower` must be in lower case.
inline bool EqualsIgnoringCase(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() && std::equal(text.begin(), text.end(), lower.begin(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + ('a' - 'A')) : a) == b;
         });
}

// The value of a hexadecimal digit; -1: it is none.
inline int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace realtime

#endif  // REALTIME_CORE_ASCII_H_
