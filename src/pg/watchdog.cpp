#include "pg/watchdog.h"

#include <fcntl.h>
#include <unistd.h>

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
constexpr int kPatienceOutgrown = 5;        // ... while they hold too much memory
constexpr int kPatienceAtShutdown = 1;
constexpr int64_t kMaxGrowth = int64_t{512} << 20;

// Written by the database thread, read by its signal handler.
volatile sig_atomic_t g_in_check = false;
volatile sig_atomic_t g_check_number = 0;
volatile sig_atomic_t g_limit_ticks = kTicksPerLimit;
volatile sig_atomic_t g_cancelled = false;
// Only touched by the handler.
sig_atomic_t g_seen_number = -1;
int g_seen_ticks = 0;
int g_cancels = 0;
int64_t g_memory_before = 0;

volatile sig_atomic_t g_outgrown = false;
int g_memory_file = -1;  // Linux has it; elsewhere memory is not limited
int64_t g_page_size = 0;

bool g_open = false;
TimeoutId g_timeout_id;

// The process's own memory in bytes, without what is shared: the second number less the third. Calls nothing that a signal
// handler may not.
int64_t OwnMemory() {
  char text[128];
  const ssize_t size = pread(g_memory_file, text, sizeof text, 0);
  int64_t numbers[3] = {};
  int count = 0;
  for (ssize_t i = 0; i < size && count < 3; ++i) {
    if (text[i] == ' ') {
      ++count;
    } else if (text[i] >= '0' && text[i] <= '9') {
      numbers[count] = numbers[count] * 10 + (text[i] - '0');
    }
  }
  return (numbers[1] - numbers[2]) * g_page_size;
}

int Patience() {
  if (shutdown_requested) return kPatienceAtShutdown;
  return g_outgrown ? kPatienceOutgrown : kPatienceTicks;
}

void OnTick() {
  if (!g_in_check) return;
  const int64_t memory = OwnMemory();
  if (g_seen_number != g_check_number) {
    g_seen_number = g_check_number;
    g_seen_ticks = 0;
    g_cancels = 0;
    g_memory_before = memory;
  }
  ++g_seen_ticks;
  if (memory - g_memory_before > kMaxGrowth) g_outgrown = true;
  if (g_seen_ticks <= g_limit_ticks && !g_outgrown && !shutdown_requested) return;
  g_cancelled = true;
  QueryCancelPending = true;
  // Not what cannot be cancelled now: a commit that waits for the disk, say.
  // (PostgreSQL holds interrupts once itself around this handler.)
  const bool could_be = InterruptHoldoffCount <= 1 && CritSectionCount == 0;
  if (could_be && ++g_cancels > Patience()) ProcDiePending = true;
  InterruptPending = true;
  SetLatch(MyLatch);
}

}  // namespace

void Register() {
  g_timeout_id = RegisterTimeout(USER_TIMEOUT, OnTick);
  g_memory_file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  g_page_size = sysconf(_SC_PAGESIZE);
}

void OpenBatch() { OpenBatch(guc::PolicyTimeoutMs()); }

void OpenBatch(int limit_ms) {
  if (g_open) return;
  int tick = std::clamp(limit_ms / kTicksPerLimit, kShortestTickMs, kLongestTickMs);
  g_limit_ticks = (limit_ms + tick - 1) / tick;
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
  g_outgrown = false;
  g_in_check = true;
}

bool FinishCheck() {
  g_in_check = false;
  QueryCancelPending = false;
  return g_cancelled;
}

bool OutgrewMemory() { return g_outgrown; }

void RaiseTimeout() {
  ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED),
                  errmsg("evaluation ran longer than realtime.policy_timeout and caught its cancellation")));
}

}  // namespace realtime::watchdog
