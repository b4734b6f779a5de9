// Seats by a 32-bit hash, for look-ups that meet another seat each time: what costs is memory that no cache holds, so a seat
// that is alone with its hash, the usual one, is found in one place. Plain C++; database thread only.
#ifndef REALTIME_PG_SEAT_TABLE_H_
#define REALTIME_PG_SEAT_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace realtime {

struct Seat;

class SeatTable {
 public:
  void Add(uint32_t hash, Seat* seat);
  // In the order in which they were added. Valid until the next Add.
  std::span<Seat* const> Find(uint32_t hash) const;
  bool empty() const { return used_ == 0; }

 private:
  // Of one hash. Slots are probed one after the other from where the hash says; those without a seat end the search.
  struct Slot {
    uint32_t hash = 0;
    uint32_t list = 0;     // the number of its list, from 1 on; 0: `seat` is the only one
    Seat* seat = nullptr;  // the first
  };
  size_t SlotOf(uint32_t hash) const;
  void Grow();

  std::vector<Slot> slots_;  // a power of two of them, at most half of them used
  size_t used_ = 0;
  std::vector<std::vector<Seat*>> lists_;
};

}  // namespace realtime

#endif  // REALTIME_PG_SEAT_TABLE_H_
