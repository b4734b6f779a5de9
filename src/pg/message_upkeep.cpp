#include "pg/message_upkeep.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "pg/interrupts.h"
#include "pg/settings.h"
#include "pg/watchdog.h"

#include "pg/pg.h"

extern "C" {
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "pgstat.h"
#include "utils/guc.h"
}

namespace realtime {

namespace {

constexpr int64_t kRoundMs = 60000;
constexpr int64_t kMoreMs = 1000;       // to the next round while there is more to delete
constexpr int64_t kRetryMs = 5000;
constexpr int kTaskMs = 3000;           // longest task: the stream waits for it
constexpr int kQuietLockRounds = 2;     // a busy moment is no news
constexpr char kLockTimeout[] = "200ms";

// $1 is the retention as an interval, null to keep everything. `full` is the result that tells of more to do at once.
struct Task {
  const char* code;
  const char* what;
  const char* sql;
  int64_t full;
  int64_t more_ms;   // to the next look when the result was full
  int64_t retry_ms;  // after a failure
};

constexpr int64_t kNothingMore = INT64_MAX;

// A publication cannot be a member of an extension, so DROP EXTENSION leaves it behind, without its table. One that somebody
// has given tables to is theirs.
constexpr char kDropPublication[] = R"sql(DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'realtime')
     AND EXISTS (SELECT FROM pg_publication p
                  WHERE p.pubname = 'supabase_realtime_messages_publication' AND NOT p.puballtables
                    AND NOT EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid)
                    AND NOT EXISTS (SELECT FROM pg_publication_namespace n WHERE n.pnpubid = p.oid)) THEN
    DROP PUBLICATION supabase_realtime_messages_publication;
  END IF;
END $$)sql";

// Dropping needs an exclusive lock, for which writers would queue at each attempt, and has time.
const Task kTasks[] = {
    {"StartReplicationFailed: ", "publish realtime.messages", "SELECT realtime.publish_messages()", kNothingMore, 0, kRetryMs},
    {"PartitionCreationFailed: ", "make partitions of realtime.messages",
     "SELECT realtime.make_message_partitions($1, 1)", 1, 0, kRetryMs},
    {"JanitorFailedToDeleteOldMessages: ", "delete old rows of realtime.messages",
     "SELECT realtime.delete_old_messages($1, 10000)", 10000, kMoreMs, kRetryMs},
    {"JanitorFailedToDeleteOldMessages: ", "drop old partitions of realtime.messages",
     "SELECT realtime.drop_old_message_partitions($1)", kNothingMore, 0,
     kRoundMs},
};

const Task kFarewell = {"", "drop the publication of realtime.messages", kDropPublication, kNothingMore, 0, kRoundMs};

void SetLocal(const char* name, const char* value) {
  (void)set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

// The commit must not wait for standbys: one of those may be the walsender that waits for this process.
void FixTransaction() {
  SetLocal("search_path", "pg_catalog, pg_temp");
  SetLocal("lock_timeout", kLockTimeout);
  SetLocal("synchronous_commit", "local");
}

Datum MakeRetention(int minutes) {
  return DirectFunctionCall7(make_interval, Int32GetDatum(0), Int32GetDatum(0), Int32GetDatum(0), Int32GetDatum(0),
                             Int32GetDatum(0), Int32GetDatum(minutes), Float8GetDatum(0));
}

int64_t FirstNumber() {
  if (SPI_processed != 1 || SPI_gettypeid(SPI_tuptable->tupdesc, 1) != INT8OID) return 0;
  bool is_null = true;
  Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
  return is_null ? 0 : DatumGetInt64(value);
}

int64_t Execute(const char* sql, int retention_minutes) {
  FixTransaction();
  SPI_connect();
  Oid types[] = {INTERVALOID};
  Datum values[] = {MakeRetention(retention_minutes)};
  const char nulls[] = {retention_minutes > 0 ? ' ' : 'n', '\0'};
  int result = SPI_execute_with_args(sql, 1, types, values, nulls, false, 1);
  if (result < 0) elog(ERROR, "%s failed: %s", sql, SPI_result_code_string(result));
  int64_t number = FirstNumber();
  SPI_finish();
  return number;
}

// statement_timeout does not act in a worker, and its one cancel could be caught: event triggers, and triggers on
// realtime.messages, are run by what is done here.
bool RunBounded(const Task& task, int64_t* number, PgError* error) {
  const int minutes = guc::MessageRetentionMinutes();
  pgstat_report_activity(STATE_RUNNING, task.sql);
  watchdog::OpenBatch(kTaskMs);
  watchdog::StartCheck();
  const bool done = InTransaction([&] { *number = Execute(task.sql, minutes); }, error, kOwnLockLimits);
  watchdog::FinishCheck();
  watchdog::CloseBatch();
  pgstat_report_activity(STATE_IDLE, nullptr);
  return done;
}

std::string HintFor(const PgError& error) {
  if (error.Is("42883") || error.Is("3F000")) return "Run ALTER EXTENSION realtime UPDATE.";
  if (error.Is(kLockNotAvailable)) return "Another session holds a lock on it for long; it is tried again.";
  if (error.Is("57014")) return "It takes longer than the worker may: run SELECT realtime.maintain_messages().";
  return error.hint.empty() ? "SELECT realtime.maintain_messages() does the same by hand; it is tried again." : error.hint;
}

}  // namespace

void MessageUpkeep::Step(int64_t now_ms) {
  if (now_ms < next_ms_) return;
  if (farewell_) return SayFarewell(now_ms);
  if (task_ == 0) {
    round_ms_ = kRoundMs;
    failed_ = lock_missed_ = false;
  }
  const Task& task = kTasks[task_];
  int64_t number = 0;
  PgError error;
  if (!RunBounded(task, &number, &error)) {
    if (shutdown_requested) return;
    // What took too long takes as long the next time.
    round_ms_ = std::min(round_ms_, error.Is("57014") ? kRoundMs : task.retry_ms);
    Failed(task.code, task.what, error);
  } else if (number >= task.full) {
    if (task.more_ms == 0) return;  // the same task again, at the next step
    round_ms_ = std::min(round_ms_, task.more_ms);
  }
  if (++task_ == std::size(kTasks)) EndRound(now_ms);
}

void MessageUpkeep::SayFarewell(int64_t now_ms) {
  int64_t number = 0;
  PgError error;
  const bool done = RunBounded(kFarewell, &number, &error);
  next_ms_ = done ? INT64_MAX : now_ms + kFarewell.retry_ms;
  if (done || shutdown_requested) return;
  condition_.Set(std::string("could not ") + kFarewell.what + ": " + error.Text(),
                 "DROP PUBLICATION supabase_realtime_messages_publication does the same by hand; it is tried again.");
}

// The first failure of a round is its reason: the others are likely to follow from it.
void MessageUpkeep::Failed(const char* code, const char* task, const PgError& error) {
  if (failed_ || lock_missed_) return;
  lock_missed_ = error.Is(kLockNotAvailable);
  if (lock_missed_ && lock_rounds_ < kQuietLockRounds) return;
  failed_ = true;
  condition_.Set(std::string(code) + "could not " + task + ": " + error.Text(), HintFor(error));
}

void MessageUpkeep::EndRound(int64_t now_ms) {
  lock_rounds_ = lock_missed_ ? lock_rounds_ + 1 : 0;
  if (!failed_ && !lock_missed_) condition_.Clear("the upkeep of realtime.messages is done again");
  task_ = 0;
  next_ms_ = now_ms + round_ms_;
}

}  // namespace realtime
