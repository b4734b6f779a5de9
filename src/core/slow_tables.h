// Tables whose changes take long to judge, because their policies, filters or generated columns do. They share one account,
// which gets half of the time that passes: as long as others had to wait, they have the thread for themselves. A slow table
// that went on while nobody else had anything to do owes nothing for that.
#ifndef REALTIME_CORE_SLOW_TABLES_H_
#define REALTIME_CORE_SLOW_TABLES_H_

#include "core/pure.h"

#include <algorithm>
#include <cstdint>
#include <unordered_set>

namespace realtime {

class SlowTables {
 public:
  // What is faster costs nothing: a busy machine holds up anything for some milliseconds.
  static constexpr int64_t kSlowMs = 10;
  static constexpr int64_t kBurstMs = 200;

  // A change of the table, or a part of one, took so long to judge, until now.
  void Judged(uint32_t table, int64_t took_ms, int64_t now_ms) {
    if (took_ms < kSlowMs) return;
    tables_.insert(table);
    Fill(now_ms - took_ms);
    level_ms_ = std::max(level_ms_, 0.0) - static_cast<double>(took_ms);
  }

  // Whether the table has to let others go first.
  bool MustYield(uint32_t table, int64_t now_ms) {
    if (tables_.empty()) return false;
    Fill(now_ms);
    if (level_ms_ >= kBurstMs) tables_.clear();
    return level_ms_ <= 0 && tables_.contains(table);
  }

  // Whether none was slow of late. Asks no clock.
  bool empty() const { return tables_.empty(); }

 private:
  static constexpr double kShare = 0.5;

  void Fill(int64_t now_ms) {
    const auto passed = static_cast<double>(std::max<int64_t>(now_ms - filled_ms_, 0));
    level_ms_ = std::min<double>(kBurstMs, level_ms_ + kShare * passed);
    filled_ms_ = now_ms;
  }

  std::unordered_set<uint32_t> tables_;  // that were slow since the account was full
  double level_ms_ = kBurstMs;
  int64_t filled_ms_ = 0;
};

}  // namespace realtime

#endif  // REALTIME_CORE_SLOW_TABLES_H_
