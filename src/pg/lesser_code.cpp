#include "pg/lesser_code.h"

#include "pg/pg.h"

extern "C" {
#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace realtime::lesser_code {
namespace {

bool g_superuser_scope = false;
needs_fmgr_hook_type g_next_needs_hook = nullptr;
fmgr_hook_type g_next_fmgr_hook = nullptr;
object_access_hook_type g_next_access_hook = nullptr;

void Refuse(Oid function, Oid owner) {
  ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                  errmsg("function %s of role \"%s\" would run with the rights of superuser \"%s\"", get_func_name(function),
                         GetUserNameFromId(owner, false), GetUserNameFromId(GetUserId(), false)),
                  errdetail("Give the table or the function to another owner.")));
}

// After an abort nobody has left the scope, but its restriction is gone.
bool IsSuperusers() { return g_superuser_scope && InSecurityRestrictedOperation() && superuser(); }

void Check(Oid function) {
  if (function < FirstNormalObjectId || !IsSuperusers()) return;
  HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(tuple)) return;  // whoever calls it says so
  auto* row = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
  const Oid owner = row->proowner;
  const bool own_rights = row->prosecdef;
  ReleaseSysCache(tuple);
  if (!own_rights && !superuser_arg(owner)) Refuse(function, owner);
}

// Asked about each function that is looked up or inlined, but those that are SECURITY DEFINER or have settings.
bool OnLookup(Oid function) {
  Check(function);
  return g_next_needs_hook && g_next_needs_hook(function);
}

// Those with settings are called through this.
void OnCall(FmgrHookEventType event, FmgrInfo* function, Datum* arg) {
  if (event == FHET_START) Check(function->fn_oid);
  if (g_next_fmgr_hook) g_next_fmgr_hook(event, function, arg);
}

void OnAccess(ObjectAccessType access, Oid class_id, Oid object, int sub_id, void* arg) {
  if (access == OAT_FUNCTION_EXECUTE) Check(object);
  if (g_next_access_hook) g_next_access_hook(access, class_id, object, sub_id, arg);
}

}  // namespace

void InstallGuard() {
  g_next_needs_hook = needs_fmgr_hook;
  needs_fmgr_hook = OnLookup;
  g_next_fmgr_hook = fmgr_hook;
  fmgr_hook = OnCall;
  g_next_access_hook = object_access_hook;
  object_access_hook = OnAccess;
}

void RefuseDomains(const char* column) {
  if (!IsSuperusers()) return;
  ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                  errmsg("the checks of a domain in column \"%s\" would run with the rights of superuser \"%s\"", column,
                         GetUserNameFromId(GetUserId(), false)),
                  errdetail("Give the table or the domain to another owner.")));
}

void OnScopeEntered(uint32_t role) { g_superuser_scope = superuser_arg(role); }

}  // namespace realtime::lesser_code
