#include "pg/role_scope.h"

#include "pg/lesser_code.h"
#include "pg/text_encoding.h"
#include "pg/pg.h"

extern "C" {
#include "utils/guc.h"
#include "utils/portal.h"
}

namespace realtime {
namespace {

void SetLocal(const char* name, const char* value) {
  (void)set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

void SetText(const char* name, const char* utf8) { SetLocal(name, DatabaseConverts() ? ToServerText(utf8) : utf8); }

// What a policy may have been told by an earlier request must not shine through where this identity says nothing.
void SetRequest(const Identity* identity, const char* topic) {
  SetText("request.jwt.claims", identity ? identity->claims.c_str() : "");
  SetText("request.jwt.claim.sub", identity ? identity->sub.c_str() : "");
  SetText("request.jwt.claim.role", identity ? identity->role.c_str() : "");
  SetText("request.headers", identity ? identity->headers.c_str() : "");
  SetText("realtime.topic", topic ? topic : "");
}

}  // namespace

void RoleScope::Enter(uint32_t role_oid, const char* role_name, const Identity* identity, const char* topic) {
  GetUserIdAndSecContext(reinterpret_cast<Oid*>(&saved_user_), &saved_context_);
  nest_level_ = NewGUCNestLevel();
  SetLocal("role", role_name);
  SetRequest(identity, topic);
  SetUserIdAndSecContext(role_oid, saved_context_ | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
  lesser_code::OnScopeEntered(role_oid);
  active_ = true;
  role_oid_ = role_oid;
  role_name_ = role_name;
  identity_ = identity;
  topic_ = topic;
}

// Nothing has changed a setting since they were set: only what differs is set anew, on the same nest level. A level's end
// looks at every setting there is, which costs more than most checks.
void RoleScope::Switch(const Identity* identity, const char* topic) {
  if (identity_->claims != identity->claims) SetText("request.jwt.claims", identity->claims.c_str());
  if (identity_->sub != identity->sub) SetText("request.jwt.claim.sub", identity->sub.c_str());
  if (identity_->role != identity->role) SetText("request.jwt.claim.role", identity->role.c_str());
  if (identity_->headers != identity->headers) SetText("request.headers", identity->headers.c_str());
  if (topic_ != topic) SetText("realtime.topic", topic ? topic : "");
  identity_ = identity;
  topic_ = topic;
}

void RoleScope::Leave() {
  if (!active_) return;
  PortalHashTableDeleteAll();  // the next function may call a cursor by the same name
  SetUserIdAndSecContext(saved_user_, saved_context_);
  AtEOXact_GUC(false, nest_level_);
  active_ = false;
}

void RoleScope::Renew() {
  Leave();
  Enter(role_oid_, role_name_, identity_, topic_);
}

void RoleScope::Ensure(uint32_t role_oid, const char* role_name, const Identity* identity, bool fresh, const char* topic) {
  if (active_ && !fresh && role_oid_ == role_oid && identity_ == identity && topic_ == topic) return;
  if (active_ && !fresh && role_oid_ == role_oid && identity_ != nullptr && identity != nullptr) {
    Switch(identity, topic);
    return;
  }
  Leave();
  Enter(role_oid, role_name, identity, topic);
}

}  // namespace realtime
