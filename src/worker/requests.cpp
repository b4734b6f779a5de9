// The worker's side of the door: what comes from the network thread.
#include <iterator>
#include <utility>

#include "pg/failure_log.h"
#include "pg/interrupts.h"
#include "pg/log.h"
#include "pg/message_store.h"
#include "pg/monotonic.h"
#include "pg/settings.h"
#include "worker/worker.h"

namespace realtime {

namespace {

constexpr char kNotConnected[] = "UnableToConnectToProject: Realtime was unable to connect to the project database";
constexpr char kQueueFull[] = "QueryCanceled: too many questions to slow policies are waiting";
constexpr char kWaitedTooLong[] = "QueryCanceled: the question waited too long, as the user's policies are slow";
constexpr char kQueueFullStore[] = "UnableToStoreMessage: too many questions to slow policies are waiting";

RightsResult RefusalOf(const CheckRights& request, const char* error) {
  RightsResult result;
  result.channel = request.channel;
  result.sequence = request.sequence;
  result.error = error;
  return result;
}

// One line for all of the queue's bounds: the cause is the same.
void LogSlowPolicies(const char* what) {
  if (!failure_log::Due("slow rights")) return;
  Log(LogLevel::kInfo,
      std::string("QueryCanceled: realtime did not ask the policies of table \"realtime.messages\" for a user whose policies are slow: ") +
          what,
      "The client was told. Make the policies and the functions they call faster.");
}

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
  if (joins_.empty() && stream_.carries_changes()) {
    if (feed_.Add(request)) return;  // which validates it
    joins_.Pause(now_ms);
  } else if (!joins_.IsPaused(now_ms)) {
    bool locked = false;
    if (std::optional<SubscribeResult> answer = feed_.Validate(request, &locked)) return Output(std::move(*answer));
    if (locked) joins_.Pause(now_ms);
  }
  joins_.Add(request, now_ms);
}

void Worker::Handle(const Unsubscribe& request, int64_t /*now_ms*/) {
  joins_.Remove(request.channel);
  feed_.Remove(request.channel);
}

// ---- private channels ----

void Worker::Handle(const CheckRights& request, int64_t now_ms) {
  if (request.join && MessagesAreComing()) return pending_rights_.Add(request, now_ms);
  Judge(request, now_ms);
}

bool Worker::MessagesAreComing() const {
  return serving_ && !stream_.carries_messages() && !stream_.live() && !stream_.has_trouble();
}

// At once, unless that would probably hold up everybody else.
void Worker::Judge(const CheckRights& request, int64_t now_ms) {
  if (!serving_ || !slow_rights_.Concerns(request, now_ms)) return Answer(request);
  std::optional<CheckRights> refused = slow_rights_.Add(request, now_ms);
  if (!refused) return;
  // An older question of the channel is only answered because each is.
  if (!slow_rights_.Has(request.channel)) LogSlowPolicies(kQueueFull);
  Output(RefusalOf(*refused, kQueueFull));
}

void Worker::Answer(const CheckRights& request) {
  if (!serving_) return Output(RefusalOf(request, kNotConnected));
  const int64_t start_ms = MonotonicMs();
  RightsResult result = policy_.Answer(request);
  const int64_t end_ms = MonotonicMs();
  // By time, not by error: several evaluations that each end just in time are as bad for those who wait.
  if (request.identity != nullptr) slow_rights_.Note(*request.identity, end_ms - start_ms >= guc::PolicyTimeoutMs(), end_ms);
  Output(std::move(result));
}

// As bounded as the mailbox's turn.
void Worker::AnswerPending(int64_t now_ms) {
  if (pending_rights_.empty()) return;
  const bool all = !MessagesAreComing();
  const int64_t start_ms = MonotonicMs();
  while (!shutdown_requested && MonotonicMs() - start_ms <= kTurnMs) {
    std::optional<CheckRights> request = pending_rights_.Take(all, now_ms);
    if (!request) break;
    Judge(*request, now_ms);
  }
  policy_.EndTurn();
  if (all && !pending_rights_.empty()) more_requests_ = true;
}

// One evaluation a turn, and only when the mailbox is empty: whoever is not slow waits for one such question at most.
void Worker::AnswerSlow() {
  const int64_t start_ms = MonotonicMs();
  bool evaluated = false;
  while (!slow_rights_.empty() && !shutdown_requested && MonotonicMs() - start_ms <= kTurnMs) {
    const bool idle = !evaluated && taken_.empty() && inbox_.bytes() == 0;
    const bool expired = serving_ && slow_rights_.first_deadline_ms() <= start_ms;
    if (serving_ && !expired && !idle) break;
    SlowRights::Waiting next = slow_rights_.Take();
    if (expired) {
      LogSlowPolicies(kWaitedTooLong);
      Output(RefusalOf(next.question, kWaitedTooLong));
    } else {
      Answer(next.question);
      evaluated = serving_;
    }
    TakeFirst(std::move(next.behind));
  }
  policy_.EndTurn();
  if (!slow_rights_.empty()) more_requests_ = true;
}

// Before whatever has arrived from the same channel since.
void Worker::TakeFirst(std::vector<Store> messages) {
  if (messages.empty()) return;
  std::vector<DatabaseMailbox::Entry> entries;
  // The mailbox has been told that they are done.
  for (Store& message : messages) entries.push_back({std::move(message), 0});
  taken_.insert(taken_.begin() + static_cast<std::ptrdiff_t>(next_taken_), std::make_move_iterator(entries.begin()),
                std::make_move_iterator(entries.end()));
  more_requests_ = true;
}

// ---- messages ----

void Worker::Handle(const Listening& request, int64_t /*now_ms*/) { listening_ = request.any; }

void Worker::Handle(const Store& request, int64_t /*now_ms*/) {
  if (slow_rights_.Has(request.channel)) {
    if (slow_rights_.Add(request)) return;
    LogSlowPolicies(kQueueFullStore);
    return Output(Stored{request.channel, request.message, request.ref, kQueueFullStore, false});
  }
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

// ---- the DBA's views ----

void Worker::TakeInquiry() {
  std::optional<Inquiry> inquiry = inquiries_.Take();
  if (!inquiry) return;
  if (network_runs_) return Output(*inquiry);
  Findings nobody;
  nobody.ticket = inquiry->ticket;
  nobody.last = true;
  inquiries_.Add(nobody);
}

void Worker::Handle(const Findings& findings, int64_t /*now_ms*/) { inquiries_.Add(findings); }

}  // namespace realtime
