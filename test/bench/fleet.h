// Many sockets in one room and one that sends to it, all on one thread: the same program reads from the extension and from
// the bare loop, so that what differs between two measurements is the server. It reads large pieces and looks at little
// more than frame headers.
#ifndef REALTIME_TEST_BENCH_FLEET_H_
#define REALTIME_TEST_BENCH_FLEET_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/room_message.h"

namespace realtime::bench {

class Fleet {
 public:
  Fleet();
  ~Fleet();
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  // Connects the sender and `count` receivers, and joins them all to the room. On failure error() says why.
  bool Join(int port, const std::string& api_key, size_t count);
  // The same without handshake and join, for the bare loop, which says with one byte to the sender that all are there.
  bool Dial(int port, size_t count);

  // Queues one message; Poll sends it.
  void Send(int64_t now_us);
  // Waits at most so long for something to happen and handles it. False after a failure.
  bool Poll(int timeout_ms);

  uint32_t sent() const { return sent_; }
  // What the slowest socket has received, and what all have together.
  uint32_t slowest() const { return slowest_; }
  uint64_t received() const { return received_; }

  // From now on the time from Send to receipt of each message that each socket gets goes here; null: no longer.
  void Record(std::vector<int64_t>* delays_us) { delays_us_ = delays_us; }

  const std::string& error() const { return error_; }

 private:
  struct Receiver {
    int fd = -1;
    uint32_t got = 0;
    std::string rest;  // of a frame whose end has not come yet
  };

  bool Fail(const std::string& why);
  bool JoinOne(int port, const std::string& api_key, int* fd);
  bool Watch();
  bool Heartbeats();
  bool Flush();
  bool ReadSender();
  bool Read(Receiver* receiver);
  bool Handle(Receiver* receiver, std::string_view bytes, size_t* used);
  bool HandleFrame(Receiver* receiver, uint8_t opcode, std::string_view content);
  bool Count(Receiver* receiver, const RoomMessage& message);

  int epoll_ = -1;
  int sender_ = -1;
  std::vector<Receiver> receivers_;
  std::vector<char> buffer_;
  std::string unsent_;
  uint32_t sent_ = 0;
  uint64_t received_ = 0;
  uint32_t slowest_ = 0;
  std::vector<size_t> at_count_;  // by number of messages: the sockets that have got so many
  int64_t now_us_ = 0;            // when the last recv() returned
  std::vector<int64_t>* delays_us_ = nullptr;
  std::string error_;
};

}  // namespace realtime::bench

#endif  // REALTIME_TEST_BENCH_FLEET_H_
