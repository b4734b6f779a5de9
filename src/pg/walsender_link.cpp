#include "pg/walsender_link.h"

#include <libpq-fe.h>

#include <array>
#include <chrono>

#include "core/bytes.h"

#include "pg/pg.h"

extern "C" {
#include "mb/pg_wchar.h"
#include "storage/fd.h"
}

namespace realtime {

namespace {

// The text of the values is made in the walsender's session, so its session fixes how they look. No time-out: an
// evaluation or back-pressure may make us silent for long, and a dead worker closes its sockets.
constexpr char kSessionOptions[] =
    "-c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=1 -c bytea_output=hex -c timezone=UTC "
    "-c wal_sender_timeout=0 -c statement_timeout=0";

constexpr int64_t kUnixToPostgresEpochUs = 946684800LL * 1000000;

int64_t PostgresTimeUs() {
  auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(since_1970).count() - kUnixToPostgresEpochUs;
}

// libpq ends its texts with a newline and may use several lines.
std::string OneLine(const char* text) {
  std::string line;
  for (const char* c = text; *c != '\0'; c++) {
    bool space = *c == '\n' || *c == '\t' || *c == ' ';
    if (!space) {
      line += *c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  if (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

const char* OrNull(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

PGconn* StartConnection(const WalsenderAddress& address) {
  // libpq expands only the first dbname, and a later word overrides what a conninfo says.
  const bool overridden = !address.conninfo.empty();
  const char* keywords[] = {"dbname",           "host",        "hostaddr", "port",    "user", "dbname",
                            "replication",      "client_encoding", "options", "application_name", "gssencmode", nullptr};
  const char* values[] = {overridden ? address.conninfo.c_str() : address.database.c_str(),
                          OrNull(address.host),
                          OrNull(address.hostaddr),
                          OrNull(address.port),
                          OrNull(address.user),
                          address.database.c_str(),
                          "database",
                          // There, UTF-8 would be an error at the first byte that is none.
                          GetDatabaseEncoding() == PG_SQL_ASCII ? "SQL_ASCII" : "UTF8",
                          kSessionOptions,
                          "realtime",
                          overridden ? nullptr : "disable",
                          nullptr};
  return PQconnectStartParams(keywords, values, overridden ? 1 : 0);
}

std::string Quoted(const std::string& text, char quote) {
  std::string quoted(1, quote);
  for (char c : text) {
    if (c == quote) quoted += quote;
    quoted += c;
  }
  return quoted += quote;
}

template <size_t N>
void PutU64(std::array<char, N>* out, size_t at, uint64_t value) {
  for (size_t i = 0; i < 8; i++) (*out)[at + i] = static_cast<char>(value >> (56 - 8 * i));
}

}  // namespace

bool WalsenderLink::Fail(const char* text, const char* sqlstate) {
  error_ = OneLine(text);
  if (error_.empty()) error_ = "connection lost";
  sqlstate_ = sqlstate == nullptr ? "" : sqlstate;
  return false;
}

// The server's primary message: without its context, which repeats our own command.
void WalsenderLink::FailWith(const pg_result* result) {
  const char* text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  Fail(text != nullptr ? text : PQresultErrorMessage(result), PQresultErrorField(result, PG_DIAG_SQLSTATE));
}

bool WalsenderLink::Open(const WalsenderAddress& address) {
  Close();
  if (!AcquireExternalFD()) return Fail("out of file descriptors");
  conn_ = StartConnection(address);
  if (conn_ == nullptr) {
    ReleaseExternalFD();
    return Fail("out of memory");
  }
  received_lsn_ = confirmed_lsn_ = 0;
  status_due_ = false;
  if (PQstatus(conn_) == CONNECTION_BAD) {
    Fail(PQerrorMessage(conn_));
    Close();
    return false;
  }
  generation_++;
  wants_read_ = false;
  wants_write_ = true;  // as PQconnectPoll's description asks before its first call
  return true;
}

void WalsenderLink::Close() {
  if (conn_ == nullptr) return;
  FreeBuffer();
  PQfinish(conn_);
  conn_ = nullptr;
  generation_++;
  wants_read_ = wants_write_ = false;
  ReleaseExternalFD();
}

WalsenderLink::Connecting WalsenderLink::ContinueConnecting() {
  PostgresPollingStatusType status = PQconnectPoll(conn_);
  generation_++;
  wants_read_ = status != PGRES_POLLING_WRITING;
  wants_write_ = status == PGRES_POLLING_WRITING;
  if (status == PGRES_POLLING_FAILED) {
    Fail(PQerrorMessage(conn_));
    return Connecting::kFailed;
  }
  if (status != PGRES_POLLING_OK) return Connecting::kNotYet;
  if (PQsetnonblocking(conn_, 1) != 0) {
    Fail(PQerrorMessage(conn_));
    return Connecting::kFailed;
  }
  return Connecting::kDone;
}

bool WalsenderLink::Send(const std::string& command) {
  answered_ = false;
  if (PQsendQuery(conn_, command.c_str()) != 1) return Fail(PQerrorMessage(conn_));
  return Flush();
}

bool WalsenderLink::SendCreateSlot(const std::string& slot) {
  return Send("CREATE_REPLICATION_SLOT " + Quoted(slot, '"') + " LOGICAL pgoutput (SNAPSHOT 'nothing')");
}

// From 0/0: the server then starts at the position that the slot has confirmed.
bool WalsenderLink::SendStart(const std::string& slot, const std::vector<std::string>& publications) {
  std::string names;
  for (const std::string& publication : publications) {
    if (!names.empty()) names += ',';
    names += Quoted(publication, '"');
  }
  std::string options = "proto_version '1', publication_names " + Quoted(names, '\'');
  return Send("START_REPLICATION SLOT " + Quoted(slot, '"') + " LOGICAL 0/0 (" + options + ")");
}

WalsenderLink::Answer WalsenderLink::ReadAnswer() {
  if (PQconsumeInput(conn_) != 1) {
    Fail(PQerrorMessage(conn_));
    return Answer::kFailed;
  }
  if (!Flush()) return Answer::kFailed;
  while (PQisBusy(conn_) == 0) {
    PGresult* result = PQgetResult(conn_);
    if (result == nullptr) return answered_ ? Answer::kOk : Answer::kNotYet;
    ExecStatusType status = PQresultStatus(result);
    bool ok = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_COPY_BOTH;
    if (!ok) FailWith(result);
    PQclear(result);
    if (!ok) return Answer::kFailed;
    if (status == PGRES_COPY_BOTH) return Answer::kCopy;
    answered_ = true;
  }
  return Answer::kNotYet;
}

void WalsenderLink::FreeBuffer() {
  if (buffer_ != nullptr) PQfreemem(buffer_);
  buffer_ = nullptr;
}

WalsenderLink::Reading WalsenderLink::EndOfCopy(int length) {
  Fail(length == -2 ? PQerrorMessage(conn_) : "the walsender ended the stream");
  if (length == -2 || PQisBusy(conn_) != 0) return Reading::kFailed;
  PGresult* result = PQgetResult(conn_);
  if (PQresultStatus(result) == PGRES_FATAL_ERROR) {
    FailWith(result);
  }
  PQclear(result);
  return Reading::kFailed;
}

WalsenderLink::Reading WalsenderLink::Next(std::string_view* payload) {
  bool consumed = false;
  for (;;) {
    FreeBuffer();
    int length = PQgetCopyData(conn_, &buffer_, 1);
    if (length < 0) return EndOfCopy(length);
    if (length == 0 && consumed) return Reading::kNothing;
    if (length == 0) {
      if (PQconsumeInput(conn_) != 1) {
        Fail(PQerrorMessage(conn_));
        return Reading::kFailed;
      }
      consumed = true;
      continue;
    }
    if (!ReadHeader(std::string_view(buffer_, static_cast<size_t>(length)), payload)) {
      Fail("the walsender sent a message that is not of the replication protocol");
      return Reading::kFailed;
    }
    if (status_due_ && !SendStatus()) return Reading::kFailed;
    if (payload->data() != nullptr) return Reading::kMessage;
  }
}

bool WalsenderLink::ReadHeader(std::string_view bytes, std::string_view* payload) {
  *payload = {};
  ByteReader reader(bytes);
  char kind = static_cast<char>(reader.U8());
  if (kind == 'k') {
    uint64_t wal_end = reader.U64();
    reader.U64();  // the server's clock
    bool reply = reader.U8() != 0;
    if (!reader.ok()) return false;
    if (wal_end > received_lsn_) received_lsn_ = wal_end;
    status_due_ |= reply;
    return true;
  }
  if (kind != 'w') return false;
  uint64_t start = reader.U64();
  reader.U64();  // end of WAL on the server
  reader.U64();  // the server's clock
  if (!reader.ok()) return false;
  if (start > received_lsn_) received_lsn_ = start;
  *payload = bytes.substr(bytes.size() - reader.remaining());
  return true;
}

bool WalsenderLink::SendStatus() {
  constexpr size_t kSize = 1 + 8 * 4 + 1;
  std::array<char, kSize> message{};
  message[0] = 'r';
  PutU64(&message, 1, received_lsn_ > confirmed_lsn_ ? received_lsn_ : confirmed_lsn_);  // written
  PutU64(&message, 9, confirmed_lsn_);                                                   // flushed
  PutU64(&message, 17, confirmed_lsn_);                                                  // applied
  PutU64(&message, 25, static_cast<uint64_t>(PostgresTimeUs()));
  message[33] = 0;  // no reply wanted
  int queued = PQputCopyData(conn_, message.data(), static_cast<int>(kSize));
  if (queued < 0) return Fail(PQerrorMessage(conn_));
  // Zero: libpq's buffer is full, which means that an older report still waits; the next one says more than this one.
  status_due_ = queued == 0;
  return Flush();
}

bool WalsenderLink::Flush() {
  int left = PQflush(conn_);
  if (left < 0) return Fail(PQerrorMessage(conn_));
  wants_read_ = true;
  wants_write_ = left > 0;
  return true;
}

int WalsenderLink::socket() const { return conn_ == nullptr ? -1 : PQsocket(conn_); }

int WalsenderLink::walsender_pid() const { return conn_ == nullptr ? 0 : PQbackendPID(conn_); }

}  // namespace realtime
