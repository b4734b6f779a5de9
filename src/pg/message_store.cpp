#include "pg/message_store.h"

#include <algorithm>

#include "pg/catalog.h"
#include "pg/failure_log.h"
#include "pg/guard.h"
#include "pg/log.h"
#include "pg/messages_table.h"
#include "pg/role_scope.h"
#include "pg/text_encoding.h"
#include "pg/watchdog.h"

extern "C" {
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "nodes/makefuncs.h"
#include "storage/lock.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/timestamp.h"
}

namespace realtime {
namespace {

constexpr char kFailedReason[] = "UnableToStoreMessage: Realtime was unable to store the message";

constexpr char kCheckViolation[] = "23514";
constexpr char kInsufficientPrivilege[] = "42501";

// The message as columns: event, and the user's payload as JSON text or bytes.
struct Parts {
  std::string event;
  std::string_view payload;
  bool binary = false;
};

// A whole message of REST or of a text frame has both inside. False when it has not, or holds what no column can.
bool Split(const Broadcast& message, Parts* parts) {
  parts->binary = message.form == Broadcast::Form::kBinary;
  parts->event = message.event;
  parts->payload = *message.payload;
  if (message.form == Broadcast::Form::kWhole) {
    Result<json::Value> whole = json::ParseShallow(*message.payload);
    if (!whole.ok()) return false;
    const json::Value* event = whole.value.Find("event");
    const json::Value* payload = whole.value.Find("payload");
    if (event == nullptr || !event->IsString() || payload == nullptr) return false;
    parts->event = event->string;
    parts->payload = payload->raw;
  }
  if (!IsStorableText(message.topic) || !IsStorableText(parts->event)) return false;
  return parts->binary || (json::IsValidUtf8(parts->payload) && parts->payload.find('\0') == std::string_view::npos);
}

// A row trigger of the table is one of all its partitions. May raise.
bool HasBeforeTrigger(Oid table) {
  Relation relation = RelationIdGetRelation(table);
  if (!RelationIsValid(relation)) return false;
  const bool found = relation->trigdesc != nullptr && relation->trigdesc->trig_insert_before_row;
  RelationClose(relation);
  return found;
}

class Storing {
 public:
  explicit Storing(const Store& request) : request_(request) {}

  Stored Run(uint32_t* xid) {
    Stored stored{request_.channel, request_.message, request_.ref, {}, false};
    if (request_.identity == nullptr || !Split(*request_.message, &parts_)) {
      stored.error = std::string(kFailedReason) + ": it has no event or payload, or they are not text";
      return stored;
    }
    PgError error;
    bool timed_out = false;
    bool done = Try(&error, &timed_out);
    // The row was on its way to the default partition when its day's partition was attached: it goes there now.
    if (!done && error.Is(kCheckViolation)) done = Try(&error, &timed_out);
    if (!done) {
      Explain(error, timed_out, &stored);
      return stored;
    }
    // What a trigger may have made of it is what replay will bring: the stream delivers that.
    if (rewritable_) {
      stored.message = nullptr;
      return stored;
    }
    *xid = xid_;
    auto copy = std::make_shared<Broadcast>(*request_.message);
    copy->id = id_;
    stored.message = std::move(copy);
    return stored;
  }

 private:
  enum class Phase : uint8_t { kBegin, kPayload, kRow };

  bool Try(PgError* error, bool* timed_out) {
    scope_.Forget();
    watchdog::OpenBatch();
    bool done = InTransaction([this] { Insert(); }, error, kOwnLockLimits);
    *timed_out = watchdog::FinishCheck();
    watchdog::CloseBatch();
    LockReleaseSession(USER_LOCKMETHOD);  // advisory locks that code of a trigger may have taken
    return done;
  }

  // All of these inside the transaction; may raise.
  void Insert();
  void PrepareTransaction();
  void MakeValues();
  void InsertRow();
  void Explain(const PgError& error, bool timed_out, Stored* stored) const;

