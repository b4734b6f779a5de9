#include "worker/worker.h"

#include <algorithm>
#include <utility>

#include "pg/guard.h"
#include "pg/interrupts.h"
#include "pg/monotonic.h"
#include "pg/settings.h"
#include "pg/stat.h"

#include "pg/pg.h"

extern "C" {
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "utils/guc.h"
}

namespace realtime {

namespace {

constexpr int64_t kWaitingMs = 1;        // until a commit is looked at again
constexpr int64_t kStreamPauseMs = 1;    // in the stream, in the midst of a transaction
constexpr int64_t kPausedMs = 50;        // in case the cap was lowered below the mailbox's low-water mark
constexpr int64_t kNetworkRetryMs = 5000;
constexpr int64_t kLongestWaitMs = 60000;
constexpr int kJoinGraceMs = 100;        // beyond drain_timeout, for the network thread's own end
constexpr int kSlotDropMs = 200;
constexpr char kLockedText[] = "a catalog or table that must be looked at for it is locked";
constexpr char kMissedText[] = "Changes may have been missed: ";

}  // namespace

Worker::Worker()
    : database_(guc::Database()),
      settings_(guc::ForNetwork(false)),
      feed_([this](ToNetwork message) { Output(std::move(message)); }),
      inquiries_(&feed_),
      reader_(&stream_, &feed_) {}

void Worker::Output(ToNetwork message) {
  if (const auto* delivery = std::get_if<Delivery>(&message)) {
    for (const TargetList& targets : delivery->targets) stat::Add(stat::Figure::kDeliveries, targets->size());
  }
  Post(std::move(message), &outbox_);
}

void Worker::Run() {
  if (!events_.Init()) return;
  inbox_.OnWake([this] { events_.Wake(); });
  outbox_.OnDrained(settings_->max_mailbox / 2, [this] { events_.Wake(); });
  health_.LookAtSettings(*settings_);
  while (!shutdown_requested) Turn();
}

void Worker::Turn() {
  const int64_t now_ms = MonotonicMs();
  // Signals from other backends (a barrier, a cancel that nobody waits for any more) are dealt with here.
  PgTry([] { CHECK_FOR_INTERRUPTS(); }, nullptr);
  if (ConfigReloadPending) HandleReload(now_ms);
  EnsureNetwork(now_ms);
  if (health_.Due(now_ms)) HandleHealth(now_ms);
  upkeep_.Step(now_ms);
  TakeInquiry();
  TakeRequests(now_ms);
  StepStream(now_ms);
  Reader::Turn turn = ReadStream(now_ms);
  WorkOnFeed(turn);
  WaitForWork(turn);
}

void Worker::HandleReload(int64_t now_ms) {
  ConfigReloadPending = false;
  PgTry([] { ProcessConfigFile(PGC_SIGHUP); }, nullptr);
  if (database_ != guc::Database()) {
    Log(LogLevel::kInfo, std::string("realtime.database is now \"") + guc::Database() + "\": the worker restarts");
    shutdown_requested = 1;
    return;
  }
  PublishSettings();
  health_.LookAtSettings(*settings_);
  stream_.Reconfigure(now_ms);
}

void Worker::PublishSettings() {
  settings_ = guc::ForNetwork(serving_);
  if (network_runs_) Output(Reload{settings_});
}

// A failure here is one of resources; the process and its registry stay.
void Worker::EnsureNetwork(int64_t now_ms) {
  if (network_runs_ || now_ms < network_retry_ms_) return;
  network_ = std::make_unique<NetworkThread>(settings_, &outbox_, &inbox_, stat::internal::figures);
  Status status = network_->Start();
  if (status.ok()) {
    network_runs_ = true;
    network_condition_.Clear("the network thread has started");
    return;
  }
  network_.reset();
  network_retry_ms_ = now_ms + kNetworkRetryMs;
  network_condition_.Set("could not start the network thread: " + status.message());
}

void Worker::HandleHealth(int64_t now_ms) {
  health_.LookForExtension(now_ms);
  if (health_.extension_exists() != serving_) SetServing(health_.extension_exists(), now_ms);
  reader_.Recheck(now_ms);
  ReportState();
  PgTry([] { pgstat_report_stat(true); }, nullptr);
}

void Worker::SetServing(bool serving, int64_t now_ms) {
  serving_ = serving;
  if (serving) {
    stream_.LookForLeftover(now_ms);
    upkeep_.Begin(now_ms);  // and so before the stream starts, which then carries messages from the beginning
  } else {
    joins_.RefuseAll("the extension was dropped", [this](ToNetwork message) { Output(std::move(message)); });
    stream_.Stop(now_ms);
    upkeep_.End(now_ms);
    reader_.Reset();
  }
  PublishSettings();
}

// ---- the stream ----

void Worker::StepStream(int64_t now_ms) {
  const bool changes = feed_.channel_count() > 0 || !joins_.empty();
  const bool messages = listening_ || !pending_rights_.empty();
  stream_.Want(serving_ && (changes || messages), changes, now_ms);
  stream_.Step(now_ms, socket_ready_);
  if (!stream_.may_have_slot()) feed_.ForgetSkipped();
  if (!stream_.live()) reader_.Reset();
  if (std::optional<bool> new_slot = stream_.TakeStart()) OnStart(*new_slot, now_ms);
  const bool serving_joins = stream_.carries_changes();
  if (serving_joins) ServeJoins();
  // Who waits for his turn alone is served, however late.
  if (!serving_joins || joins_.IsPaused(now_ms)) {
    joins_.Expire(now_ms, serving_joins ? kLockedText : stream_.Cause(),
                  [this](ToNetwork message) { Output(std::move(message)); });
  }
  TellStreamState();
  AnswerPending(now_ms);
  AnswerSlow();
}

// As bounded as the mailbox's turn: thousands may have waited for the stream.
void Worker::ServeJoins() {
  const int64_t start_ms = MonotonicMs();
  joins_.Serve([this](const Subscribe& request) { return feed_.Add(request); },
               [start_ms] { return !shutdown_requested && MonotonicMs() - start_ms <= kTurnMs; }, start_ms);
  if (!joins_.empty() && !joins_.IsPaused(start_ms)) more_requests_ = true;
}

void Worker::OnStart(bool new_slot, int64_t now_ms) {
  reader_.Reset();
  if (!stream_.carries_messages()) upkeep_.Begin(now_ms);  // somebody has dropped their publication
  feed_.OnStreamStart(new_slot, stream_.carries_changes());
  const Missed missed = stream_.TakeMissed();
  const bool concerns = feed_.channel_count() > 0 || (missed.messages && listening_);
  if (!missed.reason.empty() && concerns) Output(SystemNotice{true, kMissedText + missed.reason, 0, missed.messages});
}

void Worker::TellStreamState() {
  const bool live = stream_.carries_messages();
  if (std::exchange(told_live_, live) == live) return;
  Output(StreamState{live});
  ReportState();
}

Reader::Turn Worker::ReadStream(int64_t now_ms) {
  if (!stream_.live()) return Reader::Turn::kIdle;
  pgstat_report_activity(STATE_RUNNING, "streaming changes");
  Reader::Turn turn = reader_.Run([this] { return outbox_.bytes(); }, settings_->max_mailbox,
                                  [this] { return events_.Wait(stream_, true, kStreamPauseMs); }, now_ms);
  if (turn == Reader::Turn::kBroken) stream_.Reject(now_ms);
  return turn;
}

// As bounded as everything else; what is left goes on when everything else has had its turn.
void Worker::WorkOnFeed(Reader::Turn turn) {
  const int64_t start_ms = MonotonicMs();
  auto may_go_on = [&] {
    return !shutdown_requested && outbox_.bytes() < settings_->max_mailbox && MonotonicMs() - start_ms <= kTurnMs;
  };
  const bool stream_idle = turn != Reader::Turn::kMore && !more_requests_;
  feed_has_more_ = !feed_.Work({may_go_on, stream_idle, start_ms}) && outbox_.bytes() < settings_->max_mailbox;
}

// With a full mailbox nothing of it can be done; it is waited for as in kPaused.
int64_t Worker::NextFeedWorkMs() const {
  const bool room = outbox_.bytes() < settings_->max_mailbox;
  return room ? feed_.next_work_ms() : std::max(feed_.next_work_ms(), MonotonicMs() + kPausedMs);
}

void Worker::WaitForWork(Reader::Turn turn) {
  ReportProgress(turn);
  int64_t until_ms = std::min({health_.next_look_ms(), stream_.next_step_ms(), joins_.next_step_ms(stream_.carries_changes()),
                               pending_rights_.next_deadline_ms(), upkeep_.next_step_ms(), NextFeedWorkMs()});
  if (!network_runs_) until_ms = std::min(until_ms, network_retry_ms_);
  int64_t timeout_ms = std::clamp<int64_t>(until_ms - MonotonicMs(), 0, kLongestWaitMs);
  if (turn == Reader::Turn::kMore || more_requests_) timeout_ms = 0;
  if (turn == Reader::Turn::kWaiting) timeout_ms = std::min(timeout_ms, kWaitingMs);
  if (feed_has_more_) timeout_ms = 0;
  // Nothing else helps: the network thread tells when it has taken what waits.
  if (turn == Reader::Turn::kPaused) timeout_ms = more_requests_ ? 0 : kPausedMs;
  if (shutdown_requested) return;
  if (timeout_ms > kWaitingMs) {
    pgstat_report_activity(STATE_IDLE, stream_.live() ? "waiting for changes" : "waiting for subscriptions");
  }
  const bool with_stream =
      turn != Reader::Turn::kPaused && turn != Reader::Turn::kWaiting && turn != Reader::Turn::kFull;
  socket_ready_ = events_.Wait(stream_, with_stream, timeout_ms);
}

// ---- the end ----

void Worker::Shutdown() {
  if (std::exchange(stopped_, true)) return;
  shutdown_requested = 1;
  QueryCancelPending = false;
  const int drain_ms = guc::DrainTimeoutMs();
  if (network_runs_) Output(Drain{});
  stream_.Disconnect();  // the walsender goes away while the clients are told
  if (network_runs_ && !network_->Join(drain_ms + kJoinGraceMs)) {
    Log(LogLevel::kWarning, "the network thread did not end within realtime.drain_timeout");
  }
  PgTry([this] { stream_.DropSlotAtExit(kSlotDropMs); }, nullptr);
}

}  // namespace realtime
