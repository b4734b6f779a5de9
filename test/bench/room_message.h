// The message of the broadcast benchmark, as it goes in and as it comes out: a JSON payload of 200 bytes that says which
// message it is and when it was sent. All frames of a kind are equally long, and the payload is always at their end.
#ifndef REALTIME_TEST_BENCH_ROOM_MESSAGE_H_
#define REALTIME_TEST_BENCH_ROOM_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace realtime::bench {

inline constexpr char kRoom[] = "realtime:bench";
constexpr size_t kPayloadBytes = 200;

struct RoomMessage {
  uint32_t number = 0;
  int64_t sent_us = 0;
};

// A client's frame (kind 3) for the channel that was joined with join_ref 1.
std::string PushFrame(const RoomMessage& message);
// The server's frame (kind 4) with this payload.
std::string DeliveredFrame(std::string_view payload);
// Reads the content of a binary frame from the server. False when it is not such a message.
bool ReadDelivered(std::string_view content, RoomMessage* message);

}  // namespace realtime::bench

#endif  // REALTIME_TEST_BENCH_ROOM_MESSAGE_H_
