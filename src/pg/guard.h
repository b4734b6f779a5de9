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
bool RunInTransaction(void (*fn)(void*), void* arg, PgError* error) noexcept;
}  // namespace internal

// Runs fn(); false when it raised, with *error filled in (may be null) and the error state flushed. The caller then must
// abort the transaction (or subtransaction) it is in: nothing else is safe after a caught error.
template <typename F>
bool PgTry(F&& fn, PgError* error) noexcept {
  return internal::RunGuarded([](void* arg) { (*static_cast<std::remove_reference_t<F>*>(arg))(); }, &fn, error);
}

// Runs fn() in a transaction of its own with an active snapshot, committed afterwards, aborted on error. Must not be
// called inside a transaction. The memory context inside is the transaction's.
template <typename F>
bool InTransaction(F&& fn, PgError* error) noexcept {
  return internal::RunInTransaction([](void* arg) { (*static_cast<std::remove_reference_t<F>*>(arg))(); }, &fn, error);
}

}  // namespace realtime

#endif  // REALTIME_PG_GUARD_H_
