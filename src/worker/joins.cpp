#include "worker/joins.h"

#include <utility>

namespace realtime {

namespace {

// Less than supabase-js waits for the reply to a join (10 s), so the client learns the reason instead of timing out.
constexpr int64_t kPatienceMs = 8000;

}  // namespace

SubscribeResult RefusalOf(const Subscribe& request, const std::string& cause) {
  return {request.channel, request.sequence, SubscribeResult::Outcome::kRefused,
          "UnableToSubscribe: the change stream is not available: " + cause};
}

void Joins::Add(Subscribe request, int64_t now_ms) { waiting_.push_back({std::move(request), now_ms + kPatienceMs}); }

void Joins::Remove(ChannelId channel) {
  std::erase_if(waiting_, [channel](const Waiting& w) { return w.request.channel == channel; });
}

void Joins::ServeAll(const std::function<void(const Subscribe&)>& serve) {
  std::deque<Waiting> waiting = std::move(waiting_);
  waiting_.clear();
  for (const Waiting& w : waiting) serve(w.request);
}

void Joins::Expire(int64_t now_ms, const std::string& cause, const std::function<void(ToNetwork)>& output) {
  while (!waiting_.empty() && waiting_.front().deadline_ms <= now_ms) {
    output(RefusalOf(waiting_.front().request, cause));
    waiting_.pop_front();
  }
}

void Joins::RefuseAll(const std::string& cause, const std::function<void(ToNetwork)>& output) {
  Expire(INT64_MAX, cause, output);
}

int64_t Joins::next_deadline_ms() const { return waiting_.empty() ? INT64_MAX : waiting_.front().deadline_ms; }

}  // namespace realtime
