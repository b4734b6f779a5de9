// Phoenix messages in the two protocol versions and WebSocket framing of what we send.
#ifndef REALTIME_CORE_FRAME_H_
#define REALTIME_CORE_FRAME_H_

#include "core/pure.h"

#include <cstdint>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/status.h"

namespace realtime {

enum class Vsn : uint8_t { kV1, kV2 };

// `vsn` query parameter: absent means 1.0.0; anything that is not semver `~> 1.0.0` or `~> 2.0.0` is kInvalid.
Result<Vsn> ParseVsn(const std::string* vsn);

// A client's message. Refs are kept as the JSON text they came as ("\"1\"", "null"), because they are opaque and echoed
// verbatim; refs of binary frames are quoted. `payload` is the raw JSON text of the payload and points into the parsed
// bytes ("{}" for binary frames, whose user payload is in `user_payload`).
struct ClientMessage {
  std::string join_ref = "null";
  std::string ref = "null";
  std::string topic;
  std::string event;
  std::string_view payload = "{}";

  // Binary kind 3, "user broadcast push": event is then "broadcast".
  bool is_user_broadcast = false;
  bool user_payload_is_json = false;
  std::string user_event;
  std::string_view metadata;      // JSON object text, or empty
  std::string_view user_payload;  // verbatim
};

// Parses one whole WebSocket message. max_depth bounds JSON nesting. In version 1 an absent join_ref takes the value of
// ref. Malformed input gives kMalformed: drop it and keep the connection.
Result<ClientMessage> ParseText(Vsn vsn, std::string_view bytes, int max_depth);
Result<ClientMessage> ParseBinary(Vsn vsn, std::string_view bytes);

// A server's message as JSON text of the version; refs and payload are JSON text. Version 1 has no join_ref.
std::string EncodeText(Vsn vsn, std::string_view join_ref, std::string_view ref, std::string_view topic,
                       std::string_view event, std::string_view payload);

enum class Opcode : uint8_t { kText = 0x1, kBinary = 0x2, kClose = 0x8, kPing = 0x9, kPong = 0xA };

// Headers of frames without a mask. Write: returns the size, at most kMaxFrameHeader.
inline constexpr size_t kMaxFrameHeader = 10;
inline constexpr uint8_t kFinBit = 0x80;
size_t WriteFrameHeader(uint8_t first_byte, size_t payload_size, char* out);
size_t FrameHeaderSize(std::string_view frame);

// A complete unmasked WebSocket frame (FIN set): the header for `payload.size()` and the payload. Server frames carry no
// mask, so one frame serves every socket that gets the same message.
SharedBytes MakeFrame(Opcode opcode, std::string_view payload);
// The memory of all frames that anybody still holds, each counted once. Any thread.
size_t FrameMemory();

}  // namespace realtime

#endif  // REALTIME_CORE_FRAME_H_
