// Round trips of heartbeats on a socket of their own, beaten by a process of its own: what this program does itself
// delays none of them.
#ifndef REALTIME_TEST_BENCH_HEARTBEATS_H_
#define REALTIME_TEST_BENCH_HEARTBEATS_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace realtime::bench {

// Sent at a fixed rate, whether or not the last one was answered: one long stall shows in all that fell into it.
constexpr int kHeartbeatsPerSecond = 200;

class Heartbeats {
 public:
  // Forks, so only while this process has one thread. Returns when the first one was answered.
  Heartbeats(int port, const std::string& api_key);
  ~Heartbeats();
  Heartbeats(const Heartbeats&) = delete;
  Heartbeats& operator=(const Heartbeats&) = delete;

  // Ends them, and returns the microseconds from sending to answer of those that were sent at from_us or later. Every one
  // must be answered, or the program ends.
  std::vector<int64_t> Stop(int64_t from_us);

 private:
  pid_t child_ = -1;
  int stop_fd_ = -1;
  int result_fd_ = -1;
};

}  // namespace realtime::bench

#endif  // REALTIME_TEST_BENCH_HEARTBEATS_H_
