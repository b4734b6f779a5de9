#include "bench/measure.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

namespace realtime::bench {

void Die(const std::string& why) {
  std::fflush(stdout);
  std::fprintf(stderr, "bench: %s\n", why.c_str());
  std::exit(1);
}

std::string Env(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') Die(std::string("set ") + name);
  return value;
}

int Number(const char* name, int otherwise) {
  const char* value = std::getenv(name);
  int number = value == nullptr ? otherwise : std::atoi(value);
  if (number <= 0) Die(std::string(name) + " must be a positive number");
  return number;
}

double Percentile(std::vector<int64_t> micros, double share) {
  auto at = micros.begin() + static_cast<ptrdiff_t>(share * static_cast<double>(micros.size() - 1));
  std::nth_element(micros.begin(), at, micros.end());
  return static_cast<double>(*at) / 1000;
}

}  // namespace realtime::bench
