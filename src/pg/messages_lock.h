// The lock under which policies of realtime.messages are evaluated. Somebody who has the table for himself (a long ALTER
// TABLE), or waits for that, must not make one join after the other wait: a short while is granted, for a CREATE POLICY,
// and while the table stays locked none at all. Database thread only.
#ifndef REALTIME_PG_MESSAGES_LOCK_H_
#define REALTIME_PG_MESSAGES_LOCK_H_

#include <chrono>
#include <cstdint>
#include <optional>

namespace realtime {

class MessagesLock {
 public:
  enum class Outcome : uint8_t {
    kTaken,      // AccessShareLock until the transaction ends; or there is no table to lock
    kTakenLate,  // ... after a wait: snapshots may be older than the lock
    kBusy,       // logged; the transaction must be aborted
    kFailed,     // likewise
  };
  // Inside a transaction.
  Outcome Take();

 private:
  std::optional<std::chrono::steady_clock::time_point> last_busy_;
};

}  // namespace realtime

#endif  // REALTIME_PG_MESSAGES_LOCK_H_
