// Percent-encoded text of request targets.
#ifndef REALTIME_CORE_URL_H_
#define REALTIME_CORE_URL_H_

#include "core/pure.h"

#include <optional>
#include <string>
#include <string_view>

namespace realtime {

// Percent-decoding of one path segment or query value ('+' is a blank in the latter). Nothing when an escape is broken or
// the bytes are not UTF-8.
std::optional<std::string> DecodeUrl(std::string_view text, bool plus_is_blank);
// The last value of a query's `name`, decoded. Parameters that cannot be decoded do not exist.
std::optional<std::string> QueryValue(std::string_view query, std::string_view name);

}  // namespace realtime

#endif  // REALTIME_CORE_URL_H_
