#include "pg/guard.h"

#include <exception>

#include "pg/text_encoding.h"

#include "pg/pg.h"

extern "C" {
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/snapmgr.h"
}

namespace realtime {

std::string PgError::Text() const { return detail.empty() ? message : message + ": " + detail; }

namespace {

// No frame that PG_TRY unwinds may hold an exception in flight, so it ends here. The text is a static buffer because
// allocating may be what failed.
bool CallWithoutThrowing(void (*fn)(void*), void* arg, char* text, size_t size) noexcept {
  try {
    fn(arg);
    return true;
  } catch (const std::exception& e) {
    strlcpy(text, e.what(), size);
  } catch (...) {
    strlcpy(text, "unknown C++ exception", size);
  }
  return false;
}

// User code may raise texts of any length, which would go to the log and to clients.
constexpr int kMaxText = 4096;

void Clip(char* text) {
  if (text == nullptr || strlen(text) <= kMaxText) return;
  text[pg_mbcliplen(text, kMaxText + MAX_MULTIBYTE_CHAR_LEN, kMaxText)] = '\0';
}

// Left as it is where it cannot be converted: there is no error about an error.
char* MessageToUtf8(char* text) noexcept {
  if (text == nullptr || !DatabaseConverts() || pg_get_client_encoding() != PG_UTF8) return text;
  char* converted = text;
  PgTry([&] { converted = pg_server_to_client(text, static_cast<int>(strlen(text))); }, nullptr);
  return converted;
}

void CopyError(const ErrorData* edata, PgError* error) {
  for (char* text : {edata->message, edata->detail, edata->hint}) Clip(text);
  const char* message = MessageToUtf8(edata->message);
  const char* detail = MessageToUtf8(edata->detail);
  const char* hint = MessageToUtf8(edata->hint);
  error->sqlstate = unpack_sql_state(edata->sqlerrcode);
  error->message = message ? message : "";
  error->detail = detail ? detail : "";
  error->hint = hint ? hint : "";
}

// What does not fit into memory is left out of the error: PgTry must return.
template <typename F>
void WhileMemoryLasts(const F& fn) noexcept {
  try {
    fn();
  } catch (...) {
  }
}

void RunBody(void (*fn)(void*), void* arg) {
  SetCurrentStatementStartTimestamp();  // else now() is when the worker started
  StartTransactionCommand();
  PushActiveSnapshot(GetTransactionSnapshot());
  fn(arg);
  CHECK_FOR_INTERRUPTS();  // a time-out that came with the lock must not meet what is done next
  PopActiveSnapshot();
  CommitTransactionCommand();
}

}  // namespace

LockPatience::LockPatience(int patience_ms) : server_limit_(LockTimeout) {
  if (patience_ms > 0) LockTimeout = patience_ms;
}

LockPatience::~LockPatience() { LockTimeout = server_limit_; }

namespace internal {

bool RunGuarded(void (*fn)(void*), void* arg, PgError* error) noexcept {
  static char cpp_text[256];
  MemoryContext caller = CurrentMemoryContext;
  ErrorData* volatile edata = nullptr;
  volatile bool thrown = false;

  PG_TRY();
  {
    thrown = !CallWithoutThrowing(fn, arg, cpp_text, sizeof cpp_text);
  }
  PG_CATCH();
  {
    MemoryContextSwitchTo(caller);
    edata = CopyErrorData();
    FlushErrorState();
  }
  PG_END_TRY();

  if (thrown) {
    MemoryContextSwitchTo(caller);
    if (error) WhileMemoryLasts([error] { *error = {"XX000", cpp_text, "", ""}; });
    return false;
  }
  if (edata == nullptr) return true;
  if (error) WhileMemoryLasts([&] { CopyError(edata, error); });
  FreeErrorData(edata);
  return false;
}

bool RunInTransaction(void (*fn)(void*), void* arg, PgError* error, int lock_patience_ms) noexcept {
  const LockPatience patience(lock_patience_ms);
  struct Call {
    void (*fn)(void*);
    void* arg;
  } call{fn, arg};
  MemoryContext caller = CurrentMemoryContext;
  bool done = RunGuarded(
      [](void* raw) {
        auto* c = static_cast<Call*>(raw);
        RunBody(c->fn, c->arg);
      },
      &call, error);
  if (!done) AbortCurrentTransaction();
  MemoryContextSwitchTo(caller);
  return done;
}

}  // namespace internal
}  // namespace realtime
