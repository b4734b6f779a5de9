#include "pg/channel_policy.h"

#include <chrono>
#include <iterator>
#include <unordered_map>

#include "pg/failure_log.h"
#include "pg/guard.h"
#include "pg/invalidation.h"
#include "pg/log.h"
#include "pg/message_replay.h"
#include "pg/messages_access.h"
#include "pg/messages_lock.h"
#include "pg/messages_table.h"
#include "pg/policy.h"
#include "pg/policy_check.h"
#include "pg/settings.h"
#include "pg/watchdog.h"

extern "C" {
#include "utils/datetime.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
}

namespace realtime {
namespace {

constexpr size_t kMaxRoles = 1000;       // names come from tokens; above it all are forgotten
constexpr int kMaxCompileAttempts = 10;
constexpr int kMaxAnswers = 3;
constexpr int kPolicyTimeoutsPerRequest = 4;  // the other channels wait while many topics are evaluated
constexpr int kActions = 2;
constexpr size_t kUuidSize = 37;  // with the final NUL

// As the reference's clients know it.
constexpr char kTimedOut[] = "QueryCanceled: ERROR 57014 (query_canceled) canceling statement due to statement timeout";
constexpr char kLocked[] = "QueryCanceled: ERROR 55P03 (lock_not_available) realtime.messages is locked";
constexpr char kUnavailable[] = "UnableToConnectToProject: Realtime was unable to connect to the project database";
constexpr char kNoReplay[] = "UnableToReplayMessages: Realtime was unable to replay messages";

int Index(PolicyAction action) { return static_cast<int>(action); }
std::string Described(const PgError& error) { return error.Text() + " (SQLSTATE " + error.sqlstate + ")"; }

// A role on realtime.messages. The plans are those that any identity and topic may use.
struct RoleAccess {
  Oid role = InvalidOid;  // invalid: there is no such role
  std::string name;       // in the database's encoding
  bool may[kActions] = {};
  std::unique_ptr<PolicyPlan> plans[kActions];
};

void LoadAccess(const Table& table, const std::string& role, RoleAccess* access) {
  access->role = FindRole(role);
  if (!OidIsValid(access->role)) return;
  access->name = GetUserNameFromId(access->role, false);
  for (PolicyAction action : {PolicyAction::kSelect, PolicyAction::kInsert}) {
    access->may[Index(action)] = MayProbe(table, access->role, action);
  }
}

}  // namespace

class ChannelPolicy::Impl {
 public:
  RightsResult Answer(const CheckRights& request);
  void EndTurn() { batch_.Close(); }

 private:
  RightsResult AnswerOnce(const CheckRights& request);
  bool Prepare(const Identity& identity);
  bool LockTable();
  void Reload();
  RoleAccess* AccessOf(const std::string& role);
  void BindParams();
  void MakeProbe();
  void Put(const char* column, std::string_view text);

  void CheckTopics(const CheckRights& request, RightsResult* result);
  void CheckTopic(const std::string& topic, Rights* rights);
  bool Ask(PolicyAction action, const char* extension);
  bool Evaluate(PolicyAction action);
  const PolicyPlan* PlanOf(PolicyAction action);
  void EnterScope();
  void EndTopic();
  void Fail(PolicyAction action, const PgError& error);
  void Replay(const CheckRights& request, RightsResult* result);

  Batch batch_;
  MessagesLock lock_;
  bool known_ = false;  // what follows
  invalidation::Dependencies dependencies_;  // of it
  Table table_;
  bool exists_ = false;
  std::unordered_map<std::string, std::unique_ptr<RoleAccess>> roles_;
  Condition missing_;

  // The row that is asked about.
  TableRow row_;
  ParamListInfo params_ = nullptr;
  uint64_t params_transaction_ = 0;
  char id_[kUuidSize];
  char now_[MAXDATELEN + 1];

