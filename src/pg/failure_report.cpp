#include "pg/failure_report.h"

#include <string_view>

#include "pg/failure_log.h"
#include "pg/log.h"
#include "pg/pattern_budget.h"
#include "pg/text_encoding.h"
#include "pg/watchdog.h"

#include "pg/pg.h"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_policy.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
}

namespace realtime {
namespace {

constexpr int kMaxNames = 10;
constexpr char kQueryCanceled[] = "57014";
constexpr char kToldText[] = "Its subscribers got an event with an error instead. ";

// Names in quotes with commas between; of many only the first.
struct NameList {
  std::string text;
  int count = 0;

  void Add(const char* name, std::string_view suffix = "") {
    if (++count > kMaxNames + 1) return;
    if (count > 1) text += ", ";
    if (count > kMaxNames) {
      text += "...";
      return;
    }
    text += '"';
    text += name;
    text += '"';
    text += suffix;
  }
};

bool Applies(HeapTuple tuple, TupleDesc type, Oid role) {
  const char command = reinterpret_cast<Form_pg_policy>(GETSTRUCT(tuple))->polcmd;
  if (command != '*' && command != ACL_SELECT_CHR) return false;
  bool is_null = false;
  ArrayType* roles = DatumGetArrayTypeP(heap_getattr(tuple, Anum_pg_policy_polroles, type, &is_null));
  if (is_null) return false;
  auto* members = reinterpret_cast<Oid*>(ARR_DATA_PTR(roles));
  for (int i = 0; i < ARR_DIMS(roles)[0]; ++i) {
    if (members[i] == ACL_ID_PUBLIC || has_privs_of_role(role, members[i])) return true;
  }
  return false;
}

// By name, as the index has them.
void CollectPolicies(Oid table, Oid role, NameList* names) {
  Relation relation = table_open(PolicyRelationId, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_policy_polrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
  SysScanDesc scan = systable_beginscan(relation, PolicyPolrelidPolnameIndexId, true, nullptr, 1, &key);
  HeapTuple tuple;
  while (HeapTupleIsValid(tuple = systable_getnext(scan))) {
    if (!Applies(tuple, RelationGetDescr(relation), role)) continue;
    names->Add(ToUtf8(pstrdup(NameStr(reinterpret_cast<Form_pg_policy>(GETSTRUCT(tuple))->polname))));
  }
  systable_endscan(scan);
  table_close(relation, AccessShareLock);
}

// ` by policy "a"`; nothing when they cannot be read, which must not cost the line.
std::string ByPolicies(const FailedCheck& check) {
  NameList names;
  NameList* collected = &names;
  const Oid table = check.table_oid;
  const Oid role = check.role_oid;
  if (!InTransaction([=] { CollectPolicies(table, role, collected); }, nullptr)) return "";
  if (names.count == 0) return "";
  return (names.count == 1 ? " by policy " : " by policies ") + names.text;
}

std::string ByFilter(const Audience& audience, const FilterClause* clause) {
  NameList names;
  for (const FilterClause& each : audience.filters) {
    if (clause != nullptr && &each != clause) continue;
    names.Add(each.column.c_str(), std::string(each.negated ? " (not." : " (") + std::string(FilterOpName(each.op)) + ")");
  }
  return " by the filter on " + names.text;
}

std::string Key(const FailedCheck& check, const char* kind) {
  return check.schema + "." + check.table + "\n" + check.audience.identity->role + "\n" + kind;
}

void Report(const char* code, const FailedCheck& check, const std::string& by, const PgError& error, const std::string& hint) {
  LogError(code + std::string("realtime could not judge a change of table \"") + check.schema + "." + check.table + "\" for role \"" +
               check.audience.identity->role + "\"" + by + ": " + error.Text() + " (SQLSTATE " + error.sqlstate + ")",
           kToldText + hint);
}

}  // namespace

void ReportPolicyFailure(const FailedCheck& check, const PgError& error) {
  if (!failure_log::Due(Key(check, "policy"))) return;
  const char* hint = "Check the row-level security policies and the functions and tables they use.";
  if (error.Is(kQueryCanceled)) {
    hint = watchdog::OutgrewMemory()
               ? "The row-level security policies, or the functions they call, take more than 512 MB of memory for one row."
               : "Make the row-level security policies and the functions they call faster, or raise realtime.policy_timeout.";
  }
  Report("RlsPolicyError: ", check, ByPolicies(check), error, hint);
}

void ReportFilterFailure(const FailedCheck& check, const FilterClause* clause, const PgError& error) {
  if (!failure_log::Due(Key(check, "filter"))) return;
  const char* hint = "The filter is the client's: check it there, and the functions of the column's type.";
  if (error.Is(kQueryCanceled)) hint = "The filter is the client's: make it simpler there, or raise realtime.policy_timeout.";
  if (clause == nullptr) hint = "The table has changed: the clients must subscribe again, with a filter that fits it.";
  if (error.message == kPatternsTooSlow) hint = "Filters with like and match are the clients': fewer or simpler ones are needed.";
  Report("FilterError: ", check, ByFilter(check.audience, clause), error, hint);
}

}  // namespace realtime
