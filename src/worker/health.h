// What has to hold for the worker to serve, looked at once a second: the extension, its version, a signing key.
#ifndef REALTIME_WORKER_HEALTH_H_
#define REALTIME_WORKER_HEALTH_H_

#include <cstdint>

#include "core/settings.h"
#include "pg/log.h"

namespace realtime {

class Health {
 public:
  // True when it is time; the caller then looks.
  bool Due(int64_t now_ms) const { return now_ms >= next_look_ms_; }
  int64_t next_look_ms() const { return next_look_ms_; }

  // Opens a transaction of its own. The answer to "may we serve?" stays as it was when the catalogs cannot be read.
  void LookForExtension(int64_t now_ms);
  bool extension_exists() const { return exists_; }

  void LookAtSettings(const Settings& settings);

 private:
  int64_t next_look_ms_ = 0;
  bool exists_ = false;
  int failed_looks_ = 0;  // in a row
  Condition unreadable_;
  Condition missing_;
  Condition version_;
  Condition no_key_;
};

}  // namespace realtime

#endif  // REALTIME_WORKER_HEALTH_H_
