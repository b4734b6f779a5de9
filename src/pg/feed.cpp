#include "pg/feed.h"

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/pgoutput.h"
#include "pg/catch_up.h"
#include "pg/commit_end.h"
#include "pg/dispatcher.h"
#include "pg/failure_log.h"
#include "pg/guard.h"
#include "pg/history.h"
#include "pg/invalidation.h"
#include "pg/lesser_code.h"
#include "pg/log.h"
#include "pg/message_feed.h"
#include "pg/parking.h"
#include "pg/registry.h"
#include "pg/relation_feed.h"
#include "pg/row_count.h"
#include "pg/row_json.h"
#include "pg/slot.h"
#include "pg/start_point.h"
#include "pg/stat.h"
#include "pg/validate.h"

extern "C" {
#include "access/xlog.h"
}

namespace realtime {

class Feed::Impl {
 public:
  explicit Impl(std::function<void(ToNetwork)> output)
      : messages_(output), dispatcher_(output), catch_up_(&registry_, &history_, &dispatcher_, output),
        output_(std::move(output)) {
    invalidation::Register();
    InstallFunctionCounter();
    lesser_code::InstallGuard();
  }

  bool Add(const Subscribe& request);
  Step OnMessage(std::string_view bytes, int64_t now_ms);
  bool Work(const FeedTurn& turn);
  void EndBatch();
  void OnStreamStart(bool new_slot, bool carries_changes);
  uint64_t ConfirmableLsn() const;

  // Where the stream is: between commits, or inside one.
  bool in_transaction_ = false;
  Registry registry_;
  MessageFeed messages_;
  Parking parking_;
  CatchUp* catch_up() { return &catch_up_; }
  bool batch_open() const { return dispatcher_.batch_open(); }

 private:
  // A table as the stream has announced it last.
  struct Relation {
    std::shared_ptr<RelationFeed> feed;
    bool announced = false;  // on this connection
  };

  void OnBegin(const PgoutputMessage& message);
  void OnCommit(const PgoutputMessage& message);
  void OnRelation(RelationInfo info);
  void StartShape(Relation* relation, RelationInfo info);
  bool LookAtColumns(Relation* relation);
  Step OnRow(std::string_view bytes, int64_t now_ms);
  Step Take(const std::shared_ptr<RelationFeed>& feed, bool is_broadcast, std::string_view bytes, int64_t now_ms);
  std::optional<bool> Concerns(const RowChange& row);
  bool CommitEnded();
  StreamRow Copy(const std::shared_ptr<RelationFeed>& feed, std::string_view bytes, size_t relation_bytes) const;
  void ReleaseOutdated();
  size_t RetiredWithSeats() const;
  void SweepRetired();
  Dispatcher::Outcome Offer(RelationFeed* feed, const RowChange& row, std::vector<Target>* judged);
  void RetryParked(const FeedTurn& turn);
  Dispatcher::Outcome DeliverParked(const StreamRow& row, std::vector<Target>* judged);
  CatchUp::Front Front() const;

  Dispatcher dispatcher_;
  bool catch_up_first_ = false;
  bool caught_up_ = true;  // nobody who catches up could go on at once
  History history_;
  CatchUp catch_up_;
  std::function<void(ToNetwork)> output_;
  std::unordered_map<uint32_t, Relation> relations_;
  // Those that were announced anew, for the rows that are of them: they go when no evaluation state can be theirs.
  std::vector<std::shared_ptr<RelationFeed>> retired_;
  static constexpr size_t kSpareRetired = 64;
  size_t retired_limit_ = kSpareRetired;  // they are swept above
  uint64_t layout_ = 0;                   // of the registry, that the relations have been released for

  static constexpr uint64_t kRelationsPerTrim = 64;
  uint64_t relation_messages_ = 0;

  bool skipping_ = false;        // this commit was handed over before the connection was lost
  RowCount rows_;
  RowCount broadcasts_;  // apart from the others, as their publication may come and go in between
  StreamCommitPtr commit_ = std::make_shared<StreamCommit>();
  uint64_t handed_over_ = 0;
  uint64_t broken_lsn_ = 0;      // the commit in whose midst it was lost
  uint64_t last_commit_lsn_ = 0;
  bool carried_changes_ = false;

