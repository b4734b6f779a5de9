// Warnings and errors of libwebsockets become lines of the server log.
#ifndef REALTIME_NET_LWS_LOG_H_
#define REALTIME_NET_LWS_LOG_H_

#include "core/door.h"

namespace realtime {

// libwebsockets has one log function per process, so there is at most one of these at a time. Network thread only.
// Clients can cause lines at will: only a few per minute pass, the rest is counted.
class LwsLog {
 public:
  explicit LwsLog(DatabaseMailbox* outbox);
  ~LwsLog();
  LwsLog(const LwsLog&) = delete;
  LwsLog& operator=(const LwsLog&) = delete;

 private:
  static void Emit(int level, const char* line) noexcept;
  void Write(int level, const char* line);

  DatabaseMailbox* const outbox_;
  int64_t minute_ = 0;
  int lines_ = 0;
  int suppressed_ = 0;
};

}  // namespace realtime

#endif  // REALTIME_NET_LWS_LOG_H_
