#include "pg/seat_table.h"

#include <utility>

namespace realtime {
namespace {

constexpr size_t kFirstSlots = 16;

}  // namespace

// The slot with the hash, or the one where it would be.
size_t SeatTable::SlotOf(uint32_t hash) const {
  const size_t mask = slots_.size() - 1;
  size_t at = hash & mask;
  while (slots_[at].seat != nullptr && slots_[at].hash != hash) at = (at + 1) & mask;
  return at;
}

void SeatTable::Grow() {
  std::vector<Slot> old(slots_.empty() ? kFirstSlots : slots_.size() * 2);
  old.swap(slots_);
  for (const Slot& slot : old) {
    if (slot.seat != nullptr) slots_[SlotOf(slot.hash)] = slot;
  }
}

void SeatTable::Add(uint32_t hash, Seat* seat) {
  if ((used_ + 1) * 2 > slots_.size()) Grow();
  Slot& slot = slots_[SlotOf(hash)];
  if (slot.seat == nullptr) {
    slot = {hash, 0, seat};
    ++used_;
    return;
  }
  if (slot.list == 0) {
    lists_.push_back({slot.seat});
    slot.list = static_cast<uint32_t>(lists_.size());
  }
  lists_[slot.list - 1].push_back(seat);
}

std::span<Seat* const> SeatTable::Find(uint32_t hash) const {
  if (slots_.empty()) return {};
  const Slot& slot = slots_[SlotOf(hash)];
  if (slot.seat == nullptr) return {};
  if (slot.list == 0) return {&slot.seat, 1};
  return lists_[slot.list - 1];
}

}  // namespace realtime
