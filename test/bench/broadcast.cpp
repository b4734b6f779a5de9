// Broadcast fan-out next to a loop that does one send() per message and socket, on the same machine and in the same run,
// read by the same program; that is not the limit, it takes several millions a second when they come in larger pieces.
// 200 bytes of payload, one sender, one room.
//
//   1. Messages per second delivered to 100, 1,000 and 10,000 sockets, as fast as the slowest of them reads: the sender
//      keeps at most a window of messages ahead of it. Every message is checked to arrive once and in order.
//   2. Time from the sender's send() to each receiver's recv() at a fixed rate. One clock.
//
// Environment: REALTIME_URL_PORT, ANON_KEY; BENCH_SOCKETS ("100 1000 10000"), BENCH_FAN_OUT_SECONDS (5), BENCH_PACED_SOCKETS
// (100), BENCH_PACED_RATE (200 per second), BENCH_PACED_SECONDS (10). With BENCH_BARE_ONLY the extension is not asked.
#include <sys/resource.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "bench/bare_loop.h"
#include "bench/fleet.h"
#include "bench/measure.h"
#include "bench/ws_client.h"

namespace realtime::bench {
namespace {

constexpr int64_t kWarmUpUs = 1000000;
constexpr int64_t kPatienceUs = 30000000;
constexpr size_t kOtherFiles = 50;

// A window of so many messages, halved and halved again where all sockets together would hold too many of them.
constexpr uint32_t kWindow = 256;
constexpr uint32_t kSmallestWindow = 32;
constexpr size_t kInFlight = 640000;

struct Delay {
  double p50_ms = 0;
  double p99_ms = 0;
};

bool BareOnly() { return std::getenv("BENCH_BARE_ONLY") != nullptr; }

void Poll(Fleet* fleet, int timeout_ms) {
  if (!fleet->Poll(timeout_ms)) Die(fleet->error());
}

// One bare loop or one extension, with a room of so many sockets.
class Room {
 public:
  Room(bool bare, size_t count) {
    if (bare) {
      loop_ = std::make_unique<BareLoop>(count);
      if (loop_->port() == 0 || !fleet_.Dial(loop_->port(), count)) Die("bare loop: " + fleet_.error());
    } else if (!fleet_.Join(Number("REALTIME_URL_PORT", 4000), Env("ANON_KEY"), count)) {
      Die(fleet_.error());
    }
  }

  // Whatever was sent must have arrived everywhere before its numbers count.
  void WaitForAll() {
    int64_t deadline_us = NowMicros() + kPatienceUs;
    while (fleet_.slowest() < fleet_.sent()) {
      if (NowMicros() > deadline_us) Die("message " + std::to_string(fleet_.slowest()) + " did not arrive everywhere");
      Poll(&fleet_, 100);
    }
  }

  Fleet* fleet() { return &fleet_; }

 private:
  std::unique_ptr<BareLoop> loop_;
  Fleet fleet_;
};

// Keeps the window full, half of it at a time: a sender that fast has more than one message ready.
void Push(Fleet* fleet, uint32_t window, int64_t until_us) {
  int64_t now_us;
  while ((now_us = NowMicros()) < until_us) {
    if (fleet->sent() - fleet->slowest() <= window / 2) {
      while (fleet->sent() - fleet->slowest() < window) fleet->Send(now_us);
    }
    Poll(fleet, 1);
  }
}

double MessagesPerSecond(bool bare, size_t count) {
  Room room(bare, count);
  Fleet* fleet = room.fleet();
  uint32_t window = kWindow;
  while (window > kSmallestWindow && window * count > kInFlight) window /= 2;
  Push(fleet, window, NowMicros() + kWarmUpUs);
  uint64_t before = fleet->received();
  int64_t began_us = NowMicros();
  Push(fleet, window, began_us + int64_t{Number("BENCH_FAN_OUT_SECONDS", 5)} * 1000000);
  double rate = static_cast<double>(fleet->received() - before) * 1e6 / static_cast<double>(NowMicros() - began_us);
  room.WaitForAll();
  return rate;
}

Delay MeasureDelay(bool bare) {
  int rate = Number("BENCH_PACED_RATE", 200);
  int messages = rate * Number("BENCH_PACED_SECONDS", 10);
  Room room(bare, static_cast<size_t>(Number("BENCH_PACED_SOCKETS", 100)));
  Fleet* fleet = room.fleet();
  std::vector<int64_t> delays_us;
  int64_t due_us = NowMicros();
  for (int i = -rate; i < messages; i++, due_us += 1000000 / rate) {
    if (i == 0) fleet->Record(&delays_us);
    // Sleeping has a grain of a millisecond; the last one is spent polling.
    for (int64_t left_us; (left_us = due_us - NowMicros()) > 0;) Poll(fleet, static_cast<int>(left_us / 1000));
    fleet->Send(NowMicros());
    Poll(fleet, 0);
  }
  room.WaitForAll();
  return {Percentile(delays_us, 0.5), Percentile(delays_us, 0.99)};
}

void ReportRate(const char* who, size_t sockets, double rate, double ratio) {
  std::printf("  %6zu sockets  %-25s %8.0f   %8.2f\n", sockets, who, rate, ratio);
  std::fflush(stdout);
}

void FanOut(const std::vector<size_t>& sizes) {
  std::printf("broadcast, 200 bytes, one sender           messages/s      ratio\n");
  for (size_t sockets : sizes) {
    double bare = MessagesPerSecond(true, sockets);
    ReportRate("one send() each", sockets, bare, 1);
    if (BareOnly()) continue;
    double ours = MessagesPerSecond(false, sockets);
    ReportRate("realtime", sockets, ours, ours / bare);
  }
}

void Paced() {
  std::printf("\nbroadcast, %4d/s to %5d sockets              p50 ms     p99 ms\n", Number("BENCH_PACED_RATE", 200),
              Number("BENCH_PACED_SOCKETS", 100));
  Delay bare = MeasureDelay(true);
  std::printf("  %-40s %8.3f   %8.3f\n", "one send() each", bare.p50_ms, bare.p99_ms);
  if (BareOnly()) return;
  Delay ours = MeasureDelay(false);
  std::printf("  %-40s %8.3f   %8.3f\n", "realtime", ours.p50_ms, ours.p99_ms);
  std::printf("  %-40s %8.2f   %8.2f\n\n", "ratio", ours.p50_ms / bare.p50_ms, ours.p99_ms / bare.p99_ms);
}

// As many descriptors as this process may have; the sizes that do not fit are left out, which is said.
std::vector<size_t> Sizes() {
  rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  const char* wanted = std::getenv("BENCH_SOCKETS");
  std::istringstream in(wanted == nullptr ? "100 1000 10000" : wanted);
  std::vector<size_t> sizes;
  for (size_t size; in >> size;) {
    if (size == 0) Die("BENCH_SOCKETS must be positive numbers");
    if (size + kOtherFiles <= files.rlim_cur) {
      sizes.push_back(size);
    } else {
      std::printf("%zu sockets are left out: this process may open %llu files\n", size,
                  static_cast<unsigned long long>(files.rlim_cur));
    }
  }
  return sizes;
}

int Main() {
  FanOut(Sizes());
  Paced();
  return 0;
}

}  // namespace
}  // namespace realtime::bench

int main() { return realtime::bench::Main(); }
