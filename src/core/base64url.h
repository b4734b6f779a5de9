// Base64url without padding (RFC 4648 section 5), as in tokens and key sets.
#ifndef REALTIME_CORE_BASE64URL_H_
#define REALTIME_CORE_BASE64URL_H_

#include "core/pure.h"

#include <optional>
#include <string>
#include <string_view>

namespace realtime {

// Strict: one text per byte string, or a signature could be spelled in several ways. No padding, no blanks, and unused
// bits are zero.
std::optional<std::string> DecodeBase64Url(std::string_view text);

}  // namespace realtime

#endif  // REALTIME_CORE_BASE64URL_H_