  // Of the request that is being answered.
  const Identity* identity_ = nullptr;
  RoleAccess* access_ = nullptr;
  const char* error_ = nullptr;  // it cannot be answered any more
  // Of the topic.
  const std::string* topic_ = nullptr;
  std::unique_ptr<PolicyPlan> bound_plans_[kActions];  // what user code answered while planning is in them
  PolicyState states_[kActions];
};

// Again when a table that the policies read may have been rewritten behind the snapshot.
RightsResult ChannelPolicy::Impl::Answer(const CheckRights& request) {
  const invalidation::Collecting collecting(&dependencies_);
  RightsResult result = AnswerOnce(request);
  for (int answers = 1; answers < kMaxAnswers && result.error.empty() && batch_.SnapshotIsDated(); ++answers) {
    result = AnswerOnce(request);
  }
  return result;
}

RightsResult ChannelPolicy::Impl::AnswerOnce(const CheckRights& request) {
  RightsResult result;
  result.channel = request.channel;
  result.sequence = request.sequence;
  result.granted.assign(request.topics.size(), Rights{});
  if (request.identity == nullptr) return result;
  if (!Prepare(*request.identity)) {
    result.error = error_ != nullptr ? error_ : kUnavailable;
    return result;
  }
  if (!exists_) return result;
  CheckTopics(request, &result);
  if (error_ != nullptr) {
    result.error = error_;
    result.granted.clear();
  } else if (request.replay && result.granted.size() == 1 && result.granted.front().read_broadcast) {
    Replay(request, &result);
  }
  return result;
}

// Opens the transaction, with a snapshot of now, and brings table, role and probe up to date.
bool ChannelPolicy::Impl::Prepare(const Identity& identity) {
  identity_ = &identity;
  access_ = nullptr;
  error_ = nullptr;
  if (!batch_.Open(true) || !LockTable()) return false;
  const LockPatience patience(kCatalogPatienceMs);
  PgError error;
  bool done = PgTry(
      [this] {
        if (!known_ || dependencies_.Stale()) Reload();
        if (!exists_) return;
        access_ = AccessOf(identity_->role);
        MakeProbe();
      },
      &error);
  if (!done) {
    batch_.Abort();
    known_ = false;
    if (error.Is(kLockNotAvailable)) error_ = kLocked;
    if (!failure_log::Due("realtime.messages\nlook\n" + error.sqlstate)) return false;
    LogError("realtime could not look at table \"realtime.messages\": " + error.Text());
    return false;
  }
  if (exists_) {
    missing_.Clear("table \"realtime.messages\" exists now: private channels are served");
  } else {
    missing_.Set("UnableToSetPolicies: table \"realtime.messages\" does not exist, so every private channel is refused", kMessagesTableHint);
  }
  return true;
}

// False: the transaction is gone, and error_ says why.
bool ChannelPolicy::Impl::LockTable() {
  const MessagesLock::Outcome outcome = lock_.Take();
  // What was committed while we waited counts.
  if (outcome == MessagesLock::Outcome::kTakenLate && batch_.Open(true)) return true;
  if (outcome == MessagesLock::Outcome::kTaken) return true;
  if (batch_.is_open()) batch_.Abort();
  error_ = outcome == MessagesLock::Outcome::kBusy ? kLocked : kUnavailable;
  return false;
}

void ChannelPolicy::Impl::Reload() {
  dependencies_.Restart();
  roles_.clear();
  table_ = Table();
  Oid oid = FindMessagesTable();
  exists_ = OidIsValid(oid) && LoadTable(oid, &table_);
  // A table that is not there cannot announce its arrival.
  known_ = exists_;
}

RoleAccess* ChannelPolicy::Impl::AccessOf(const std::string& role) {
  if (roles_.size() > kMaxRoles) roles_.clear();
  std::unique_ptr<RoleAccess>& slot = roles_[role];
  if (slot) return slot.get();
  auto* access = new RoleAccess;
  slot.reset(access);
  LoadAccess(table_, role, access);
  return access;
}

void ChannelPolicy::Impl::BindParams() {
  if (params_ != nullptr && params_transaction_ == batch_.transaction()) return;
  MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
  params_ = MakeColumnParams(table_);
  MemoryContextSwitchTo(caller);
  params_transaction_ = batch_.transaction();
}

void ChannelPolicy::Impl::MakeProbe() {
  params_ = nullptr;  // the table may be another one
  BindParams();
  MemoryContext caller = MemoryContextSwitchTo(batch_.row_context());
  Datum id = OidFunctionCall0(F_GEN_RANDOM_UUID);
  strlcpy(id_, DatumGetCString(DirectFunctionCall1(uuid_out, id)), sizeof id_);
  // Microseconds since 2000 in UTC, both as timestamptz and as the timestamp of these columns.
  Datum now = TimestampGetDatum(GetCurrentTimestamp());
  strlcpy(now_, DatumGetCString(DirectFunctionCall1(timestamp_out, now)), sizeof now_);
  MemoryContextSwitchTo(caller);
  row_.Start(&table_, params_);
  for (const Column& column : table_.columns) *row_.cell(column.attno) = {Cell::Kind::kNull, {}};
  Put("id", id_);
  Put("inserted_at", now_);
  Put("updated_at", now_);
  Put("private", "f");
}

void ChannelPolicy::Impl::Put(const char* column, std::string_view text) {
  const Column* found = table_.Find(column);
  if (found != nullptr) *row_.cell(found->attno) = {Cell::Kind::kText, text};
}

void ChannelPolicy::Impl::CheckTopics(const CheckRights& request, RightsResult* result) {
  const auto start = std::chrono::steady_clock::now();
  for (size_t i = 0; i < request.topics.size() && error_ == nullptr; ++i) {
    if (!IsStorableText(request.topics[i])) continue;
    CheckTopic(request.topics[i], &result->granted[i]);
    const auto limit = std::chrono::milliseconds(kPolicyTimeoutsPerRequest * guc::PolicyTimeoutMs());
    if (std::chrono::steady_clock::now() - start > limit) error_ = kTimedOut;
  }
}

void ChannelPolicy::Impl::CheckTopic(const std::string& topic, Rights* rights) {
  topic_ = &topic;
  batch_.ResetRow();
  Put("topic", topic);
  const struct {
    PolicyAction action;
    const char* extension;
    bool* right;
  } questions[] = {
      {PolicyAction::kSelect, "broadcast", &rights->read_broadcast},
      {PolicyAction::kSelect, "presence", &rights->read_presence},
      {PolicyAction::kInsert, "broadcast", &rights->write_broadcast},
      {PolicyAction::kInsert, "presence", &rights->write_presence},
  };
  for (const auto& question : questions) {
    if (error_ == nullptr) *question.right = Ask(question.action, question.extension);
  }
  EndTopic();
}

bool ChannelPolicy::Impl::Ask(PolicyAction action, const char* extension) {
  if (!access_->may[Index(action)]) return false;
  if (!table_.row_security) return true;
  Put("extension", extension);
  row_.ForgetLoaded();
  bool granted = false;
  PgError error;
  bool done = PgTry(
      [&] {
        MemoryContext caller = MemoryContextSwitchTo(batch_.row_context());
        watchdog::Watched([&] { granted = Evaluate(action); });
        MemoryContextSwitchTo(caller);
      },
      &error);
  if (done) return granted;
  Fail(action, error);
  return false;
}

bool ChannelPolicy::Impl::Evaluate(PolicyAction action) {
  const PolicyPlan* plan = PlanOf(action);
  if (plan->kind == PolicyPlan::Kind::kLookup) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("a policy refers to the whole row or to a system column, but there is no row yet")));
  }
  PolicyState* state = &states_[Index(action)];
  EnterScope();
  bool granted = CheckPolicy(*plan, state, &batch_, &row_);
  if (state->user_code) batch_.scope()->Leave();
  return granted;
}

