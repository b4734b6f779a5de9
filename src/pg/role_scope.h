// The security context of an evaluation: everything that may call user code (policies, planning, casts, domain checks,
// generation expressions) runs inside one of these.
//
// Entering opens a GUC nest level, sets `role`, realtime.topic and the request.* settings in it, then switches the user with
// SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION: from there SET ROLE, SET SESSION AUTHORIZATION and
// set_config('role', ...) are errors, and whatever else the code sets is undone when the scope is left (user and context
// first, then the GUC level), and cursors that it has left open are closed. With a plain SET ROLE a policy function could
// become superuser.
// Database thread only. Enter and Leave may raise; an aborted transaction leaves every scope, so after a caught error
// forget it with Forget().
#ifndef REALTIME_PG_ROLE_SCOPE_H_
#define REALTIME_PG_ROLE_SCOPE_H_

#include <cstdint>

#include "core/token.h"

namespace realtime {

// Role scope as plain data, so that it may live on frames that ereport unwinds.
class RoleScope {
 public:
  // Becomes `role_oid`, with the settings of `identity` visible to policies; identity may be null (a table owner's scope
  // sees no request settings). `topic` is the channel's that is being authorized, as UTF-8 without NUL; null: none.
  void Enter(uint32_t role_oid, const char* role_name, const Identity* identity, const char* topic = nullptr);
  void Leave();

  // Makes sure the scope is that of (role, identity, topic), entering or switching when it is not. With `fresh` it always
  // starts anew. Between identities of one role only their settings change places: leave a scope in which user code ran, or
  // what that has set would be met by the next. Identity and topic are told apart by their address: leave the scope before
  // either is freed.
  void Ensure(uint32_t role_oid, const char* role_name, const Identity* identity, bool fresh, const char* topic = nullptr);

  // Undoes what code in the scope has set, and goes on as whom it was entered.
  void Renew();

  bool active() const { return active_; }
  void Forget() { active_ = false; }

 private:
  void Switch(const Identity* identity, const char* topic);

  bool active_ = false;
  uint32_t role_oid_ = 0;
  const char* role_name_ = nullptr;
  const Identity* identity_ = nullptr;
  const char* topic_ = nullptr;
  uint32_t saved_user_ = 0;
  int saved_context_ = 0;
  int nest_level_ = 0;
};

}  // namespace realtime

#endif  // REALTIME_PG_ROLE_SCOPE_H_
