// An invariant of a fuzz target: prints itself and aborts when it does not hold, in every build type.
#ifndef REALTIME_TEST_FUZZ_CHECK_H_
#define REALTIME_TEST_FUZZ_CHECK_H_

#include <cstdio>
#include <cstdlib>

#define FUZZ_CHECK(condition)                                                          \
  do {                                                                                 \
    if (!(condition)) {                                                                \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                    \
    }                                                                                  \
  } while (false)

#endif  // REALTIME_TEST_FUZZ_CHECK_H_
