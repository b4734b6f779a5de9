// The library's version: the same as default_version in realtime.control.
#ifndef REALTIME_CORE_VERSION_H_
#define REALTIME_CORE_VERSION_H_

#include "core/pure.h"

namespace realtime {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace realtime

#endif  // REALTIME_CORE_VERSION_H_
