// What the benchmark programs share: their environment and their statistics.
#ifndef REALTIME_TEST_BENCH_MEASURE_H_
#define REALTIME_TEST_BENCH_MEASURE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace realtime::bench {

[[noreturn]] void Die(const std::string& why);

// The environment's variables; Die when what must be there is not, or is not a positive number.
std::string Env(const char* name);
int Number(const char* name, int otherwise);

// In milliseconds; `share` from 0 to 1. Not for an empty list.
double Percentile(std::vector<int64_t> micros, double share);

}  // namespace realtime::bench

#endif  // REALTIME_TEST_BENCH_MEASURE_H_
