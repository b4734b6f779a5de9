// Values as the reference shows them in its messages (Elixir's `inspect`), bounded: hostile values must not make long
// messages.
#ifndef REALTIME_CORE_INSPECT_H_
#define REALTIME_CORE_INSPECT_H_

#include "core/pure.h"

#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace realtime {

// "text" with quotes and escapes; cut after 4,096 bytes, which appends ` <> ...`. `text` must be valid UTF-8.
std::string InspectString(std::string_view text);

// At most 4,096 bytes of `text`, cut between characters.
std::string_view Shorten(std::string_view text);

// ["a", "b"]
std::string InspectStrings(const std::vector<std::string>& strings);

// %{"key" => 1, "other" => nil}; keys are sorted, at most 50 elements of a container are shown and about 8 KiB in all.
std::string InspectJson(const json::Value& value);

}  // namespace realtime

#endif  // REALTIME_CORE_INSPECT_H_
