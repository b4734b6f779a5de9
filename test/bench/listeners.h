// Many sockets that each listen to changes of a table, all read by one thread.
#ifndef REALTIME_TEST_BENCH_LISTENERS_H_
#define REALTIME_TEST_BENCH_LISTENERS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace realtime::bench {

class Listeners {
 public:
  Listeners();
  ~Listeners();
  Listeners(const Listeners&) = delete;
  Listeners& operator=(const Listeners&) = delete;

  // Connects `count` sockets and subscribes the one with index i to the rows of public.`table` with id = i, or all to the
  // row with id = 0. On failure error() says why.
  bool Join(int port, const std::string& api_key, const std::string& table, size_t count, bool own_row_each);

  // Waits at most so long for something to arrive. `on_change` gets each change's text, valid during the call, the index of
  // its socket, and when its last byte was received. False after a failure.
  using OnChange = std::function<void(size_t listener, std::string_view frame, int64_t received_us)>;
  bool Poll(int timeout_ms, const OnChange& on_change);

  const std::string& error() const { return error_; }

 private:
  struct Listener {
    int fd = -1;
    std::string rest;  // of a frame whose end has not come yet
  };

  bool Fail(const std::string& why);
  bool JoinOne(int port, const std::string& api_key, const std::string& table, const std::string& filter, int* fd);
  bool Watch();
  bool Read(size_t index, const OnChange& on_change);
  bool Send(const Listener& listener, uint8_t opcode, std::string_view content);

  int epoll_ = -1;
  std::vector<Listener> listeners_;
  std::vector<char> buffer_;
  std::string error_;
};

}  // namespace realtime::bench

#endif  // REALTIME_TEST_BENCH_LISTENERS_H_
