#include "pg/feed.h"

#include <unordered_map>
#include <utility>
#include <vector>

#include "core/pgoutput.h"
#include "pg/batch.h"
#include "pg/commit_end.h"
#include "pg/failure_log.h"
#include "pg/generated.h"
#include "pg/guard.h"
#include "pg/invalidation.h"
#include "pg/judge.h"
#include "pg/log.h"
#include "pg/message_feed.h"
#include "pg/registry.h"
#include "pg/relation_feed.h"
#include "pg/row_json.h"
#include "pg/validate.h"
#include "pg/watchdog.h"

extern "C" {
#include "access/xlog.h"
#include "utils/snapmgr.h"
}

namespace realtime {

class Feed::Impl {
 public:
  explicit Impl(std::function<void(ToNetwork)> output)
      : messages_(output), output_(std::move(output)), judge_(&batch_) {
    invalidation::Register();
    InstallFunctionCounter();
  }

  void Add(const Subscribe& request);
  Step OnMessage(std::string_view bytes);
  void EndBatch();
  void OnStreamStart(bool new_slot);

  // Where the stream is: between commits, or inside one.
  bool in_transaction_ = false;
  uint64_t handed_over_ = 0;
  Registry registry_;
  MessageFeed messages_;

 private:
  // What happens to the changes of one audience's kind of view: encoded once, sent to all their members.
  struct Group {
    const Projection* projection;
    Verdict verdict;
    std::vector<TargetList> targets;
  };

  void OnBegin(const PgoutputMessage& message);
  void OnRelation(RelationInfo info);
  // Rows are counted, because a connection that is lost in the midst of a commit brings it again from its beginning: broadcasts
  // apart from the others, whose publication may come and go in between.
  struct RowCount {
    uint64_t read = 0;     // of this commit, on this connection ...
    uint64_t to_skip = 0;  // ... and how many of them were handed over before the connection was lost in its midst
    bool handed_over() const { return read < to_skip; }
  };

  Step OnRow(const RowChange& row);
  Step OnMessageRow(RelationFeed* feed, const RowChange& row);
  Step JudgeRow(RelationFeed* feed, const RowChange& row);
  bool IsPublished(const RowChange& row);
  bool CommitEnded();
  bool OpenFor(RelationFeed* feed);
  void FillRows(RelationFeed* feed, const RowChange& row);
  void FillGenerated(RelationFeed* feed, TableRow* row);
  bool FindCandidates(RelationFeed* feed);
  void Dispatch(RelationFeed* feed);

  std::function<void(ToNetwork)> output_;
  Batch batch_;
  Judge judge_;
  std::unordered_map<uint32_t, std::unique_ptr<RelationFeed>> relations_;

  static constexpr int kMaxPrepareAttempts = 10;
  static constexpr uint64_t kRelationsPerTrim = 64;
  uint64_t relation_messages_ = 0;

  bool skipping_ = false;        // this commit was handed over before the connection was lost
  RowCount rows_;
  RowCount broadcasts_;
  uint64_t broken_lsn_ = 0;      // the commit in whose midst it was lost
  bool commit_ended_ = false;    // ... for other backends too
  bool snapshot_taken_ = false;  // a snapshot that shows this commit has been taken
  uint32_t xid_ = 0;
  uint64_t commit_lsn_ = 0;
  uint64_t last_commit_lsn_ = 0;
  std::string commit_time_;

