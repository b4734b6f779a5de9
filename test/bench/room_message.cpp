#include "bench/room_message.h"

#include <charconv>
#include <cinttypes>
#include <cstdio>

#include "bench/ws_client.h"

namespace realtime::bench {
namespace {

constexpr char kEvent[] = "cursor";
constexpr char kPush = 3;
constexpr char kDelivered = 4;
constexpr char kJson = 1;

// Both numbers have a fixed width, so they are found without parsing.
constexpr size_t kNumberAt = 6;
constexpr size_t kNumberDigits = 10;
constexpr size_t kTimeAt = kNumberAt + kNumberDigits + 7;
constexpr size_t kTimeDigits = 18;

std::string Payload(const RoomMessage& message) {
  char head[64];
  std::snprintf(head, sizeof(head), R"({"n":"%010u","t":"%018)" PRId64 R"(","x":")", message.number, message.sent_us);
  std::string payload = head;
  payload.append(kPayloadBytes - payload.size() - 2, 'x');
  return payload + "\"}";
}

template <typename T>
bool ReadNumber(std::string_view digits, T* value) {
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *value);
  return error == std::errc() && end == digits.data() + digits.size();
}

std::string_view Room() { return kRoom; }
std::string_view Event() { return kEvent; }

// What a delivered message has in front of its payload; every message of the benchmark has the same.
const std::string& DeliveredHead() {
  static const std::string head = std::string{kDelivered, static_cast<char>(Room().size()),
                                              static_cast<char>(Event().size()), '\0', kJson} + kRoom + kEvent;
  return head;
}

}  // namespace

std::string PushFrame(const RoomMessage& message) {
  std::string content{kPush, 1, 1, static_cast<char>(Room().size()), static_cast<char>(Event().size()), '\0', kJson};
  content.append("12").append(Room()).append(Event()).append(Payload(message));
  return ClientFrame(kBinary, content);
}

std::string DeliveredFrame(std::string_view payload) {
  size_t length = DeliveredHead().size() + payload.size();
  std::string frame{static_cast<char>(0x80 | kBinary), 126, static_cast<char>(length >> 8), static_cast<char>(length)};
  return frame.append(DeliveredHead()).append(payload);
}

bool ReadDelivered(std::string_view content, RoomMessage* message) {
  const std::string& head = DeliveredHead();
  if (content.size() != head.size() + kPayloadBytes || content.substr(0, head.size()) != head) return false;
  std::string_view payload = content.substr(head.size());
  return ReadNumber(payload.substr(kNumberAt, kNumberDigits), &message->number) &&
         ReadNumber(payload.substr(kTimeAt, kTimeDigits), &message->sent_us);
}

}  // namespace realtime::bench
