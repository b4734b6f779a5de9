#include "pg/watchdog.h"

#include <algorithm>
#include <csignal>

#include "pg/interrupts.h"
#include "pg/settings.h"
#include "pg/pg.h"

extern "C" {
#include "utils/timeout.h"
#include "utils/timestamp.h"
}

namespace realtime::watchdog {
namespace {

constexpr int kTicksPerLimit = 10;   // a check is cancelled at most a tenth of the limit late ...
constexpr int kShortestTickMs = 5;
constexpr int kLongestTickMs = 100;  // ... and at most this long after a shutdown request
constexpr int kPatienceTicks = 50;          // cancels that may be caught before the worker gives up
constexpr int kPatienceAtShutdown = 1;

// Written by the database thread, read by its signal handler.
volatile sig_atomic_t g_in_check = false;
volatile sig_atomic_t g_check_number = 0;
volatile sig_atomic_t g_limit_ticks = kTicksPerLimit;
volatile sig_atomic_t g_cancelled = false;
// Only touched by the handler.
sig_atomic_t g_seen_number = -1;
int g_seen_ticks = 0;
int g_cancels = 0;

bool g_open = false;
TimeoutId g_timeout_id;

void OnTick() {
  if (!g_in_check) return;
  if (g_seen_number != g_check_number) {
    g_seen_number = g_check_number;
    g_seen_ticks = 0;
    g_cancels = 0;
  }
  ++g_seen_ticks;
  if (g_seen_ticks <= g_limit_ticks && !shutdown_requested) return;
  g_cancelled = true;
  QueryCancelPending = true;
  if (++g_cancels > (shutdown_requested ? kPatienceAtShutdown : kPatienceTicks)) ProcDiePending = true;
  InterruptPending = true;
  SetLatch(MyLatch);
}

}  // namespace

void Register() { g_timeout_id = RegisterTimeout(USER_TIMEOUT, OnTick); }

void OpenBatch() {
  if (g_open) return;
  int limit = guc::PolicyTimeoutMs();
  int tick = std::clamp(limit / kTicksPerLimit, kShortestTickMs, kLongestTickMs);
  g_limit_ticks = (limit + tick - 1) / tick;
  enable_timeout_every(g_timeout_id, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), tick), tick);
  g_open = true;
}

void CloseBatch() {
  if (!g_open) return;
  g_in_check = false;
  disable_timeout(g_timeout_id, false);
  g_open = false;
}

void StartCheck() {
  g_check_number = (g_check_number + 1) & 0x3fffffff;
  g_cancelled = false;
  g_in_check = true;
}

bool FinishCheck() {
  g_in_check = false;
  QueryCancelPending = false;
  return g_cancelled;
}

void RaiseTimeout() {
  ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED),
                  errmsg("evaluation ran longer than realtime.policy_timeout and caught its cancellation")));
}

}  // namespace realtime::watchdog
