// The yardstick: a bare client of logical replication (libpq, pgoutput, temporary slot) that does nothing but parse.
#ifndef REALTIME_TEST_BENCH_STREAM_H_
#define REALTIME_TEST_BENCH_STREAM_H_

#include <libpq-fe.h>

#include <cstdint>
#include <string>

#include "core/pgoutput.h"

namespace realtime::bench {

struct StreamedRow {
  const RowChange* row = nullptr;  // valid until the next call
  int64_t commit_us = 0;           // commit time of its transaction, microseconds since 2000
  int64_t received_us = 0;         // when libpq had read the bytes
};

class Stream {
 public:
  Stream() = default;
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Connects by the PG* environment and starts streaming `publication` from now on.
  bool Start(const std::string& publication);

  // The next row. False when none came in time or the stream failed (see error()).
  bool Next(int timeout_ms, StreamedRow* row);

  const std::string& error() const { return error_; }

 private:
  bool Fail(const std::string& why);
  bool Run(const std::string& command, ExecStatusType expected);
  bool Wait(int64_t deadline_us);
  bool Handle(std::string_view message, StreamedRow* row, bool* is_row);
  bool Answer(uint64_t lsn);

  PGconn* connection_ = nullptr;
  char* copied_ = nullptr;  // the message that `row` points into
  PgoutputMessage message_;
  int64_t commit_us_ = 0;
  int64_t received_us_ = 0;
  std::string error_;
};

}  // namespace realtime::bench

#endif  // REALTIME_TEST_BENCH_STREAM_H_
