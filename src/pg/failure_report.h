// Log lines about changes that could not be judged: each names the role, the table and what failed, once a minute. The values of
// filters are the users' and stay out. Database thread only, outside transactions.
#ifndef REALTIME_PG_FAILURE_REPORT_H_
#define REALTIME_PG_FAILURE_REPORT_H_

#include <cstdint>
#include <string>

#include "core/filter.h"
#include "pg/guard.h"
#include "pg/registry.h"

namespace realtime {

// Whose change of which table. Referenced things must outlive the call.
struct FailedCheck {
  const Audience& audience;
  const std::string& schema;
  const std::string& table;
  uint32_t table_oid;
  uint32_t role_oid;
};

// Names the policies that decide what the role may SELECT of the table.
void ReportPolicyFailure(const FailedCheck& check, const PgError& error);

// `clause`: of the audience's filters, where it failed; null: they do not fit the table, and all are named.
void ReportFilterFailure(const FailedCheck& check, const FilterClause* clause, const PgError& error);

}  // namespace realtime

#endif  // REALTIME_PG_FAILURE_REPORT_H_
