#include "pg/failure_log.h"

#include <unordered_map>

#include "pg/pg.h"

extern "C" {
#include "utils/timestamp.h"
}

namespace realtime::failure_log {
namespace {

constexpr long kIntervalMs = 60 * 1000;
constexpr size_t kMaxKeys = 1000;  // above it all are forgotten: a few lines too many instead of growing memory

std::unordered_map<std::string, TimestampTz>* g_last = nullptr;

}  // namespace

bool Due(const std::string& key) {
  if (g_last == nullptr) g_last = new std::unordered_map<std::string, TimestampTz>();
  if (g_last->size() > kMaxKeys) g_last->clear();
  TimestampTz now = GetCurrentTimestamp();
  TimestampTz& last = (*g_last)[key];
  if (last != 0 && !TimestampDifferenceExceeds(last, now, kIntervalMs)) return false;
  last = now;
  return true;
}

}  // namespace realtime::failure_log