// The role's plan, or one for this identity and topic when planning depended on them. Planned again when the catalogs
// changed meanwhile: a plan is only as good as what it was made from.
const PolicyPlan* ChannelPolicy::Impl::PlanOf(PolicyAction action) {
  std::unique_ptr<PolicyPlan>& shared = access_->plans[Index(action)];
  std::unique_ptr<PolicyPlan>& bound = bound_plans_[Index(action)];
  if (shared) return shared.get();
  if (bound) return bound.get();
  for (int attempt = 0; attempt < kMaxCompileAttempts; ++attempt) {
    uint64_t generation = invalidation::Generation();
    bound.reset(new PolicyPlan());
    batch_.scope()->Leave();
    EnterScope();
    CompilePolicy(table_, action, bound.get());
    batch_.scope()->Leave();
    if (invalidation::Generation() == generation) break;
  }
  if (bound->identity_bound) {
    batch_.NoteUserCode();
    return bound.get();
  }
  shared = std::move(bound);
  return shared.get();
}

void ChannelPolicy::Impl::EnterScope() {
  batch_.scope()->Ensure(access_->role, access_->name.c_str(), identity_, false, topic_->c_str());
}

// States and scope know this topic: nothing of them may be met again at the address of the next.
void ChannelPolicy::Impl::EndTopic() {
  if (batch_.is_open()) {
    bool done = PgTry(
        [this] {
          batch_.scope()->Leave();
          for (PolicyState& state : states_) EndPolicyState(&state, &batch_);
        },
        nullptr);
    if (!done) batch_.Abort();
  }
  for (PolicyState& state : states_) state = PolicyState();
  for (std::unique_ptr<PolicyPlan>& plan : bound_plans_) plan.reset();
  topic_ = nullptr;
  if (!batch_.is_open() && error_ == nullptr) error_ = kUnavailable;
}

