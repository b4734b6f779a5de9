// The border between ereport (longjmp) and C++.
//
// A longjmp past a frame skips its destructors, so every backend call that can ereport runs inside PgTry, in a function
// whose locals are trivially destructible; a C++ exception must not cross PG_TRY either and becomes a PgError too.
// Database thread only.
#ifndef REALTIME_PG_GUARD_H_
#define REALTIME_PG_GUARD_H_

#include <string>
#include <type_traits>

namespace realtime {

struct PgError {
  std::string sqlstate;  // five characters; "XX000" for a C++ exception
  std::string message;
  std::string detail;
  std::string hint;

  bool Is(const char* state) const { return sqlstate == state; }
  // "message" or "message: detail", one line, for a log line or a client.
  std::string Text() const;
};

namespace internal {
bool RunGuarded(void (*fn)(void*), void* arg, PgError* error) noexcept;
bool RunInTransaction(void (*fn)(void*), void* arg, PgError* error, int lock_patience_ms) noexcept;
}  // namespace internal

// Runs fn(); false when it raised, with *error filled in (may be null) and the error state flushed. The caller then must
// abort the transaction (or subtransaction) it is in: nothing else is safe after a caught error.
template <typename F>
bool PgTry(F&& fn, PgError* error) noexcept {
  return internal::RunGuarded([](void* arg) { (*static_cast<std::remove_reference_t<F>*>(arg))(); }, &fn, error);
}

// Somebody who has a catalog for himself (VACUUM FULL), or waits for that, must not stop the whole thread.
constexpr int kCatalogPatienceMs = 20;
constexpr int kOwnLockLimits = 0;  // fn sets its own, or the watchdog ends it
constexpr char kLockNotAvailable[] = "55P03";

// While it lives, locks are waited for so long at most; then kLockNotAvailable is raised. The variable alone, not the setting:
// user code may change the setting for itself, and gets it back as it was. It must outlive the transaction's abort, which
// undoes what such code has set to the limit.
class LockPatience {
 public:
  explicit LockPatience(int patience_ms);
  ~LockPatience();
  LockPatience(const LockPatience&) = delete;
  LockPatience& operator=(const LockPatience&) = delete;

 private:
  const int server_limit_;
};

// Runs fn() in a transaction of its own with an active snapshot, committed afterwards, aborted on error. Must not be
// called inside a transaction. The memory context inside is the transaction's. Locks are waited for lock_patience_ms at most.
template <typename F>
bool InTransaction(F&& fn, PgError* error, int lock_patience_ms = kCatalogPatienceMs) noexcept {
  return internal::RunInTransaction([](void* arg) { (*static_cast<std::remove_reference_t<F>*>(arg))(); }, &fn, error,
                                    lock_patience_ms);
}

}  // namespace realtime

#endif  // REALTIME_PG_GUARD_H_
