// Takes down what a new connection asks for before libwebsockets sees it (net/request_line.h): its first line is looked at, and
// left in the kernel.
#ifndef REALTIME_NET_FIRST_LINE_H_
#define REALTIME_NET_FIRST_LINE_H_

#include <uv.h>

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "core/clock.h"
#include "net/admission.h"
#include "net/request_line.h"

namespace realtime {

class FirstLine {
 public:
  // Takes ownership of the descriptor.
  using Ready = std::function<void(int fd, GuestPtr guest, RequestLine line, Now accepted)>;

  FirstLine(uv_loop_t* loop, Ready ready);
  ~FirstLine();
  FirstLine(const FirstLine&) = delete;
  FirstLine& operator=(const FirstLine&) = delete;

  // Takes ownership of `fd` (connected, non-blocking). Ready follows, perhaps at once, or the connection is closed when
  // nothing comes in time.
  void Add(int fd, GuestPtr guest, Now now);
  void Close();
  size_t count() const { return waiting_.size(); }

  // Call at NextDeadline (mono ms; INT64_MAX for never) or later.
  void Tick(Now now);
  int64_t NextDeadline() const;

 private:
  struct Connection;

  enum class Look : uint8_t { kMore, kDone };
  Look Peek(Connection* connection, RequestLine* line);
  void OnReadable(Connection* connection, int status);
  bool StartPolling(Connection* connection);
  void Finish(Connection* connection, RequestLine line);

  uv_loop_t* const loop_;
  const Ready ready_;
  std::list<std::unique_ptr<Connection>> waiting_;  // oldest first, so the first to run out of time
  std::vector<char> scratch_;
};

}  // namespace realtime

#endif  // REALTIME_NET_FIRST_LINE_H_
