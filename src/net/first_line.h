// Takes down what a new connection asks for before libwebsockets sees it. libwebsockets decodes a path's escapes and then
// treats what comes out as if it had been written so: a%2Fb becomes two segments, and %2F%2F one slash. The names in the paths
// of REST calls may contain anything, so their requests are looked at (and left in the kernel) first.
#ifndef REALTIME_NET_FIRST_LINE_H_
#define REALTIME_NET_FIRST_LINE_H_

#include <uv.h>

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "net/admission.h"

namespace realtime {

// Looks at the beginning of a request. False: more bytes are needed to tell. A POST's request target goes to *target.
bool FindTarget(std::string_view text, std::string* target);

class FirstLine {
 public:
  // Takes ownership of the descriptor. `target` is a POST's request target as it was sent; empty for all else.
  using Ready = std::function<void(int fd, GuestPtr guest, std::string target, Now accepted)>;

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
  Look Peek(Connection* connection, std::string* target);
  void OnReadable(Connection* connection);
  bool StartPolling(Connection* connection);
  void Finish(Connection* connection, std::string target);

  uv_loop_t* const loop_;
  const Ready ready_;
  std::list<std::unique_ptr<Connection>> waiting_;  // oldest first, so the first to run out of time
  std::vector<char> scratch_;
};

}  // namespace realtime

#endif  // REALTIME_NET_FIRST_LINE_H_
