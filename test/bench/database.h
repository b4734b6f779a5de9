// A session of the measured cluster, by the PG* environment.
#ifndef REALTIME_TEST_BENCH_DATABASE_H_
#define REALTIME_TEST_BENCH_DATABASE_H_

#include <libpq-fe.h>

#include <string>
#include <vector>

namespace realtime::bench {

// One thread per object. Dies when something fails.
class Database {
 public:
  Database();
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // First column of the first row, or nothing.
  std::string Run(const std::string& sql, const std::vector<std::string>& values = {});
  // Runs it until it gives a row; `what` is waited for.
  void WaitFor(const std::string& sql, const std::string& what);

  // Sets, or with an empty value resets, a setting of the whole server.
  void Configure(const std::string& name, const std::string& value);

 private:
  PGconn* connection_;
};

}  // namespace realtime::bench

#endif  // REALTIME_TEST_BENCH_DATABASE_H_
