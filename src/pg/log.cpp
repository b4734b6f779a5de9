#include "pg/log.h"

#include "pg/guard.h"

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
  int elevel = ElevelOf(level);
  const char* message_text = message.c_str();
  const char* hint_text = hint.c_str();
  PgTry([&] { Write(elevel, message_text, hint_text); }, nullptr);
}

void Condition::Set(const std::string& reason, const std::string& hint, LogLevel level) {
  if (reason == reason_) return;
  reason_ = reason;
  Log(level, reason, hint);
}

void Condition::Clear(const std::string& mended) {
  if (reason_.empty()) return;
  reason_.clear();
  if (!mended.empty()) Log(LogLevel::kInfo, mended);
}

}  // namespace realtime
