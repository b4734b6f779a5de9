#include "pg/failure_log.h"

#include <chrono>
#include <unordered_map>

namespace realtime::failure_log {
namespace {

// Not of the wall clock, which may be set back.
using Clock = std::chrono::steady_clock;

constexpr std::chrono::minutes kInterval(1);
constexpr size_t kMaxKeys = 1000;  // above it all are forgotten: a few lines too many instead of growing memory

std::unordered_map<std::string, Clock::time_point>* g_last = nullptr;

}  // namespace

bool Due(const std::string& key) {
  if (g_last == nullptr) g_last = new std::unordered_map<std::string, Clock::time_point>();
  if (g_last->size() > kMaxKeys) g_last->clear();
  const Clock::time_point now = Clock::now();
  auto [last, is_new] = g_last->try_emplace(key, now);
  if (!is_new && now - last->second < kInterval) return false;
  last->second = now;
  return true;
}

}  // namespace realtime::failure_log