  // Reused from row to row.
  PgoutputMessage message_;
  JudgedChange change_;
  std::vector<Seat*> found_;
  std::vector<Candidate> candidates_;
  std::vector<Group> groups_;
};

namespace {

// The snapshot first, the LSN after it: a commit record at or behind the LSN cannot have been visible in the snapshot.
std::shared_ptr<const StartPoint> TakeStartPoint() {
  auto start = std::make_shared<StartPoint>();
  StartPoint* raw = start.get();
  PgError error;
  bool done = InTransaction(
      [raw] {
        Snapshot snapshot = GetActiveSnapshot();
        raw->xmin = snapshot->xmin;
        raw->xmax = snapshot->xmax;
        raw->in_progress.assign(snapshot->xip, snapshot->xip + snapshot->xcnt);
        raw->lsn = GetXLogInsertRecPtr();
      },
      &error);
  if (!done) Log(LogLevel::kInfo, "realtime could not take a snapshot: " + error.Text());
  return done ? start : nullptr;
}

}  // namespace

void Feed::Impl::Add(const Subscribe& request) {
  SubscribeResult result{request.channel, request.sequence, SubscribeResult::Outcome::kLive, ""};
  if (std::optional<SubscribeResult> failure = ValidateSubscription(request)) {
    registry_.Remove(request.channel);
    result = std::move(*failure);
  } else {
    registry_.Add(request, TakeStartPoint());
  }
  output_(std::move(result));
}

void Feed::Impl::OnBegin(const PgoutputMessage& message) {
  in_transaction_ = true;
  commit_ended_ = snapshot_taken_ = false;
  xid_ = message.xid;
  commit_lsn_ = message.commit_lsn;
  skipping_ = commit_lsn_ <= last_commit_lsn_;
  // The same WAL decodes to the same rows in the same order.
  if (commit_lsn_ != broken_lsn_) rows_.to_skip = broadcasts_.to_skip = 0;
  rows_.read = broadcasts_.read = 0;
  messages_.OnBegin(xid_);
  if (!skipping_) registry_.OnCommit(commit_lsn_);
  commit_time_ = FormatCommitTime(message.commit_time_us);
}

void Feed::Impl::OnRelation(RelationInfo info) {
  judge_.EndStates();
  uint32_t oid = info.oid;
  relations_[oid] = std::make_unique<RelationFeed>(std::move(info), &registry_);
  if (++relation_messages_ % kRelationsPerTrim != 0) return;
  // Dropped tables are never heard of again, but their last changes may still be on the way: keep the names alone.
  for (auto& [other, feed] : relations_) {
    if (!feed->IsCurrent()) feed->Release();
  }
}

bool Feed::Impl::CommitEnded() {
  if (commit_ended_) return true;
  bool* ended = &commit_ended_;
  const uint32_t xid = xid_;
  PgError error;
  if (PgTry([=] { *ended = CommitHasEnded(xid); }, &error)) return commit_ended_;
  judge_.ForgetStates();
  batch_.Abort();
  if (failure_log::Due("commit end")) {
    Log(LogLevel::kInfo, "realtime could not look whether a transaction has ended, and tries again: " + error.Text());
  }
  return false;
}

// A transaction whose snapshot shows the commit, and the relation's seats as the catalogs are now.
bool Feed::Impl::OpenFor(RelationFeed* feed) {
  if (!snapshot_taken_) {
    judge_.EndStates();
    if (!batch_.Open(true)) return false;
    snapshot_taken_ = true;
  } else if (!batch_.Open(false)) {
    return false;
  }
  // Planning may bring news of the catalogs.
  for (int attempt = 0; attempt < kMaxPrepareAttempts; ++attempt) {
    if (feed->IsCurrent()) return true;
    judge_.EndStates();
    if (!batch_.Open(false) || !feed->Prepare(&batch_) || !judge_.PlaceSeats(feed)) return false;
  }
  return true;
}

void Feed::Impl::FillGenerated(RelationFeed* feed, TableRow* row) {
  PgError error;
  bool done = PgTry([&] { watchdog::Watched([&] { ComputeGenerated(row, &batch_); }); }, &error);
  // Both rows share the parameters: what was loaded for the one is not the other's.
  row->ForgetLoaded();
  if (done) return;
  judge_.ForgetStates();
  batch_.Abort();
  if (batch_.Open(false)) change_.Rebind(feed->Params(&batch_));
  if (!failure_log::Due("generated " + feed->table().sql_name)) return;
  Log(LogLevel::kInfo,
      "realtime could not compute the generated columns of table " + feed->table().sql_name + ": " + error.Text(),
      "Subscribers get its changes without these columns.");
}

void Feed::Impl::FillRows(RelationFeed* feed, const RowChange& row) {
  ParamListInfo params = feed->Params(&batch_);
  change_.kind = row.kind;
  change_.old_kind = row.old_kind;
  change_.fetched = false;
  change_.old_row.Start(&feed->table(), params);
  change_.new_row.Start(&feed->table(), params);
  if (row.old_kind != OldRow::kNone) feed->Fill(row.old_row, row.old_kind == OldRow::kKey, &change_.old_row);
  if (row.kind != ChangeKind::kDelete) feed->Fill(row.new_row, false, &change_.new_row);
  if (row.old_kind == OldRow::kFull && row.kind == ChangeKind::kUpdate) {
    for (size_t i = 1; i <= change_.new_row.size(); ++i) {
      auto attno = static_cast<AttrNumber>(i);
      Cell* cell = change_.new_row.cell(attno);
      if (cell->kind == Cell::Kind::kUnchanged) *cell = *change_.old_row.cell(attno);
    }
  }
  if (!feed->table().has_generated) return;
  if (row.kind != ChangeKind::kDelete) FillGenerated(feed, &change_.new_row);
  if (row.old_kind == OldRow::kFull) FillGenerated(feed, &change_.old_row);
}

bool Feed::Impl::FindCandidates(RelationFeed* feed) {
  judge_.FindSeats(feed, &change_, &found_);
  candidates_.clear();
  for (Seat* seat : found_) {
    Audience* audience = seat->audience.get();
    if ((audience->events & MaskOf(change_.kind)) == 0 || audience->dead()) continue;
    TargetList targets = audience->TargetsFor(xid_, commit_lsn_);
    if (targets) candidates_.push_back(Candidate{seat, std::move(targets), Verdict::kNone});
  }
  return !candidates_.empty();
}

void Feed::Impl::Dispatch(RelationFeed* feed) {
  groups_.clear();
  for (Candidate& candidate : candidates_) {
    if (candidate.verdict == Verdict::kNone) continue;
    const Projection* projection = candidate.seat->projection;
    Group* found = nullptr;
    for (Group& group : groups_) {
      if (group.projection == projection && group.verdict == candidate.verdict) found = &group;
    }
    if (found == nullptr) found = &groups_.emplace_back(Group{projection, candidate.verdict, {}});
    found->targets.push_back(std::move(candidate.targets));
  }
  for (Group& group : groups_) {
    EncodeInput input{feed, &change_, group.projection, group.verdict, commit_time_};
    auto data = std::make_shared<const std::string>(EncodeChange(input, &batch_));
    output_(Delivery{std::move(data), change_.kind, std::move(group.targets)});
  }
}

Feed::Step Feed::Impl::OnRow(const RowChange& row) {
  if (skipping_) return Step::kConsumed;
  auto found = relations_.find(row.relation_oid);
  if (found == relations_.end()) return Step::kMalformed;
  RelationFeed* feed = found->second.get();
  const bool is_broadcast = row.kind == ChangeKind::kInsert && feed->is_messages();
  RowCount* count = is_broadcast ? &broadcasts_ : &rows_;
  if (!count->handed_over()) {
    Step step = is_broadcast ? OnMessageRow(feed, row) : JudgeRow(feed, row);
    if (step != Step::kConsumed) return step;
  }
  ++count->read;
  return Step::kConsumed;
}

// Of realtime.messages, which the stream carries for the broadcasts' sake.
bool Feed::Impl::IsPublished(const RowChange& row) {
  bool published = false;
  PgError error;
  if (PgTry([&] { published = messages_.IsPublished(row.relation_oid, row.kind); }, &error)) return published;
  judge_.ForgetStates();
  batch_.Abort();
  Log(LogLevel::kInfo, "realtime could not read the publication of realtime.messages: " + error.Text());
  return false;
}

Feed::Step Feed::Impl::OnMessageRow(RelationFeed* feed, const RowChange& row) {
  if (!CommitEnded()) return Step::kWaiting;
  messages_.Deliver(feed->info(), row.new_row);
  return JudgeRow(feed, row);
}

Feed::Step Feed::Impl::JudgeRow(RelationFeed* feed, const RowChange& row) {
  if (!feed->HasListeners()) return Step::kConsumed;
  if (!CommitEnded()) return Step::kWaiting;
  if (!OpenFor(feed) || (feed->events() & MaskOf(row.kind)) == 0) return Step::kConsumed;
  if (feed->is_messages() && !IsPublished(row)) return Step::kConsumed;
  batch_.ResetRow();
  FillRows(feed, row);
  if (!FindCandidates(feed)) return Step::kConsumed;
  judge_.Run(feed, &change_, &candidates_);
  Dispatch(feed);
  return Step::kConsumed;
}

Feed::Step Feed::Impl::OnMessage(std::string_view bytes) {
  Status status = ParsePgoutput(bytes, &message_);
  if (!status.ok()) {
    Log(LogLevel::kInfo, "realtime got a message it cannot read from the replication stream: " + status.message());
    return Step::kMalformed;
  }
  switch (message_.kind) {
    case PgoutputMessage::Kind::kBegin:
      OnBegin(message_);
      break;
    case PgoutputMessage::Kind::kCommit:
      messages_.OnCommit();
      in_transaction_ = false;
      if (!skipping_) last_commit_lsn_ = commit_lsn_;
      handed_over_ = message_.end_lsn;
      break;
    case PgoutputMessage::Kind::kRelation:
      OnRelation(std::move(message_.relation));
      break;
    case PgoutputMessage::Kind::kRow:
      return OnRow(message_.row);
    case PgoutputMessage::Kind::kIgnored:
      break;
  }
  return Step::kConsumed;
}

void Feed::Impl::EndBatch() {
  judge_.EndStates();
  batch_.Close();
}

void Feed::Impl::OnStreamStart(bool new_slot) {
  EndBatch();
  relations_.clear();
  if (new_slot) {
    last_commit_lsn_ = handed_over_ = broken_lsn_ = 0;
  } else if (in_transaction_) {
    for (RowCount* count : {&rows_, &broadcasts_}) {
      if (commit_lsn_ != broken_lsn_ || count->read > count->to_skip) count->to_skip = count->read;
    }
    broken_lsn_ = commit_lsn_;
  }
  in_transaction_ = false;
}

Feed::Feed(std::function<void(ToNetwork)> output) : impl_(std::make_unique<Impl>(std::move(output))) {}
Feed::~Feed() = default;

std::optional<SubscribeResult> Feed::Validate(const Subscribe& request) { return ValidateSubscription(request); }
void Feed::Add(const Subscribe& request) { impl_->Add(request); }
void Feed::Remove(ChannelId channel) { impl_->registry_.Remove(channel); }
size_t Feed::channel_count() const { return impl_->registry_.channel_count(); }
Feed::Step Feed::OnMessage(std::string_view message) { return impl_->OnMessage(message); }
void Feed::SkipBroadcast(uint32_t xid, std::string id) { impl_->messages_.Skip(xid, std::move(id)); }
void Feed::ForgetSkipped() { impl_->messages_.ForgetSkipped(); }
void Feed::EndBatch() { impl_->EndBatch(); }
bool Feed::in_stream_transaction() const { return impl_->in_transaction_; }
uint64_t Feed::handed_over_lsn() const { return impl_->handed_over_; }
void Feed::OnStreamStart(bool new_slot) { impl_->OnStreamStart(new_slot); }

}  // namespace realtime
