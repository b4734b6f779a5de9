#include "pg/validate.h"

#include "pg/catalog.h"
#include "pg/failure_log.h"
#include "pg/filter_plan.h"
#include "pg/guard.h"
#include "pg/log.h"
#include "pg/role_scope.h"
#include "pg/settings.h"
#include "pg/text_encoding.h"
#include "pg/watchdog.h"
#include "pg/pg.h"

extern "C" {
#include "storage/lock.h"
}

namespace realtime {
namespace {

using Outcome = SubscribeResult::Outcome;

constexpr const char* kUnable = "Unable to subscribe to changes with given parameters. ";

// The names PL/pgSQL knows for SQLSTATEs that a filter can cause; the reference prints them.
const char* ConditionName(const std::string& sqlstate) {
  static const struct {
    const char* state;
    const char* name;
  } kNames[] = {
      {"P0001", "raise_exception"},          {"22P02", "invalid_text_representation"},
      {"22003", "numeric_value_out_of_range"}, {"22007", "invalid_datetime_format"},
      {"22008", "datetime_field_overflow"},  {"42883", "undefined_function"},
      {"42704", "undefined_object"},         {"42501", "insufficient_privilege"},
      {"57014", "query_canceled"},           {"23514", "check_violation"},
      {"22025", "invalid_escape_sequence"},  {"22P05", "untranslatable_character"},
      {"0A000", "feature_not_supported"},    {"54000", "program_limit_exceeded"},
  };
  for (const auto& entry : kNames) {
    if (sqlstate == entry.state) return entry.name;
  }
  return "error";
}

std::string NotPublished(const Binding& binding) {
  return std::string(kUnable) +
         "Please check Realtime is enabled for the given connect parameters: [" + binding.Describe() + "]";
}

std::string Raised(const Binding& binding, const PgError& error) {
  return std::string(kUnable) + "An exception happened so please check your connect parameters: [" +
         binding.Describe() + "]. Exception: ERROR " + error.sqlstate + " (" + ConditionName(error.sqlstate) + ") " +
         error.message;
}

class Validation {
 public:
  explicit Validation(const Subscribe& request) : request_(request) {}

  std::optional<SubscribeResult> Run(bool* locked) {
    if (request_.bindings.empty()) return std::nullopt;
    PgError error;
    watchdog::OpenBatch();
    bool done = InTransaction([this] { Inspect(); }, &error);
    watchdog::FinishCheck();
    watchdog::CloseBatch();
    if (!done && filter_ != nullptr) filter_->NoteError();
    LockReleaseSession(USER_LOCKMETHOD);  // advisory locks that code of a type may have taken
    if (done && binding_ == nullptr) return std::nullopt;
    *locked = !done && error.Is(kLockNotAvailable);
    if (*locked) return LogLocked(error);
    if (binding_ == nullptr) binding_ = &request_.bindings.front();  // the transaction itself failed
    if (!done) return Result(Outcome::kFailed, Raised(*binding_, error));
    if (!matched_) return Result(Outcome::kFailed, NotPublished(*binding_));
    return Result(Outcome::kRefused, Denied(*binding_));
  }

 private:
  static std::nullopt_t LogLocked(const PgError& error) {
    if (failure_log::Due("subscription\nlock")) {
      LogError("realtime could not look up the tables of a subscription, and tries again: " + error.Text(),
               "Somebody has locked a catalog, or a table that a filter's type reads: look into pg_locks.");
    }
    return std::nullopt;
  }

  SubscribeResult Result(Outcome outcome, std::string message) const {
    return {request_.channel, request_.sequence, outcome, std::move(message)};
  }

  std::string Denied(const Binding& binding) const {
    const std::string& role = request_.identity->role;
    std::string table = binding.schema + "." + binding.table;
    if (!role_exists_) return "Unauthorized: role \"" + role + "\" does not exist, table " + table + " cannot be read";
    return "Unauthorized: role \"" + role + "\" has no SELECT permission on table " + table;
  }

  bool Matches(const PublishedTable& table) const {
    return (binding_->schema == "*" || binding_->schema == table.schema) &&
           (binding_->table == "*" || binding_->table == table.name);
  }

  // Inside the transaction; may raise. Leaves binding_ at the first that cannot be served, or null.
  void Inspect() {
    int count = 0;
    bool found = false;
    PublishedTable* tables = LoadPublishedTables(guc::Publication(), &count, &found);
    Oid role = FindRole(request_.identity->role);
    role_exists_ = OidIsValid(role);
    for (const Binding& binding : request_.bindings) {
      binding_ = &binding;
      InspectBinding(tables, count, role);
      if (!matched_ || !readable_) return;
    }
    binding_ = nullptr;
  }

  void InspectBinding(const PublishedTable* tables, int count, Oid role) {
    matched_ = readable_ = false;
    for (int i = 0; i < count && !readable_; ++i) {
      if (!Matches(tables[i])) continue;
      matched_ = true;
      if (role_exists_) InspectTable(tables[i].oid, role);
    }
  }

  void InspectTable(Oid oid, Oid role) {
    table_ = Table();
    if (!LoadTable(oid, &table_)) return;
    LoadPrivileges(table_, role, &privileges_);
    if (!privileges_.readable) return;
    readable_ = true;
    if (binding_->wildcard()) return;
    for (const std::string& name : binding_->columns) {
      const Column* column = table_.Find(name);
      if (column != nullptr && privileges_.columns[column->attno - 1]) continue;
      ereport(ERROR, (errcode(ERRCODE_RAISE_EXCEPTION), errmsg("invalid column for select %s", name.c_str())));
    }
    if (!binding_->filters.empty()) TryFilter(role);
  }

  // Casting a filter's value may run user code (a domain's checks, a type's input).
  void TryFilter(Oid role) {
    RoleScope scope;
    scope.Enter(role, GetUserNameFromId(role, false), request_.identity.get());
    filter_ = std::make_unique<FilterPlan>();
    watchdog::Watched([this] { filter_->Compile(table_, privileges_, binding_->filters, true); });
    scope.Leave();
  }

  const Subscribe& request_;
  const Binding* binding_ = nullptr;
  bool matched_ = false;
  bool readable_ = false;
  bool role_exists_ = false;
  // Members, not locals of functions that the backend may leave by longjmp.
  Table table_;
  TablePrivileges privileges_;
  std::unique_ptr<FilterPlan> filter_;
};

}  // namespace

std::optional<SubscribeResult> ValidateSubscription(const Subscribe& request, bool* locked) {
  *locked = false;
  return Validation(request).Run(locked);
}

}  // namespace realtime