void ChannelPolicy::Impl::Fail(PolicyAction action, const PgError& error) {
  bool timed_out = watchdog::FinishCheck();
  batch_.Abort();
  for (PolicyState& state : states_) state = PolicyState();
  for (std::unique_ptr<PolicyPlan>& plan : bound_plans_) plan.reset();
  if (timed_out) error_ = kTimedOut;
  const char* name = action == PolicyAction::kSelect ? "SELECT" : "INSERT";
  if (failure_log::Due(std::string("realtime.messages\n") + name + (timed_out ? "\ntime\n" : "\n") + identity_->role)) {
    LogError(
        std::string("RlsPolicyError: realtime could not evaluate the policies for ") + name +
            " of table \"realtime.messages\" for role \"" + identity_->role + "\": " + Described(error),
        timed_out ? "The client was told. Make the policies and the functions they call faster, or raise "
                    "realtime.policy_timeout."
                  : "The client was denied. Check the policies of the table and the functions they call.");
  }
  // What lived in the transaction is gone.
  bool ready = batch_.Open(false) && PgTry([this] { BindParams(); }, nullptr);
  if (!ready) {
    error_ = kUnavailable;
    if (batch_.is_open()) batch_.Abort();
    return;
  }
  if (error_ == nullptr && !LockTable()) return;
  row_.Rebind(params_);
}

void ChannelPolicy::Impl::Replay(const CheckRights& request, RightsResult* result) {
  PgError error;
  bool done = PgTry(
      [&] {
        // The policies have answered for the channel. Each message is a row of its own, which they may hide.
        batch_.scope()->Ensure(access_->role, access_->name.c_str(), identity_, true, request.topics.front().c_str());
        batch_.NoteUserCode();
        watchdog::Watched([&] { ReadStoredMessages(request.topics.front(), *request.replay, &result->replayed); });
        batch_.scope()->Leave();
      },
      &error);
  if (done) return;
  bool timed_out = watchdog::FinishCheck();
  batch_.Abort();
  result->replayed.clear();
  result->replay_error = kNoReplay;
  if (!failure_log::Due("realtime.messages\nreplay")) return;
  LogError("UnableToReplayMessages: realtime could not replay messages of table \"realtime.messages\": " + Described(error),
           timed_out ? "Make the policies faster, raise realtime.policy_timeout, or look for a lock." : "");
}

ChannelPolicy::ChannelPolicy() : impl_(std::make_unique<Impl>()) {}
ChannelPolicy::~ChannelPolicy() = default;
RightsResult ChannelPolicy::Answer(const CheckRights& request) { return impl_->Answer(request); }
void ChannelPolicy::EndTurn() { impl_->EndTurn(); }

}  // namespace realtime
