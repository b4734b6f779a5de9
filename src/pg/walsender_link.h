// One replication connection: libpq, asynchronous throughout. It knows the protocol; what to send and when to reconnect is
// pg/replication's business. Database thread only; no method blocks or raises.
#ifndef REALTIME_PG_WALSENDER_LINK_H_
#define REALTIME_PG_WALSENDER_LINK_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

struct pg_conn;
struct pg_result;

namespace realtime {

// Where the walsender is. `conninfo` comes first and may name everything but the database; an empty one leaves host (a
// socket directory) or hostaddr.
struct WalsenderAddress {
  std::string conninfo;
  std::string host;
  std::string hostaddr;
  std::string port;
  std::string user;
  std::string database;
};

class WalsenderLink {
 public:
  WalsenderLink() = default;
  ~WalsenderLink() { Close(); }
  WalsenderLink(const WalsenderLink&) = delete;
  WalsenderLink& operator=(const WalsenderLink&) = delete;

  // Begins to connect. False: error() says why, and there is no connection.
  bool Open(const WalsenderAddress& address);
  bool open() const { return conn_ != nullptr; }
  // Leaves at once, whatever was going on. The walsender notices when it next looks at its socket.
  void Close();

  enum class Connecting : uint8_t { kNotYet, kDone, kFailed };
  Connecting ContinueConnecting();  // when the socket is ready

  // Replication commands. One at a time: until its answer has been read.
  bool SendCreateSlot(const std::string& slot);
  bool SendStart(const std::string& slot, const std::vector<std::string>& publications);
  enum class Answer : uint8_t { kNotYet, kOk, kCopy, kFailed };
  Answer ReadAnswer();

  // In copy mode: the next XLogData payload. The view is valid until the next call or Close. Keepalives are consumed on
  // the way (and answered when they ask for it); kFailed covers the end of the copy too.
  enum class Reading : uint8_t { kMessage, kNothing, kFailed };
  Reading Next(std::string_view* payload);

  // Highest LSN that was seen in copy mode. Everything before it has been returned by Next.
  uint64_t received_lsn() const { return received_lsn_; }

  // Tells the walsender that everything up to lsn has been dealt with. May only grow.
  void SetConfirmed(uint64_t lsn) { confirmed_lsn_ = lsn; }
  bool SendStatus();
  // Sends what libpq has queued; false when the connection is lost.
  bool Flush();

  // What to wait for. `generation` changes whenever the socket may be another one, even under the same number.
  int socket() const;
  uint64_t generation() const { return generation_; }
  bool wants_read() const { return wants_read_; }
  bool wants_write() const { return wants_write_; }

  int walsender_pid() const;  // as the server told it; zero before

  // Of the last failure; the text is one line. The caller may have found one itself.
  void SetError(const char* text) { Fail(text); }
  const std::string& error() const { return error_; }
  const std::string& sqlstate() const { return sqlstate_; }

 private:
  bool Send(const std::string& command);
  bool Fail(const char* text, const char* sqlstate = "");
  void FailWith(const pg_result* result);
  Reading EndOfCopy(int length);
  // False: not a message of the replication protocol.
  bool ReadHeader(std::string_view bytes, std::string_view* payload);
  void FreeBuffer();

  pg_conn* conn_ = nullptr;
  char* buffer_ = nullptr;  // libpq's; the last message that Next returned
  uint64_t generation_ = 0;
  bool wants_read_ = false;
  bool wants_write_ = false;
  bool status_due_ = false;  // the walsender asked
  bool answered_ = false;    // a result of the current command has been read, but not yet its end
  uint64_t received_lsn_ = 0;
  uint64_t confirmed_lsn_ = 0;
  std::string error_;
  std::string sqlstate_;
};

}  // namespace realtime

#endif  // REALTIME_PG_WALSENDER_LINK_H_
