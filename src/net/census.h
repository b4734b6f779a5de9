// Answers inquiries (core/inquiry.h) in slices, so that a hundred thousand rows delay no heartbeat: first the names of all that
// is to be described, then some of them at each turn of the loop. What ends in between is left out.
#ifndef REALTIME_NET_CENSUS_H_
#define REALTIME_NET_CENSUS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "core/door.h"
#include "core/engine.h"
#include "net/sockets.h"

namespace realtime {

// Network thread only.
class Census {
 public:
  // None is owned.
  Census(Engine* engine, Sockets* sockets, DatabaseMailbox* outbox)
      : engine_(engine), sockets_(sockets), outbox_(outbox) {}

  void Begin(const Inquiry& inquiry);
  // There is a next slice.
  bool busy() const { return busy_; }
  void Work();
  // Without an answer; whoever asks runs out of patience.
  void Forget();

 private:
  size_t size() const { return sessions_.size() + topics_.size(); }
  void Describe(size_t index, Findings* findings);
  void DescribeConnection(SessionId session, ViewRows* rows);

  Engine* const engine_;
  Sockets* const sockets_;
  DatabaseMailbox* const outbox_;
  Inquiry inquiry_;
  bool busy_ = false;
  std::vector<SessionId> sessions_;
  std::vector<std::string> topics_;
  size_t next_ = 0;   // of what is to be described
  size_t rows_ = 0;   // sent so far
  size_t bytes_ = 0;
};

}  // namespace realtime

#endif  // REALTIME_NET_CENSUS_H_