  PgoutputMessage message_;  // reused
  PgoutputMessage parked_;
};

// False without a start point: who joined could get what was committed before, and what catches up again.
bool Feed::Impl::Add(const Subscribe& request) {
  SubscribeResult result{request.channel, request.sequence, SubscribeResult::Outcome::kLive, ""};
  bool locked = false;
  if (std::optional<SubscribeResult> failure = ValidateSubscription(request, &locked)) {
    registry_.Remove(request.channel);
    output_(std::move(*failure));
    return true;
  }
  std::shared_ptr<const StartPoint> start = locked ? nullptr : TakeStartPoint();
  if (start == nullptr) return false;
  const bool is_new = !registry_.Has(request.channel);
  registry_.Add(request, std::move(start));
  output_(std::move(result));
  if (is_new) catch_up_.Begin(request, GetXLogInsertRecPtr());
  return true;
}

void Feed::Impl::OnBegin(const PgoutputMessage& message) {
  in_transaction_ = true;
  commit_ = std::make_shared<StreamCommit>();
  commit_->xid = message.xid;
  commit_->lsn = message.commit_lsn;
  commit_->time = FormatCommitTime(message.commit_time_us);
  commit_->confirmable_lsn = handed_over_;
  dispatcher_.NeedSnapshot();
  skipping_ = commit_->lsn <= last_commit_lsn_;
  // The same WAL decodes to the same rows in the same order. Older commits may come again before the one that was cut off.
  if (commit_->lsn != broken_lsn_ && !skipping_) rows_.to_skip = broadcasts_.to_skip = 0;
  rows_.read = broadcasts_.read = 0;
  messages_.OnBegin(commit_->xid);
  if (skipping_) return;
  // Who joined after a commit that is still parked must not get it.
  const StreamCommit* oldest = parking_.oldest();
  registry_.OnCommit(oldest != nullptr ? oldest->lsn : commit_->lsn);
}

void Feed::Impl::OnCommit(const PgoutputMessage& message) {
  messages_.OnCommit();
  in_transaction_ = false;
  if (!skipping_) last_commit_lsn_ = commit_->lsn;
  handed_over_ = message.end_lsn;
}

void Feed::Impl::OnRelation(RelationInfo info) {
  Relation& relation = relations_[info.oid];
  relation.announced = true;
  // The stream says it again after each change of the catalogs.
  if (relation.feed && relation.feed->info() == info) return relation.feed->DoubtColumns();
  StartShape(&relation, std::move(info));
  if (++relation_messages_ % kRelationsPerTrim != 0) return;
  // Dropped tables are never heard of again, but their last changes may still be on the way: keep the names alone.
  for (auto& [oid, other] : relations_) {
    if (!other.feed->IsCurrent()) other.feed->Release();
  }
}

void Feed::Impl::StartShape(Relation* relation, RelationInfo info) {
  dispatcher_.EndStates();
  if (relation->feed) {
    relation->feed->Release();  // there may be many of them, each with a seat for every audience
    retired_.push_back(std::move(relation->feed));
  }
  relation->feed = std::make_shared<RelationFeed>(std::move(info), &registry_);
}

// Which columns the first row after an announcement is of. Later nobody could tell: names may be given to others. False: it
// cannot be known before the transaction has ended.
bool Feed::Impl::LookAtColumns(Relation* relation) {
  if (!CommitEnded()) return false;
  RelationFeed* feed = relation->feed.get();
  bool same = true;
  PgError error;
  // A catalog may be locked: the next row tries again, and who listens waits for it anyway.
  if (!dispatcher_.Open() || !dispatcher_.Try([&] { same = feed->LookAtColumns(); }, &error)) return true;
  if (!same) StartShape(relation, RelationInfo(feed->info()));
  return true;
}

bool Feed::Impl::CommitEnded() {
  if (commit_->ended) return true;
  StreamCommit* commit = commit_.get();
  PgError error;
  if (dispatcher_.Try([=] { commit->ended = CommitHasEnded(commit->xid); }, &error)) return commit->ended;
  if (failure_log::Due("commit end")) {
    LogError("realtime could not look whether a transaction has ended, and tries again: " + error.Text());
  }
  return false;
}

StreamRow Feed::Impl::Copy(const std::shared_ptr<RelationFeed>& feed, std::string_view bytes, size_t relation_bytes) const {
  return {feed, {commit_, rows_.read + broadcasts_.read + 1}, std::string(bytes), relation_bytes};
}

Feed::Step Feed::Impl::OnRow(std::string_view bytes, int64_t now_ms) {
  if (skipping_) return Step::kConsumed;
  auto found = relations_.find(message_.row.relation_oid);
  if (found == relations_.end() || !found->second.announced) return Step::kMalformed;
  if (found->second.feed->columns_doubted() && !LookAtColumns(&found->second)) return Step::kWaiting;
  const std::shared_ptr<RelationFeed>& feed = found->second.feed;
  const bool is_broadcast = message_.row.kind == ChangeKind::kInsert && feed->is_messages();
  RowCount* count = is_broadcast ? &broadcasts_ : &rows_;
  if (!count->handed_over()) {
    Step step = Take(feed, is_broadcast, bytes, now_ms);
    if (step != Step::kConsumed) return step;
  }
  ++count->read;
  return Step::kConsumed;
}

// Of realtime.messages, which the stream carries for the broadcasts' sake. Nothing: it cannot be told now.
std::optional<bool> Feed::Impl::Concerns(const RowChange& row) {
  bool published = false;
  PgError error;
  const bool done = dispatcher_.Open() &&
      dispatcher_.Try([&] { published = messages_.IsPublished(row.relation_oid, row.kind); }, &error);
  if (done) return published;
  if (failure_log::Due("messages publication")) {
    LogError("realtime could not read the publication of realtime.messages, and tries again: " + error.Text());
  }
  return std::nullopt;
}

// kWaiting as long as the row has had no effect.
Feed::Step Feed::Impl::Take(const std::shared_ptr<RelationFeed>& feed, bool is_broadcast, std::string_view bytes,
                            int64_t now_ms) {
  const RowChange& row = message_.row;
  const bool listened = feed->HasListeners();
  if ((listened || is_broadcast) && !CommitEnded()) return Step::kWaiting;
  const bool held = parking_.Holds(row.relation_oid);
  if (held && parking_.full()) return Step::kFull;
  if (feed->is_messages()) {
    const std::optional<bool> concerns = Concerns(row);
    if (!concerns) return Step::kWaiting;
    if (is_broadcast) messages_.Deliver(feed->info(), row.new_row);
    if (!*concerns) return Step::kConsumed;
  }
  std::vector<Target> judged;
  const auto outcome = listened && !held ? Offer(feed.get(), row, &judged) : Dispatcher::Outcome::kDone;
  if (outcome != Dispatcher::Outcome::kDone && judged.empty() && !is_broadcast && parking_.full()) return Step::kFull;
  const size_t relation_bytes = feed->TakeBytes();
  if (outcome != Dispatcher::Outcome::kDone) {
    parking_.Hold(Copy(feed, bytes, relation_bytes), outcome, std::move(judged), now_ms);
  } else if (listened && held) {
    parking_.Append(Copy(feed, bytes, relation_bytes));
  }
  history_.Add(Copy(feed, bytes, relation_bytes));
  // Whoever catches up has his turn first: else a row that is larger than the bound would never come to him.
  if (catch_up_.empty()) history_.Trim();
  return Step::kConsumed;
}

Dispatcher::Outcome Feed::Impl::Offer(RelationFeed* feed, const RowChange& row, std::vector<Target>* judged) {
  if (dispatcher_.MustYield(row.relation_oid)) return Dispatcher::Outcome::kUnfinished;
  return dispatcher_.Deliver(feed, row, {commit_, rows_.read + broadcasts_.read + 1}, judged);
}

Dispatcher::Outcome Feed::Impl::DeliverParked(const StreamRow& row, std::vector<Target>* judged) {
  // It was parsed when it came.
  if (!row.relation->HasListeners() || !ParsePgoutput(row.message, &parked_).ok()) return Dispatcher::Outcome::kDone;
  return dispatcher_.Deliver(row.relation.get(), parked_.row, row.position, judged);
}

CatchUp::Front Feed::Impl::Front() const {
  ResumePoint point{last_commit_lsn_, UINT64_MAX};
  if (in_transaction_ && !skipping_) point = {commit_->lsn, rows_.read + broadcasts_.read};
  return {point, &parking_};
}

void Feed::Impl::RetryParked(const FeedTurn& turn) {
  if (!parking_.IsDue(&dispatcher_, turn.now_ms)) return;
  dispatcher_.NeedSnapshot();
  auto deliver = [this](const StreamRow& row, std::vector<Target>* judged) { return DeliverParked(row, judged); };
  parking_.Retry(deliver, &dispatcher_, turn);
}

bool Feed::Impl::Work(const FeedTurn& turn) {
  dispatcher_.SetStreamIdle(turn.stream_idle && caught_up_ && !parking_.HasReady(dispatcher_));
  const bool has_room = turn.may_go_on();
  catch_up_first_ = !catch_up_first_;  // either may use up the turn
  if (!catch_up_first_) RetryParked(turn);
  caught_up_ = catch_up_.Run(Front(), turn);
  if (catch_up_first_) RetryParked(turn);
  dispatcher_.SetStreamIdle(false);
  // Nobody may lose what he has had no turn to take.
  if ((catch_up_first_ && has_room) || catch_up_.empty()) history_.Trim();
  EndBatch();
  stat::SetParked(parking_.rows(), parking_.bytes());
  stat::SetHistory(history_.rows(), history_.bytes());
  return caught_up_;
}

Feed::Step Feed::Impl::OnMessage(std::string_view bytes, int64_t now_ms) {
  Status status = ParsePgoutput(bytes, &message_);
  if (!status.ok()) {
    LogError("realtime got a message it cannot read from the replication stream: " + status.message());
    return Step::kMalformed;
  }
  switch (message_.kind) {
    case PgoutputMessage::Kind::kBegin: OnBegin(message_); break;
    case PgoutputMessage::Kind::kCommit: OnCommit(message_); break;
    case PgoutputMessage::Kind::kRelation: OnRelation(std::move(message_.relation)); break;
    case PgoutputMessage::Kind::kRow: return OnRow(bytes, now_ms);
    case PgoutputMessage::Kind::kIgnored: break;
  }
  return Step::kConsumed;
}

void Feed::Impl::EndBatch() {
  dispatcher_.EndBatch();
  if (layout_ != registry_.layout()) ReleaseOutdated();
  if (retired_.size() > retired_limit_ || (!catch_up_.empty() && RetiredWithSeats() > kSpareRetired)) SweepRetired();
}

size_t Feed::Impl::RetiredWithSeats() const {
  auto has_seats = [](const std::shared_ptr<RelationFeed>& feed) { return feed->has_seats(); };
  return static_cast<size_t>(std::count_if(retired_.begin(), retired_.end(), has_seats));
}

// What quiet and dropped tables know of audiences would keep them for good.
void Feed::Impl::ReleaseOutdated() {
  layout_ = registry_.layout();
  for (auto& [oid, relation] : relations_) {
    if (relation.feed->IsOutdated()) relation.feed->Release();
  }
  for (const std::shared_ptr<RelationFeed>& feed : retired_) {
    if (feed->IsOutdated()) feed->Release();
  }
}

// Whoever came back may have been told of many earlier shapes of a table: the seats there are not kept.
void Feed::Impl::SweepRetired() {
  std::erase_if(retired_, [](const std::shared_ptr<RelationFeed>& feed) { return feed.use_count() == 1; });
  for (const std::shared_ptr<RelationFeed>& feed : retired_) {
    if (!parking_.Holds(feed->info().oid)) feed->Release();
  }
  retired_limit_ = 2 * retired_.size() + kSpareRetired;
}

// A parked row is held in memory, so what comes again after a lost connection is skipped all the same; but what is confirmed
// has been dealt with.
uint64_t Feed::Impl::ConfirmableLsn() const {
  const StreamCommit* oldest = parking_.oldest();
  return oldest != nullptr ? oldest->confirmable_lsn : handed_over_;
}

void Feed::Impl::OnStreamStart(bool new_slot, bool carries_changes) {
  EndBatch();
  for (auto& [oid, relation] : relations_) relation.announced = false;
  if (new_slot || !carries_changes || !carried_changes_) history_.Restart(FlushedLsn());
  carried_changes_ = carries_changes;
  if (new_slot) {
    last_commit_lsn_ = handed_over_ = broken_lsn_ = 0;
    // No position of the earlier slot is one of this slot: it does not move until they are dealt with, or it is at risk.
    parking_.ForgetPositions();
  } else if (in_transaction_ && !skipping_) {
    for (RowCount* count : {&rows_, &broadcasts_}) count->Break(commit_->lsn == broken_lsn_);
    broken_lsn_ = commit_->lsn;
  }
  in_transaction_ = false;
}

Feed::Feed(std::function<void(ToNetwork)> output) : impl_(std::make_unique<Impl>(std::move(output))) {}
Feed::~Feed() = default;

std::optional<SubscribeResult> Feed::Validate(const Subscribe& request, bool* locked) {
  return ValidateSubscription(request, locked);
}
bool Feed::Add(const Subscribe& request) { return impl_->Add(request); }
void Feed::Remove(ChannelId channel) { impl_->registry_.Remove(channel); }
bool Feed::Describe(const Subscriber& subscriber, ViewRows* rows) const { return impl_->registry_.Describe(subscriber, rows); }
size_t Feed::channel_count() const { return impl_->registry_.channel_count(); }
Feed::Step Feed::OnMessage(std::string_view message, int64_t now_ms) { return impl_->OnMessage(message, now_ms); }
bool Feed::Work(const FeedTurn& turn) { return impl_->Work(turn); }
int64_t Feed::next_work_ms() const { return std::min(impl_->parking_.next_retry_ms(), impl_->catch_up()->next_retry_ms()); }
void Feed::SkipBroadcast(uint32_t xid, std::string id) { impl_->messages_.Skip(xid, std::move(id)); }
void Feed::ForgetSkipped() { impl_->messages_.ForgetSkipped(); }
void Feed::EndBatch() { impl_->EndBatch(); }
bool Feed::in_stream_transaction() const { return impl_->in_transaction_; }
bool Feed::batch_open() const { return impl_->batch_open(); }
bool Feed::has_parked() const { return !impl_->parking_.empty(); }
uint64_t Feed::handed_over_lsn() const { return impl_->ConfirmableLsn(); }
void Feed::OnStreamStart(bool new_slot, bool carries_changes) { impl_->OnStreamStart(new_slot, carries_changes); }

}  // namespace realtime
