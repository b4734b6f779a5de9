#include "pg/secret_log.h"

#include <array>
#include <cctype>
#include <cstring>

#include "pg/pg.h"

namespace realtime::secret_log {

namespace {

constexpr size_t kMost = 16;
std::array<const char*, kMost> secrets;
size_t secret_count;
emit_log_hook_type next_hook;

// As whoever wrote postgresql.conf spelt it: names of settings have no case. jwt_secret is not meant by jwt_secret_file.
bool Names(const char* message, const char* setting) {
  size_t length = strlen(setting);
  for (const char* at = message; *at != '\0'; ++at) {
    if (pg_strncasecmp(at, setting, length) != 0) continue;
    return at[length] != '_' && !isalnum(static_cast<unsigned char>(at[length]));
  }
  return false;
}

// The message may be translated, its id is not.
const char* SecretOf(const ErrorData& edata) {
  if (edata.message_id == nullptr || edata.message == nullptr) return nullptr;
  if (strcmp(edata.message_id, "parameter \"%s\" changed to \"%s\"") != 0) return nullptr;
  for (size_t i = 0; i < secret_count; ++i) {
    if (Names(edata.message, secrets[i])) return secrets[i];
  }
  return nullptr;
}

void OnMessage(ErrorData* edata) {
  // Only the postmaster logs changes; children have inherited the hook.
  const char* secret = IsUnderPostmaster ? nullptr : SecretOf(*edata);
  if (secret != nullptr) {
    pfree(edata->message);
    edata->message = psprintf("parameter \"%s\" changed", secret);
  }
  if (next_hook != nullptr) next_hook(edata);
}

}  // namespace

void InstallHook() {
  next_hook = emit_log_hook;
  emit_log_hook = OnMessage;
}

void Hide(const char* setting) {
  if (secret_count == kMost) elog(ERROR, "more than %zu secret settings", kMost);
  secrets[secret_count++] = setting;
}

}  // namespace realtime::secret_log
