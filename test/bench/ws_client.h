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

struct Change {
  std::string_view frame;  // the whole text; valid until the next call
  int64_t received_us = 0; // when the recv() that completed the frame returned
};

class RealtimeClient {
 public:
  RealtimeClient() = default;
  ~RealtimeClient();
  RealtimeClient(const RealtimeClient&) = delete;
  RealtimeClient& operator=(const RealtimeClient&) = delete;

  // Connects to 127.0.0.1 and shakes hands. On failure error() says why.
  bool Connect(int port, const std::string& api_key);

  // Joins realtime:bench with one binding on public.`table` and returns when the server has said that it is subscribed.
  bool Join(const std::string& table, int timeout_ms);

  // The next postgres_changes message. False when none came in time or the connection failed (see failed()). Answers
  // pings and sends heartbeats by the way.
  bool Next(int timeout_ms, Change* change);

  bool failed() const { return !error_.empty(); }
  const std::string& error() const { return error_; }

 private:
  bool Fail(const std::string& why);
  bool Dial(int port);
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

// The integer after `"name":` behind `"record":`, or -1.
int64_t RecordInteger(std::string_view frame, std::string_view name);

}  // namespace realtime::bench

#endif  // REALTIME_TEST_BENCH_WS_CLIENT_H_
