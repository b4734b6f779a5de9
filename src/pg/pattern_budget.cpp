#include "pg/pattern_budget.h"

#include <algorithm>

#include "core/rate_limit.h"
#include "pg/monotonic.h"
#include "pg/settings.h"

namespace realtime {
namespace {

constexpr double kShareMs = 500;      // of each second
constexpr int64_t kUsualUs = 100;     // costs nothing
constexpr int64_t kSlowUs = 10000;

TokenBucket g_account;
bool g_full = true;  // nothing was taken since it was: the usual case, which asks no clock

// As long as four checks may take.
Rate Account() { return {kShareMs, 1000, 4.0 * std::max(guc::PolicyTimeoutMs(), 1)}; }

}  // namespace

bool PatternTimer::MayTry() const {
  if (g_full) return true;
  const Rate account = Account();
  const double level = g_account.Level(account, MonotonicUs() / 1000);
  g_full = level >= account.burst;
  if (last_us_ < 0) return level > 0;
  return level > (last_us_ > kSlowUs ? account.burst / 2 : -account.burst / 2);
}

void PatternTimer::Start() { started_us_ = MonotonicUs(); }

void PatternTimer::Stop() {
  if (started_us_ == 0) return;
  const int64_t now_us = MonotonicUs();
  last_us_ = now_us - started_us_;
  started_us_ = 0;
  if (last_us_ <= kUsualUs) return;
  g_account.Charge(Account(), now_us / 1000, static_cast<double>(last_us_ - kUsualUs) / 1000);
  g_full = false;
}

}  // namespace realtime
