#include "pg/guard.h"

#include <exception>

#include "pg/pg.h"

extern "C" {
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

void CopyError(const ErrorData* edata, PgError* error) {
  error->sqlstate = unpack_sql_state(edata->sqlerrcode);
  error->message = edata->message ? edata->message : "";
  error->detail = edata->detail ? edata->detail : "";
  error->hint = edata->hint ? edata->hint : "";
}

void RunBody(void (*fn)(void*), void* arg) {
  StartTransactionCommand();
  PushActiveSnapshot(GetTransactionSnapshot());
  fn(arg);
  PopActiveSnapshot();
  CommitTransactionCommand();
}

}  // namespace

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
    if (error) *error = {"XX000", cpp_text, "", ""};
    return false;
  }
  if (edata == nullptr) return true;
  if (error) CopyError(edata, error);
  FreeErrorData(edata);
  return false;
}

bool RunInTransaction(void (*fn)(void*), void* arg, PgError* error) noexcept {
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
