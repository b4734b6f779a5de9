// The network thread without PostgreSQL, to try clients against it by hand and to measure the fan-out:
//   harness [port] [deliveries per second] [bytes]
// Every subscription is live at once; each delivery goes to all of them. Prints the port and a token.
#include <signal.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "fake_database.h"

using namespace realtime;
using namespace realtime::test;

int main(int argc, char** argv) {
  int port = argc > 1 ? atoi(argv[1]) : 0;
  int rate = argc > 2 ? atoi(argv[2]) : 0;
  size_t bytes = argc > 3 ? strtoul(argv[3], nullptr, 10) : 200;
  if (port == 0) port = FreePort();

  sigset_t end;
  sigemptyset(&end);
  sigaddset(&end, SIGINT);
  sigaddset(&end, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &end, nullptr);

  FakeDatabase database(TestSettings(port));
  Status status = database.Start();
  if (!status.ok()) {
    fprintf(stderr, "%s\n", status.message().c_str());
    return 1;
  }
  printf("port %d\ntoken %s\n", port, ValidToken().c_str());
  fflush(stdout);

  std::string data = "{\"type\":\"INSERT\",\"record\":{\"x\":\"" + std::string(bytes, 'x') + "\"}}";
  auto next = std::chrono::steady_clock::now();
  for (;;) {
    timespec wait{0, 50 * 1000 * 1000};
    if (rate > 0) {
      wait = {0, 0};
      next += std::chrono::microseconds(1000000 / rate);
      std::this_thread::sleep_until(next);
      database.WaitForRoom(32u << 20, 1000);
      database.Deliver(data);
    }
    if (sigtimedwait(&end, nullptr, &wait) > 0) break;
  }
  return database.Drain(5000) ? 0 : 1;
}
