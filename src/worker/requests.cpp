// The worker's side of the door: what comes from the network thread.
#include <utility>

#include "pg/interrupts.h"
#include "pg/log.h"
#include "pg/message_store.h"
#include "worker/monotonic.h"
#include "worker/worker.h"

namespace realtime {

namespace {

constexpr int64_t kTurnMs = 10;  // of requests, before the stream's turn
constexpr char kNotConnected[] = "UnableToConnectToProject: Realtime was unable to connect to the project database";

}  // namespace

// A bounded turn: thousands of joins at once must delay neither the stream nor a shutdown.
void Worker::TakeRequests(int64_t now_ms) {
  const bool fresh = taken_.empty();
  if (fresh) inbox_.Take(&taken_);
  while (next_taken_ < taken_.size() && !shutdown_requested) {
    DatabaseMailbox::Entry& entry = taken_[next_taken_++];
    // Questions in a row share a transaction.
    if (!std::holds_alternative<CheckRights>(entry.message)) policy_.EndTurn();
    std::visit([&](const auto& message) { Handle(message, now_ms); }, entry.message);
    inbox_.Done(entry.bytes);
    if (MonotonicMs() - now_ms > kTurnMs) break;
  }
  policy_.EndTurn();
  // After leftovers the inbox has not been looked at, and its wake may have been used up meanwhile.
  more_requests_ = !fresh || next_taken_ < taken_.size();
  if (next_taken_ < taken_.size()) return;
  taken_.clear();
  next_taken_ = 0;
}

// ---- subscriptions to changes ----

void Worker::Handle(const Subscribe& request, int64_t now_ms) {
  if (!serving_) return Output(RefusalOf(request, "the extension does not exist"));
  if (stream_.carries_changes() && joins_.empty()) return feed_.Add(request);  // which validates it
  if (std::optional<SubscribeResult> answer = feed_.Validate(request)) return Output(std::move(*answer));
  joins_.Add(request, now_ms);
}

void Worker::Handle(const Unsubscribe& request, int64_t /*now_ms*/) {
  joins_.Remove(request.channel);
  feed_.Remove(request.channel);
}

// ---- private channels ----

void Worker::Handle(const CheckRights& request, int64_t now_ms) {
  if (request.join && MessagesAreComing()) return pending_rights_.Add(request, now_ms);
  Answer(request);
}

bool Worker::MessagesAreComing() const {
  return serving_ && !stream_.carries_messages() && !stream_.live() && !stream_.has_trouble();
}

void Worker::Answer(const CheckRights& request) {
  if (serving_) return Output(policy_.Answer(request));
  RightsResult result;
  result.channel = request.channel;
  result.sequence = request.sequence;
  result.error = kNotConnected;
  Output(std::move(result));
}

// As bounded as the mailbox's turn.
void Worker::AnswerPending(int64_t now_ms) {
  if (pending_rights_.empty()) return;
  const bool all = !MessagesAreComing();
  while (!shutdown_requested && MonotonicMs() - now_ms <= kTurnMs) {
    std::optional<CheckRights> request = pending_rights_.Take(all, now_ms);
    if (!request) break;
    Answer(*request);
  }
  policy_.EndTurn();
  if (all && !pending_rights_.empty()) more_requests_ = true;
}

// ---- messages ----

void Worker::Handle(const Listening& request, int64_t /*now_ms*/) { listening_ = request.any; }

void Worker::Handle(const Store& request, int64_t /*now_ms*/) {
  if (!serving_ && request.store) {
    return Output(Stored{request.channel, request.message, request.ref, kNotConnected, false});
  }
  uint32_t xid = 0;
  Stored stored = StoreMessage(request, &xid);
  // The sender's channel delivers it, with the answer.
  if (xid != 0 && stream_.may_have_slot()) feed_.SkipBroadcast(xid, stored.message->id);
  stored.needs_right = request.needs_right;
  Output(std::move(stored));
}

void Worker::Handle(const LogLine& line, int64_t /*now_ms*/) { Log(line.level, line.message, line.hint); }

}  // namespace realtime
