// A map from ids that are never zero to pointers, for look-ups that meet another id each time: what costs is memory that no
// cache holds, and here an id is found in one place, where std::unordered_map walks from a bucket over nodes.
//
// Entries lie in a table, of which at most half is used; one whose place is taken lies in the next free one. Offers as much of
// std::unordered_map as its users need. Any change ends all iterators.
#ifndef REALTIME_CORE_ID_MAP_H_
#define REALTIME_CORE_ID_MAP_H_

#include "core/pure.h"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace realtime {

template <typename T>
class IdMap {
 public:
  using Entry = std::pair<uint64_t, T*>;

  class Iterator {
   public:
    Iterator(const Entry* entry, const Entry* end) : entry_(entry), end_(end) { SkipFree(); }
    const Entry& operator*() const { return *entry_; }
    const Entry* operator->() const { return entry_; }
    Iterator& operator++() {
      ++entry_;
      SkipFree();
      return *this;
    }
    bool operator==(const Iterator& other) const { return entry_ == other.entry_; }

   private:
    void SkipFree() {
      while (entry_ != end_ && entry_->first == 0) ++entry_;
    }
    const Entry* entry_;
    const Entry* end_;
  };

  Iterator begin() const { return {table_.data(), End()}; }
  Iterator end() const { return {End(), End()}; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  Iterator find(uint64_t id) const {
    if (size_ == 0 || id == 0) return end();
    const Entry& entry = table_[PlaceOf(id)];
    return entry.first == id ? Iterator(&entry, End()) : end();
  }

  // A look-up of this id follows soon.
  void Prefetch(uint64_t id) const {
    if (size_ != 0) __builtin_prefetch(&table_[Home(id)]);
  }

  // The id is not there yet. When memory runs out nothing has changed.
  void emplace(uint64_t id, T* value) {
    if ((size_ + 1) * 2 > table_.size()) Grow();
    table_[PlaceOf(id)] = {id, value};
    ++size_;
  }

  void erase(uint64_t id) {
    if (size_ == 0 || id == 0) return;
    size_t hole = PlaceOf(id);
    if (table_[hole].first != id) return;
    --size_;
    // Who was pushed on by a full place moves back over the hole, so that searches need not go on behind it.
    for (size_t at = Next(hole); table_[at].first != 0; at = Next(at)) {
      const size_t pushed_from_home = (at - Home(table_[at].first)) & Mask();
      if (pushed_from_home < ((at - hole) & Mask())) continue;
      table_[hole] = table_[at];
      hole = at;
    }
    table_[hole] = {};
  }

 private:
  static constexpr int kFirstBits = 4;

  const Entry* End() const { return table_.data() + table_.size(); }
  size_t Mask() const { return table_.size() - 1; }
  size_t Next(size_t at) const { return (at + 1) & Mask(); }
  // Ids rise: taken as they are, long rows of them would lie side by side, and others would search to their ends.
  size_t Home(uint64_t id) const { return static_cast<size_t>((id * 0x9e3779b97f4a7c15U) >> (64 - bits_)); }

  // Where the id is, or would be.
  size_t PlaceOf(uint64_t id) const {
    size_t at = Home(id);
    while (table_[at].first != 0 && table_[at].first != id) at = Next(at);
    return at;
  }

  void Grow() {
    const int bits = table_.empty() ? kFirstBits : bits_ + 1;
    std::vector<Entry> old(size_t{1} << bits);
    old.swap(table_);
    bits_ = bits;
    for (const Entry& entry : old) {
      if (entry.first != 0) table_[PlaceOf(entry.first)] = entry;
    }
  }

  std::vector<Entry> table_;  // ids of zero are free places
  int bits_ = 0;              // of an index into it
  size_t size_ = 0;
};

}  // namespace realtime

#endif  // REALTIME_CORE_ID_MAP_H_
