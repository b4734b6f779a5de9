#include "pg/log.h"

#include "pg/guard.h"
#include "pg/stat.h"

#include "pg/pg.h"

namespace realtime {

namespace {

int ElevelOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return DEBUG1;
    case LogLevel::kInfo: return LOG;
    case LogLevel::kWarning: return WARNING;
  }
  return LOG;
}

void Write(int elevel, const char* message, const char* hint) {
  ereport(elevel, (errmsg_internal("%s", message), hint[0] ? errhint("%s", hint) : 0, errhidestmt(true)));
}

}  // namespace

void Log(LogLevel level, const std::string& message, const std::string& hint) noexcept {
  if (level == LogLevel::kWarning) stat::SetError(message);
  int elevel = ElevelOf(level);
  const char* message_text = message.c_str();
  const char* hint_text = hint.c_str();
  PgTry([&] { Write(elevel, message_text, hint_text); }, nullptr);
}

void LogError(const std::string& message, const std::string& hint) noexcept {
  stat::SetError(message);
  Log(LogLevel::kInfo, message, hint);
}

void Condition::Set(const std::string& reason, const std::string& hint, LogLevel level) {
  if (reason == reason_) return;
  reason_ = reason;
  stat::SetError(reason);
  Log(level, reason, hint);
}

void Condition::Clear(const std::string& mended) {
  if (reason_.empty()) return;
  reason_.clear();
  if (!mended.empty()) Log(LogLevel::kInfo, mended);
}

}  // namespace realtime
