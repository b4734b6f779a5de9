// The worker's part in answering the views (pg/inquiry_desk.h): passes the question on to the network thread, and puts together
// what comes back.
#ifndef REALTIME_WORKER_INQUIRIES_H_
#define REALTIME_WORKER_INQUIRIES_H_

#include <optional>

#include "core/inquiry.h"
#include "pg/feed.h"

namespace realtime {

class Inquiries {
 public:
  // `feed` is not owned.
  explicit Inquiries(const Feed* feed) : feed_(feed) {}

  // A new question for the network thread. Once a turn of the loop.
  std::optional<Inquiry> Take();
  void Add(const Findings& findings);

 private:
  const Feed* feed_;
  uint64_t ticket_ = 0;  // zero: there is no question
  ViewRows rows_;
  bool more_ = false;
};

}  // namespace realtime

#endif  // REALTIME_WORKER_INQUIRIES_H_