  const Store& request_;
  Parts parts_;
  Phase phase_ = Phase::kBegin;
  uint32_t xid_ = 0;
  bool rewritable_ = false;
  char id_[37] = {};
  RoleScope scope_;
  // In the order of the statement's parameters.
  static constexpr int kCount = 7;
  static constexpr Oid kTypes[kCount] = {UUIDOID, TEXTOID, TEXTOID, JSONBOID, BYTEAOID, BOOLOID, TIMESTAMPOID};
  Datum values_[kCount];
  char nulls_[kCount];
};

// A policy's failure names the table that the statement names; a row that is not there afterwards was refused by a trigger.
constexpr char kInsert[] =
    "INSERT INTO realtime.messages (id, topic, extension, event, payload, binary_payload, private, expires_at)"
    " VALUES ($1, $2, 'broadcast', $3, $4, $5, $6, $7)";

void Storing::Insert() {
  PrepareTransaction();
  const Oid table = FindMessagesTable();
  if (!OidIsValid(table)) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("table \"realtime.messages\" does not exist"),
                    errhint("%s", kMessagesTableHint)));
  }
  Oid role = FindRole(request_.identity->role);
  if (!OidIsValid(role)) ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("the role does not exist")));
  const char* role_name = GetUserNameFromId(role, false);
  phase_ = Phase::kPayload;
  watchdog::Watched([this] { MakeValues(); });
  phase_ = Phase::kRow;
  scope_.Enter(role, role_name, request_.identity.get(), request_.message->topic.c_str());
  watchdog::Watched([this] { InsertRow(); });
  scope_.Leave();
  xid_ = GetTopTransactionIdIfAny();
  rewritable_ = HasBeforeTrigger(table);
}

void Storing::PrepareTransaction() {
  XactReadOnly = false;  // whatever the default is
  XactIsoLevel = XACT_READ_COMMITTED;
  // Nothing may be left to run when the scope has been left: triggers that wait for the commit would run with our rights.
  // The scope is a restricted operation, in which they cannot be made to wait again.
  ConstraintsSetStmt* all = makeNode(ConstraintsSetStmt);
  AfterTriggerSetState(all);
  // A standby that does not answer must not hold up the change streams; it may be us that it waits for.
  if (synchronous_commit > SYNCHRONOUS_COMMIT_LOCAL_FLUSH) {
    (void)set_config_option("synchronous_commit", "local", PGC_SUSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
  }
}

void Storing::MakeValues() {
  const Broadcast& message = *request_.message;
  memset(nulls_, ' ', sizeof nulls_);
  values_[0] = OidFunctionCall0(F_GEN_RANDOM_UUID);
  strlcpy(id_, DatumGetCString(DirectFunctionCall1(uuid_out, values_[0])), sizeof id_);
  values_[1] = CStringGetTextDatum(ToServerText(message.topic));
  values_[2] = CStringGetTextDatum(ToServerText(parts_.event));
  values_[3] = values_[4] = 0;
  if (parts_.binary) {
    values_[4] = PointerGetDatum(cstring_to_text_with_len(parts_.payload.data(), static_cast<int>(parts_.payload.size())));
    nulls_[3] = 'n';
  } else {
    values_[3] = DirectFunctionCall1(jsonb_in, CStringGetDatum(ToServerText(parts_.payload)));
    nulls_[4] = 'n';
  }
  values_[5] = BoolGetDatum(message.is_private);
  int64_t life_s = std::clamp<int64_t>(request_.ttl_s, 0, kMaxTtlS);
  values_[6] = TimestampGetDatum(GetCurrentTimestamp() + life_s * USECS_PER_SEC);  // in UTC, as the column is
  if (life_s == 0) nulls_[6] = 'n';
}

void Storing::InsertRow() {
  SPI_connect();
  int result = SPI_execute_with_args(kInsert, kCount, const_cast<Oid*>(kTypes), values_, nulls_, false, 0);
  if (result != SPI_OK_INSERT) elog(ERROR, "insert failed: %s", SPI_result_code_string(result));
  if (SPI_processed != 1) {
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("a trigger or rule did not let the message in")));
  }
  SPI_finish();
}

// The client learns whose fault it is; what went wrong inside is for the log.
void Storing::Explain(const PgError& error, bool timed_out, Stored* stored) const {
  bool payload = phase_ == Phase::kPayload && error.sqlstate.starts_with("22");
  stored->denied = !timed_out && error.Is(kInsufficientPrivilege);
  if (stored->denied) {
    stored->error = std::string(kMayNotWrite) + request_.message->topic;
  } else if (timed_out) {
    stored->error = std::string(kFailedReason) + " in time";
  } else {
    stored->error = payload ? std::string(kFailedReason) + ": " + error.message : kFailedReason;
  }
  const std::string& role = request_.identity->role;
  if (stored->denied || payload || !failure_log::Due("realtime.messages\nstore\n" + role)) return;
  LogError(
      "UnableToStoreMessage: realtime could not store a message of role \"" + role + "\" in table \"realtime.messages\": " + error.Text() +
          " (SQLSTATE " + error.sqlstate + ")",
      error.hint);
}

}  // namespace

Stored StoreMessage(const Store& request, uint32_t* xid) {
  *xid = 0;
  if (!request.store) return {request.channel, request.message, request.ref, {}, false};
  return Storing(request).Run(xid);
}

}  // namespace realtime
