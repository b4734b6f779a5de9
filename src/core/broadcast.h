// One broadcast message, wherever it came from, and its frames for the two protocol versions.
#ifndef REALTIME_CORE_BROADCAST_H_
#define REALTIME_CORE_BROADCAST_H_

#include "core/pure.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/frame.h"

namespace realtime {

// Immutable once shared.
struct Broadcast {
  enum class Form : uint8_t {
    kWhole,   // payload is the whole payload object of the message, as JSON text: a text frame's, or REST's batch
    kJson,    // payload is the user's payload alone, as JSON text
    kBinary,  // payload is the user's payload alone, raw bytes
  };

  std::string topic;  // without "realtime:"
  bool is_private = false;
  Form form = Form::kJson;
  std::string event;     // the user's event; unused by kWhole
  SharedBytes payload;   // never null; forwarded byte for byte
  std::string id;        // UUID of the row in realtime.messages; empty: it was never stored
  bool replayed = false;
};
using BroadcastPtr = std::shared_ptr<const Broadcast>;

// What a sender may ask for with `persist`, over WebSocket and REST. A longer life than this is cut: no message is kept so
// long, and a number from here on would only overflow somewhere.
inline constexpr int64_t kMaxTtlS = int64_t{10} * 366 * 24 * 3600;
inline constexpr std::string_view kPersistUsage = "Broadcast persistence takes true or a positive ttl in seconds";
inline constexpr std::string_view kPersistNeedsPrivate = "Broadcast persistence is only available on private channels";

// {"id":"...","replayed":true}; empty when there is nothing to say.
std::string BroadcastMetadata(const Broadcast& message);
// The payload object of a message as text: {"event":...,"payload":...,"type":"broadcast"[,"meta":{...}]}. Not for kBinary.
std::string BroadcastPayload(const Broadcast& message);
// The same for a message of REST's batch: JSON text of the user's payload and an id, which may be empty.
std::string WholePayload(std::string_view event, std::string_view payload, std::string_view id);

// Whether names of this topic (without "realtime:") and event fit into a binary frame. Bytes can travel in no other.
bool FitsBinaryFrame(std::string_view topic, std::string_view event);

// The frame of one message for one version, join_ref null. Null when the version cannot represent it: binary payloads in
// version 1, and in version 2 those whose names are too long for a binary frame. JSON payloads whose names are too long for
// a binary frame go as text.
SharedBytes EncodeBroadcast(Vsn vsn, const Broadcast& message);
// A replayed message for the channel instance join_ref (JSON text); null as above.
SharedBytes EncodeReplayed(Vsn vsn, std::string_view join_ref, const Broadcast& message);

// The frames of one message, each made when first asked for, for all members of its topic.
class BroadcastFrames {
 public:
  explicit BroadcastFrames(const Broadcast* message) : message_(message) {}
  const SharedBytes& For(Vsn vsn);

 private:
  const Broadcast* message_;
  std::array<SharedBytes, 2> frames_;
  std::array<bool, 2> made_{};
};

}  // namespace realtime

#endif  // REALTIME_CORE_BROADCAST_H_
