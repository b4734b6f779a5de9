// Positions in the write-ahead log as text, as PostgreSQL's pg_lsn has it: "16/B374D848".
#ifndef REALTIME_CORE_WAL_POSITION_H_
#define REALTIME_CORE_WAL_POSITION_H_

#include "core/pure.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace realtime {

// One to eight hexadecimal digits of either case on both sides of a slash, and nothing else.
std::optional<uint64_t> ParseWalPosition(std::string_view text);

// Upper case, without leading zeros.
std::string FormatWalPosition(uint64_t position);

}  // namespace realtime

#endif  // REALTIME_CORE_WAL_POSITION_H_
