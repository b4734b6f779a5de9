#include "net/lws_log.h"

#include <libwebsockets.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "net/loop.h"

namespace realtime {
namespace {

constexpr int kLinesPerMinute = 10;
constexpr size_t kMaxLine = 300;

LwsLog* current = nullptr;

}  // namespace

LwsLog::LwsLog(DatabaseMailbox* outbox) : outbox_(outbox) {
  current = this;
  lws_set_log_level(LLL_ERR | LLL_WARN, &LwsLog::Emit);
}

LwsLog::~LwsLog() {
  current = nullptr;
  lws_set_log_level(0, &LwsLog::Emit);
}

void LwsLog::Emit(int level, const char* line) noexcept {
  try {
    if (current != nullptr && line != nullptr) current->Write(level, line);
  } catch (...) {
    // A line lost for lack of memory.
  }
}

void LwsLog::Write(int level, const char* line) {
  int64_t minute = ReadClock().mono_ms / 60000;
  if (minute != minute_) {
    minute_ = minute;
    lines_ = 0;
  }
  if (++lines_ > kLinesPerMinute) {
    ++suppressed_;
    return;
  }
  std::string text("libwebsockets: ");
  // Whatever a client managed to get into the line stays printable.
  for (char c : std::string_view(line).substr(0, kMaxLine)) {
    if (c == '\n') continue;
    text.push_back(c >= 0x20 && c < 0x7f ? c : '?');
  }
  if (suppressed_ > 0) text += " (" + std::to_string(std::exchange(suppressed_, 0)) + " lines like this were left out)";
  Post<ToDatabase>(LogLine{level == LLL_ERR ? LogLevel::kWarning : LogLevel::kInfo, std::move(text), ""}, outbox_);
}

}  // namespace realtime
