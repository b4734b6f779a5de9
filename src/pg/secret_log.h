// Keeps the values of secret settings out of the server's log. At a reload the postmaster logs each setting that has changed
// with its new value (ProcessConfigFileInternal); for a secret its name has to do.
// What a session says of its own statements (log_statement, a failing ALTER SYSTEM) is left as it is.
// In the postmaster, before it forks.
#ifndef REALTIME_PG_SECRET_LOG_H_
#define REALTIME_PG_SECRET_LOG_H_

namespace realtime::secret_log {

// From _PG_init: installs emit_log_hook, and adds a setting, whose name must live as long as the process.
void InstallHook();
void Hide(const char* setting);

}  // namespace realtime::secret_log

#endif  // REALTIME_PG_SECRET_LOG_H_
