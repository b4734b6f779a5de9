// Tables whose changes take long to judge, because their policies, filters or what else runs code of theirs does. They share one
// account, which gets half of the time that passes: as long as others had to wait, they have the thread for themselves. What a
// slow table did while nobody else had anything to do is not owed, but for its last part.
#ifndef REALTIME_CORE_SLOW_TABLES_H_
#define REALTIME_CORE_SLOW_TABLES_H_

#include "core/pure.h"

#include <algorithm>
#include <cstdint>
#include <unordered_map>

namespace realtime {

class SlowTables {
 public:
  // What is faster is not looked at alone: a busy machine holds up anything for some milliseconds, and the clock has steps.
  static constexpr int64_t kSlowMs = 20;
  // What is faster adds up, until it has taken so long; then it counts, unless a row took less than kUsualMs.
  static constexpr int64_t kSampleMs = 200;
  static constexpr int64_t kUsualMs = 1;
  static constexpr int64_t kBurstMs = 200;
  static constexpr int64_t kForgetMs = 10 * 60 * 1000;  // without a slow change

  // Of a table, kept by the caller: what has been taken by changes that are not slow alone.
  struct Sample {
    int64_t rows = 0;
    int64_t ms = 0;
  };

  // A change of the table, or a part of one, took so long to judge, until now. `others_wait`: somebody may have waited for it.
  void Judged(uint32_t table, int64_t took_ms, int64_t now_ms, bool others_wait, Sample* sample) {
    if (took_ms < kSlowMs) {
      ++sample->rows;
      sample->ms += took_ms;
      if (sample->ms < kSampleMs) return;
      const bool usual = sample->ms < sample->rows * kUsualMs;
      took_ms = sample->ms;
      *sample = {};
      if (usual) {
        tables_.erase(table);
        return;
      }
    }
    Remember(table, now_ms);
    Fill(now_ms - took_ms);
    if (!others_wait) level_ms_ = std::max(level_ms_, 0.0);
    level_ms_ -= static_cast<double>(took_ms);
  }

  // Whether the table has to let others go first.
  bool MustYield(uint32_t table, int64_t now_ms) {
    auto found = tables_.find(table);
    if (found == tables_.end()) return false;
    if (now_ms - found->second > kForgetMs) {
      tables_.erase(found);
      return false;
    }
    Fill(now_ms);
    return level_ms_ <= 0;
  }

  // Whether it was slow of late.
  bool Has(uint32_t table) const { return tables_.contains(table); }
  // Whether none was. Asks no clock.
  bool empty() const { return tables_.empty(); }

 private:
  static constexpr double kShare = 0.5;
  static constexpr size_t kMany = 10000;  // more are looked through: most may be gone for long

  void Remember(uint32_t table, int64_t now_ms) {
    if (tables_.size() >= kMany) {
      std::erase_if(tables_, [=](const auto& entry) { return now_ms - entry.second > kForgetMs; });
    }
    tables_[table] = now_ms;
  }

  // Half of what a change took is paid while it lasted.
  void Fill(int64_t now_ms) {
    const auto passed = static_cast<double>(std::max<int64_t>(now_ms - filled_ms_, 0));
    level_ms_ = std::min<double>(kBurstMs, level_ms_ + kShare * passed);
    filled_ms_ = std::max(now_ms, filled_ms_);
  }

  std::unordered_map<uint32_t, int64_t> tables_;  // that were slow, and when last
  double level_ms_ = kBurstMs;
  int64_t filled_ms_ = 0;
};

}  // namespace realtime

#endif  // REALTIME_CORE_SLOW_TABLES_H_
