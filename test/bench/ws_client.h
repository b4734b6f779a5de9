// A small blocking client of the Realtime protocol (vsn 2.0.0) for measuring: nothing between a change and its time
// stamp but recv() and a scan of the frame. One thread per object.
#ifndef REALTIME_TEST_BENCH_WS_CLIENT_H_
#define REALTIME_TEST_BENCH_WS_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace realtime::bench {

// Microseconds since 2000-01-01 UTC, the unit of commit times in the stream.
int64_t NowMicros();

// Opcodes of WebSocket frames.
constexpr uint8_t kText = 1;
constexpr uint8_t kBinary = 2;
constexpr uint8_t kClose = 8;
constexpr uint8_t kPing = 9;
constexpr uint8_t kPong = 10;

inline constexpr char kHeartbeat[] = R"([null,"0","phoenix","heartbeat",{}])";

// A frame from a client, up to 65535 bytes; a longer payload gives nothing. A mask of zeros is a mask: the payload goes as
// it is.
std::string ClientFrame(uint8_t opcode, std::string_view payload);

// What stands in front of a payload from the server.
struct FrameHeader {
  uint8_t opcode = 0;
  size_t bytes = 0;    // of the header
  uint64_t length = 0; // of the payload
};
enum class Parsed : uint8_t { kIncomplete, kHeader, kInvalid };  // kInvalid: split, masked or too long
Parsed ParseHeader(std::string_view in, FrameHeader* header);

// A socket to 127.0.0.1, connected; -1 when that failed (errno says why).
int DialLocal(int port);
// Closes with a reset: thousands of ports in TIME_WAIT would be missing in the next run. Not open (-1): nothing.
void HangUp(int fd);

struct Change {
  std::string_view frame;  // the whole text; valid until the next call
  int64_t received_us = 0; // when the recv() that completed the frame returned
};

class RealtimeClient {
 public:
  explicit RealtimeClient(size_t buffer_bytes = 1 << 20) : buffer_(buffer_bytes) {}
  ~RealtimeClient();
  RealtimeClient(const RealtimeClient&) = delete;
  RealtimeClient& operator=(const RealtimeClient&) = delete;

  // Connects to 127.0.0.1 and shakes hands. On failure error() says why.
  bool Connect(int port, const std::string& api_key);

  // Joins realtime:bench with one binding on public.`table`, to the rows of `filter` if there is one, and returns when the
  // server has said that it is subscribed.
  bool Join(const std::string& table, int timeout_ms, const std::string& filter = "");

  // Joins `topic` with a config of this JSON text and returns when the join was answered.
  bool JoinRoom(const std::string& topic, const std::string& config, int timeout_ms);
  // Hands over the socket, which then is the caller's; -1 when bytes that were not taken yet would be lost.
  int Release();

  // The next postgres_changes message. False when none came in time or the connection failed (see failed()). Answers
  // pings and sends heartbeats by the way.
  bool Next(int timeout_ms, Change* change);

  bool failed() const { return !error_.empty(); }
  const std::string& error() const { return error_; }

 private:
  bool Fail(const std::string& why);
  bool SendAll(std::string_view bytes);
  bool SendFrame(uint8_t opcode, std::string_view payload);
  bool Receive(int timeout_ms);
  bool NextText(int64_t deadline_us, std::string_view* text);
  bool TakeFrame(uint8_t* opcode, std::string_view* payload);
  bool Heartbeat();

  int fd_ = -1;
  std::string error_;
  std::vector<char> buffer_;
  size_t begin_ = 0;  // first byte not yet handed out
  size_t end_ = 0;
  int64_t received_us_ = 0;
  int64_t heartbeat_us_ = 0;
};

// Is this text a postgres_changes message?
bool IsChange(std::string_view frame);

// The integer after `"name":` behind `"record":`, or -1.
int64_t RecordInteger(std::string_view frame, std::string_view name);

}  // namespace realtime::bench

#endif  // REALTIME_TEST_BENCH_WS_CLIENT_H_
