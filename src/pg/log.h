// Lines for the server log, from C++ strings. Database thread only.
#ifndef REALTIME_PG_LOG_H_
#define REALTIME_PG_LOG_H_

#include <string>

#include "core/door.h"

namespace realtime {

// Writes one line; an empty hint is left out. Never raises.
void Log(LogLevel level, const std::string& message, const std::string& hint = "") noexcept;

// A line about something that failed, which realtime.stat_worker then has as its last error, as with warnings and conditions.
void LogError(const std::string& message, const std::string& hint = "") noexcept;

// Something that is wrong now and may be mended: logged when the reason changes and once when it is over, so that a check
// repeated for days leaves two lines.
class Condition {
 public:
  void Set(const std::string& reason, const std::string& hint = "", LogLevel level = LogLevel::kWarning);
  // Logs `mended` (if not empty) when there was a reason.
  void Clear(const std::string& mended = "");

  // Empty while nothing is wrong.
  const std::string& reason() const { return reason_; }

 private:
  std::string reason_;
};

}  // namespace realtime

#endif  // REALTIME_PG_LOG_H_
