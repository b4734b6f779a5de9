#include "worker/pending_rights.h"

#include <utility>

namespace realtime {

namespace {

// A slot is made in some tens of milliseconds, unless old transactions are open.
constexpr int64_t kPatienceMs = 1000;

}  // namespace

void PendingRights::Add(CheckRights request, int64_t now_ms) { waiting_.push_back({std::move(request), now_ms + kPatienceMs}); }

std::optional<CheckRights> PendingRights::Take(bool all, int64_t now_ms) {
  if (waiting_.empty() || (!all && waiting_.front().deadline_ms > now_ms)) return std::nullopt;
  CheckRights request = std::move(waiting_.front().request);
  waiting_.pop_front();
  return request;
}

int64_t PendingRights::next_deadline_ms() const { return waiting_.empty() ? INT64_MAX : waiting_.front().deadline_ms; }

}  // namespace realtime
