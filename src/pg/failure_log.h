// Log lines that would repeat with every change, once a minute each.
#ifndef REALTIME_PG_FAILURE_LOG_H_
#define REALTIME_PG_FAILURE_LOG_H_

#include <string>

namespace realtime::failure_log {

// Whether a line for this key may be written now; remembers that it was.
bool Due(const std::string& key);

}  // namespace realtime::failure_log

#endif  // REALTIME_PG_FAILURE_LOG_H_
