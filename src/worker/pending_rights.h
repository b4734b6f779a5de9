// Questions of joining channels that wait for the stream, so that what is sent from SQL once they are answered is not
// missed. A join does not hang on that: they are answered after a moment in any case.
#ifndef REALTIME_WORKER_PENDING_RIGHTS_H_
#define REALTIME_WORKER_PENDING_RIGHTS_H_

#include <cstdint>
#include <deque>
#include <optional>

#include "core/door.h"

namespace realtime {

class PendingRights {
 public:
  void Add(CheckRights request, int64_t now_ms);
  // The oldest that has waited long enough; with `all` the oldest.
  std::optional<CheckRights> Take(bool all, int64_t now_ms);

  bool empty() const { return waiting_.empty(); }
  int64_t next_deadline_ms() const;  // INT64_MAX: none

 private:
  struct Waiting {
    CheckRights request;
    int64_t deadline_ms;
  };
  std::deque<Waiting> waiting_;  // by deadline
};

}  // namespace realtime

#endif  // REALTIME_WORKER_PENDING_RIGHTS_H_
