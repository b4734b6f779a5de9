// The yardstick for fan-out: a process that does nothing but one send() per message and socket.
#ifndef REALTIME_TEST_BENCH_BARE_LOOP_H_
#define REALTIME_TEST_BENCH_BARE_LOOP_H_

#include <sys/types.h>

#include <cstddef>

namespace realtime::bench {

// Starts it in a process of its own: it takes 1 + `count` connections (the first one sends), and ends with the sender's.
class BareLoop {
 public:
  explicit BareLoop(size_t count);
  ~BareLoop();
  BareLoop(const BareLoop&) = delete;
  BareLoop& operator=(const BareLoop&) = delete;

  int port() const { return port_; }  // 0: it could not be started

 private:
  int port_ = 0;
  pid_t child_ = -1;
};

}  // namespace realtime::bench

#endif  // REALTIME_TEST_BENCH_BARE_LOOP_H_
