#include "bench/stream.h"

#include <poll.h>
#include <unistd.h>

#include "bench/ws_client.h"
#include "core/bytes.h"

namespace realtime::bench {

Stream::~Stream() {
  PQfreemem(copied_);
  PQfinish(connection_);
}

bool Stream::Fail(const std::string& why) {
  if (error_.empty()) error_ = why;
  return false;
}

bool Stream::Run(const std::string& command, ExecStatusType expected) {
  PGresult* result = PQexec(connection_, command.c_str());
  bool ok = PQresultStatus(result) == expected;
  PQclear(result);
  return ok || Fail(PQerrorMessage(connection_));
}

bool Stream::Start(const std::string& publication) {
  connection_ = PQconnectdb("replication=database application_name=realtime_bench");
  if (PQstatus(connection_) != CONNECTION_OK) return Fail(PQerrorMessage(connection_));
  // A name of its own for each: the server drops a temporary slot some time after its connection was closed.
  static int streams = 0;
  std::string slot = "realtime_bench_" + std::to_string(getpid()) + "_" + std::to_string(++streams);
  return Run("CREATE_REPLICATION_SLOT " + slot + " TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT", PGRES_TUPLES_OK) &&
         Run("START_REPLICATION SLOT " + slot + " LOGICAL 0/0 (proto_version '1', publication_names '" + publication +
                 "')", PGRES_COPY_BOTH);
}

bool Stream::Wait(int64_t deadline_us) {
  int64_t left_us = deadline_us - NowMicros();
  if (left_us <= 0) return false;
  pollfd waiting{PQsocket(connection_), POLLIN, 0};
  if (poll(&waiting, 1, static_cast<int>(left_us / 1000 + 1)) <= 0) return false;
  if (PQconsumeInput(connection_) == 0) return Fail(PQerrorMessage(connection_));
  received_us_ = NowMicros();
  return true;
}

bool Stream::Next(int timeout_ms, StreamedRow* row) {
  int64_t deadline_us = NowMicros() + int64_t{timeout_ms} * 1000;
  while (error_.empty()) {
    PQfreemem(copied_);
    copied_ = nullptr;
    int length = PQgetCopyData(connection_, &copied_, 1);
    if (length < 0) return Fail("the stream ended: " + std::string(PQerrorMessage(connection_)));
    if (length == 0) {
      if (!Wait(deadline_us)) return false;
      continue;
    }
    bool is_row = false;
    if (!Handle(std::string_view(copied_, static_cast<size_t>(length)), row, &is_row)) return false;
    if (is_row) return true;
  }
  return false;
}

bool Stream::Handle(std::string_view message, StreamedRow* row, bool* is_row) {
  ByteReader reader(message);
  uint8_t type = reader.U8();
  if (type == 'k') {
    uint64_t end = reader.U64();
    reader.U64();
    return reader.U8() == 0 || Answer(end);
  }
  reader.Take(3 * sizeof(uint64_t));
  Status status = ParsePgoutput(reader.Take(reader.remaining()), &message_);
  if (!status.ok()) return Fail(status.message());
  if (message_.kind == PgoutputMessage::Kind::kBegin) commit_us_ = message_.commit_time_us;
  *is_row = message_.kind == PgoutputMessage::Kind::kRow;
  *row = {&message_.row, commit_us_, received_us_};
  return true;
}

// Standby status update: written, flushed and applied up to `lsn`.
bool Stream::Answer(uint64_t lsn) {
  std::string update = "r";
  auto add = [&](uint64_t value) {
    for (int shift = 56; shift >= 0; shift -= 8) update.push_back(static_cast<char>(value >> shift));
  };
  for (int i = 0; i < 3; i++) add(lsn);
  add(static_cast<uint64_t>(NowMicros()));
  update.push_back(0);
  bool sent = PQputCopyData(connection_, update.data(), static_cast<int>(update.size())) == 1 &&
              PQflush(connection_) == 0;
  return sent || Fail(PQerrorMessage(connection_));
}

}  // namespace realtime::bench
