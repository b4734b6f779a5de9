#include "worker/slow_rights.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

namespace realtime {

namespace {

constexpr int64_t kSlowMs = 30000;       // how long a slow answer is remembered
constexpr size_t kMaxIdentities = 1000;  // the oldest are forgotten
constexpr size_t kMaxWaiting = 10000;
constexpr size_t kMaxBytes = 64u << 20;
// Less than supabase-js waits for the reply to a join (10 s). What is asked again and again must have an end, too: rights
// that were taken away would else be used as long as the queue lasts.
constexpr int64_t kPatienceMs = 8000;

// Role and sub are among the claims. Not the headers: a client could choose new ones each time.
size_t HashOf(const Identity& identity) { return std::hash<std::string>()(identity.claims); }

}  // namespace

void SlowRights::Note(const Identity& identity, bool slow, int64_t now_ms) {
  if (!slow && identities_.empty()) return;
  const size_t hash = HashOf(identity);
  std::erase_if(identities_, [&](const SlowIdentity& known) { return known.hash == hash || known.until_ms <= now_ms; });
  if (!slow) return;
  identities_.push_back({hash, now_ms + kSlowMs});
  if (identities_.size() > kMaxIdentities) identities_.pop_front();
}

bool SlowRights::Concerns(const CheckRights& question, int64_t now_ms) {
  if (Has(question.channel)) return true;
  if (identities_.empty() || question.identity == nullptr) return false;
  const size_t hash = HashOf(*question.identity);
  return std::any_of(identities_.begin(), identities_.end(),
                     [&](const SlowIdentity& known) { return known.hash == hash && known.until_ms > now_ms; });
}

std::optional<CheckRights> SlowRights::Add(CheckRights question, int64_t now_ms) {
  const size_t bytes = SizeOf(ToDatabase(question));
  auto found = waiting_.find(question.channel);
  if (found != waiting_.end()) {
    Waiting& waiting = found->second;
    // Those that waited for the stream may come late.
    if (question.sequence < waiting.question.sequence) return question;
    std::swap(question, waiting.question);
    const size_t older = SizeOf(ToDatabase(question));
    waiting.bytes += bytes - older;
    bytes_ += bytes - older;
    return question;
  }
  if (count_ >= kMaxWaiting || bytes_ + bytes > kMaxBytes) return question;
  ++count_;
  bytes_ += bytes;
  order_.push_back(question.channel);
  const ChannelId channel = question.channel;
  waiting_.emplace(channel, Waiting{std::move(question), {}, now_ms + kPatienceMs, bytes});
  return std::nullopt;
}

bool SlowRights::Add(const Store& message) {
  const size_t bytes = SizeOf(ToDatabase(message));
  if (count_ >= kMaxWaiting || bytes_ + bytes > kMaxBytes) return false;
  Waiting& waiting = waiting_.at(message.channel);
  waiting.behind.push_back(message);
  waiting.bytes += bytes;
  ++count_;
  bytes_ += bytes;
  return true;
}

SlowRights::Waiting SlowRights::Take() {
  auto found = waiting_.find(order_.front());
  Waiting waiting = std::move(found->second);
  waiting_.erase(found);
  order_.pop_front();
  count_ -= 1 + waiting.behind.size();
  bytes_ -= waiting.bytes;
  return waiting;
}

}  // namespace realtime
