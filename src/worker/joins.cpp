#include "worker/joins.h"

#include <algorithm>
#include <utility>

namespace realtime {

namespace {

// Less than supabase-js waits for the reply to a join (10 s), so the client learns the reason instead of timing out.
constexpr int64_t kPatienceMs = 8000;
constexpr int64_t kLongestPatienceMs = 20000;

}  // namespace

SubscribeResult RefusalOf(const Subscribe& request, const std::string& cause) {
  const std::string code = request.patience_ms > 0 ? "PostgresChangesSubscribeTimeout" : "UnableToSubscribe";
  return {request.channel, request.sequence, SubscribeResult::Outcome::kRefused,
          code + ": the change stream is not available: " + cause};
}

void Joins::Add(Subscribe request, int64_t now_ms) {
  const int64_t patience_ms = request.patience_ms > 0 ? std::min(request.patience_ms, kLongestPatienceMs) : kPatienceMs;
  waiting_.push_back({std::move(request), now_ms + patience_ms});
  next_deadline_ms_ = std::min(next_deadline_ms_, now_ms + patience_ms);
}

void Joins::Remove(ChannelId channel) {
  std::erase_if(waiting_, [channel](const Waiting& w) { return w.request.channel == channel; });
  if (waiting_.empty()) next_deadline_ms_ = INT64_MAX;
}

void Joins::Serve(const std::function<bool(const Subscribe&)>& serve, const std::function<bool()>& may_go_on, int64_t now_ms) {
  while (!waiting_.empty() && may_go_on() && !IsPaused(now_ms)) {
    if (serve(waiting_.front().request)) {
      waiting_.pop_front();
      continue;
    }
    // With what its channel has asked since, whose order stays.
    const ChannelId locked = waiting_.front().request.channel;
    std::stable_partition(waiting_.begin(), waiting_.end(), [locked](const Waiting& w) { return w.request.channel != locked; });
    Pause(now_ms);
  }
  if (waiting_.empty()) next_deadline_ms_ = INT64_MAX;
}

void Joins::Expire(int64_t now_ms, const std::string& cause, const std::function<void(ToNetwork)>& output) {
  if (now_ms < next_deadline_ms_) return;
  next_deadline_ms_ = INT64_MAX;
  std::erase_if(waiting_, [&](const Waiting& w) {
    if (w.deadline_ms > now_ms) {
      next_deadline_ms_ = std::min(next_deadline_ms_, w.deadline_ms);
      return false;
    }
    output(RefusalOf(w.request, cause));
    return true;
  });
}

void Joins::RefuseAll(const std::string& cause, const std::function<void(ToNetwork)>& output) {
  Expire(INT64_MAX, cause, output);
}

}  // namespace realtime
