// What is due when: one ordered set for all sessions and channels: a tick costs what is due, not what exists.
#ifndef REALTIME_CORE_DEADLINES_H_
#define REALTIME_CORE_DEADLINES_H_

#include "core/pure.h"

#include <cstdint>
#include <limits>
#include <set>
#include <tuple>

namespace realtime {

struct Deadline {
  // `id` is a session's (kIdle, kNoChannel), nobody's (kPresence: zero) or a channel's.
  enum class Kind : uint8_t { kIdle, kNoChannel, kToken, kRights, kReady, kPresence };

  int64_t at_ms = 0;  // monotonic
  Kind kind = Kind::kIdle;
  uint64_t id = 0;

  bool operator<(const Deadline& other) const {
    return std::tie(at_ms, kind, id) < std::tie(other.at_ms, other.kind, other.id);
  }
};

class Deadlines {
 public:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  // The owner remembers its own time in *slot (kNever: none), which makes moving and cancelling a look-up. Entries are
  // removed for real: a client that joins and leaves in a loop leaves nothing behind.
  void Set(Deadline::Kind kind, uint64_t id, int64_t at_ms, int64_t* slot) {
    Cancel(kind, id, slot);
    if (at_ms == kNever) return;
    due_.insert({at_ms, kind, id});
    *slot = at_ms;
  }

  void Cancel(Deadline::Kind kind, uint64_t id, int64_t* slot) {
    if (*slot == kNever) return;
    due_.erase({*slot, kind, id});
    *slot = kNever;
  }

  int64_t Next() const { return due_.empty() ? kNever : due_.begin()->at_ms; }
  const Deadline& First() const { return *due_.begin(); }  // only when Next() is not kNever
  void DropFirst() { due_.erase(due_.begin()); }
  size_t size() const { return due_.size(); }

 private:
  std::set<Deadline> due_;
};

}  // namespace realtime

#endif  // REALTIME_CORE_DEADLINES_H_
