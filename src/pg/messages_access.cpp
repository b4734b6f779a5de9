#include "pg/messages_access.h"

#include <initializer_list>

extern "C" {
#include "utils/acl.h"
#include "utils/lsyscache.h"
}

namespace realtime {
namespace {

bool HasPrivilege(const Table& table, Oid role, AclMode mode, std::initializer_list<const char*> columns) {
  if (pg_class_aclcheck(table.oid, role, mode) == ACLCHECK_OK) return true;
  for (const char* column : columns) {
    AttrNumber attno = get_attnum(table.oid, column);
    if (attno <= 0 || pg_attribute_aclcheck(table.oid, attno, role, mode) != ACLCHECK_OK) return false;
  }
  return true;
}

}  // namespace

bool MayProbe(const Table& messages, Oid role, PolicyAction action) {
  if (pg_namespace_aclcheck(get_rel_namespace(messages.oid), role, ACL_USAGE) != ACLCHECK_OK) return false;
  if (action == PolicyAction::kSelect) return HasPrivilege(messages, role, ACL_SELECT, {"id"});
  return HasPrivilege(messages, role, ACL_INSERT, {"id", "topic", "extension", "inserted_at", "updated_at"});
}

}  // namespace realtime
