#include "core/frame.h"

#include <array>
#include <atomic>
#include <utility>

#include "core/json.h"

namespace realtime {
namespace {

// Refs are echoed and, as join refs, kept per channel; topics are kept too. Real ones are tens of bytes; a legacy topic
// carries a filter.
constexpr size_t kMaxRefBytes = 2048;
constexpr size_t kMaxNameBytes = 8192;

constexpr uint8_t kPush = 0;
constexpr uint8_t kUserBroadcastPush = 3;

Status Malformed(const char* what) { return Status(Code::kMalformed, what); }

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsVersionNumber(std::string_view text) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return false;
  for (char c : text) {
    if (!IsDigit(c)) return false;
  }
  return true;
}

// Dot-separated identifiers of a semver pre-release or build part.
bool AreIdentifiers(std::string_view text, bool numbers_are_canonical) {
  while (true) {
    size_t dot = text.find('.');
    std::string_view part = text.substr(0, dot);
    if (part.empty()) return false;
    bool numeric = true;
    for (char c : part) {
      bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
      if (!letter && !IsDigit(c)) return false;
      if (letter) numeric = false;
    }
    if (numbers_are_canonical && numeric && !IsVersionNumber(part)) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

// A scalar as the JSON text it came as. Containers are no refs: nobody sends them, and they would be echoed.
bool TakeRef(const json::Value& value, std::string* ref) {
  if (value.IsObject() || value.IsArray() || value.raw.size() > kMaxRefBytes) return false;
  *ref = value.raw;
  return true;
}

bool TakeName(const json::Value& value, std::string* name) {
  if (!value.IsString() || value.string.size() > kMaxNameBytes) return false;
  *name = value.string;
  return true;
}

bool IsFalsy(const json::Value& value) {
  return value.IsNull() || (value.type == json::Type::kBool && !value.boolean);
}

Result<ClientMessage> FromObject(const json::Value& object) {
  const json::Value* topic = object.Find("topic");
  const json::Value* event = object.Find("event");
  const json::Value* payload = object.Find("payload");
  const json::Value* ref = object.Find("ref");
  const json::Value* join_ref = object.Find("join_ref");
  if (topic == nullptr || event == nullptr || payload == nullptr || ref == nullptr) {
    return Malformed("message without topic, event, payload or ref");
  }
  if (join_ref == nullptr || IsFalsy(*join_ref)) join_ref = ref;
  ClientMessage message;
  if (!TakeRef(*join_ref, &message.join_ref) || !TakeRef(*ref, &message.ref)) return Malformed("unusable ref");
  if (!TakeName(*topic, &message.topic) || !TakeName(*event, &message.event)) return Malformed("unusable topic or event");
  message.payload = payload->raw;
  return message;
}

Result<ClientMessage> FromArray(const json::Value& array) {
  if (array.elements.size() < 5) return Malformed("message with fewer than five elements");
  const std::vector<json::Value>& e = array.elements;
  ClientMessage message;
  if (!TakeRef(e[0], &message.join_ref) || !TakeRef(e[1], &message.ref)) return Malformed("unusable ref");
  if (!TakeName(e[2], &message.topic) || !TakeName(e[3], &message.event)) return Malformed("unusable topic or event");
  message.payload = e[4].raw;
  return message;
}

// Metadata may be any JSON; only an object is of use.
bool TakeMetadata(std::string_view text, ClientMessage* message) {
  if (text.empty()) return true;
  Result<json::Value> parsed = json::ParseShallow(text);
  if (!parsed.ok()) return false;
  if (parsed.value.IsObject()) message->metadata = parsed.value.raw;
  return true;
}

// Frames are made and die on the network thread; whoever watches need not be there.
constinit std::atomic<size_t> frame_memory{0};

struct CountedFrame {
  explicit CountedFrame(size_t size) {
    bytes.reserve(size);
    frame_memory.fetch_add(cost(), std::memory_order_relaxed);
  }
  ~CountedFrame() { frame_memory.fetch_sub(cost(), std::memory_order_relaxed); }
  CountedFrame(const CountedFrame&) = delete;
  CountedFrame& operator=(const CountedFrame&) = delete;
  // With what the allocator and the count of references take.
  size_t cost() const { return bytes.capacity() + sizeof(*this) + 4 * sizeof(void*); }

  std::string bytes;
};

}  // namespace

Result<Vsn> ParseVsn(const std::string* vsn) {
  if (vsn == nullptr) return Vsn::kV1;
  const Status invalid(Code::kInvalid, "unsupported vsn");
  std::string_view core = *vsn;
  size_t plus = core.find('+');
  if (plus != std::string_view::npos) {
    if (!AreIdentifiers(core.substr(plus + 1), false)) return invalid;
    core = core.substr(0, plus);
  }
  size_t dash = core.find('-');
  bool pre_release = dash != std::string_view::npos;
  if (pre_release) {
    if (!AreIdentifiers(core.substr(dash + 1), true)) return invalid;
    core = core.substr(0, dash);
  }
  bool v1 = core.starts_with("1.0.");
  if (!v1 && !core.starts_with("2.0.")) return invalid;
  std::string_view patch = core.substr(4);
  if (!IsVersionNumber(patch)) return invalid;
  if (pre_release && patch == "0") return invalid;  // 2.0.0-rc precedes 2.0.0
  return v1 ? Vsn::kV1 : Vsn::kV2;
}

Result<ClientMessage> ParseText(Vsn vsn, std::string_view bytes, int max_depth) {
  json::Limits limits;
  limits.max_depth = max_depth;
  limits.max_values = 1000;  // of the outermost level
  Result<json::Value> parsed = json::ParseShallow(bytes, limits);
  if (!parsed.ok()) return Status(Code::kMalformed, parsed.status.message());
  if (vsn == Vsn::kV1) return parsed.value.IsObject() ? FromObject(parsed.value) : Malformed("message is no object");
  return parsed.value.IsArray() ? FromArray(parsed.value) : Malformed("message is no array");
}

Result<ClientMessage> ParseBinary(Vsn vsn, std::string_view bytes) {
  if (vsn == Vsn::kV1) return Malformed("binary message in version 1");
  ByteReader reader(bytes);
  uint8_t kind = reader.U8();
  if (!reader.ok() || (kind != kPush && kind != kUserBroadcastPush)) return Malformed("unknown kind of binary message");
  bool is_broadcast = kind == kUserBroadcastPush;
  std::array<size_t, 4> sizes;  // join_ref, ref, topic, event
  for (size_t& size : sizes) size = reader.U8();
  size_t metadata_size = is_broadcast ? reader.U8() : 0;
  uint8_t encoding = is_broadcast ? reader.U8() : 0;
  std::string_view join_ref = reader.Take(sizes[0]);
  std::string_view ref = reader.Take(sizes[1]);
  std::string_view topic = reader.Take(sizes[2]);
  std::string_view event = reader.Take(sizes[3]);
  std::string_view metadata = reader.Take(metadata_size);
  if (!reader.ok()) return Malformed("truncated binary message");
  for (std::string_view name : {join_ref, ref, topic, event}) {
    if (!json::IsValidUtf8(name)) return Malformed("name in a binary message is not valid UTF-8");
  }
  ClientMessage message;
  if (!TakeMetadata(metadata, &message)) return Malformed("metadata is not valid JSON");
  message.join_ref = json::Quote(join_ref);
  message.ref = json::Quote(ref);
  message.topic = topic;
  message.event = is_broadcast ? std::string_view("broadcast") : event;
  message.is_user_broadcast = is_broadcast;
  message.user_payload_is_json = encoding != 0;
  if (is_broadcast) message.user_event = event;
  message.user_payload = reader.Take(reader.remaining());
  return message;
}

std::string EncodeText(Vsn vsn, std::string_view join_ref, std::string_view ref, std::string_view topic,
                       std::string_view event, std::string_view payload) {
  std::string text;
  text.reserve(join_ref.size() + ref.size() + topic.size() + event.size() + payload.size() + 64);
  if (vsn == Vsn::kV2) {
    text.append("[").append(join_ref).append(",").append(ref).append(",");
    json::AppendString(topic, &text);
    text.append(",");
    json::AppendString(event, &text);
    text.append(",").append(payload).append("]");
    return text;
  }
  text.append("{\"event\":");
  json::AppendString(event, &text);
  text.append(",\"payload\":").append(payload).append(",\"ref\":").append(ref).append(",\"topic\":");
  json::AppendString(topic, &text);
  text.append("}");
  return text;
}

size_t WriteFrameHeader(uint8_t first_byte, size_t payload_size, char* out) {
  char* end = out;
  *end++ = static_cast<char>(first_byte);
  int length_bytes = payload_size < 126 ? 0 : payload_size <= 0xFFFF ? 2 : 8;
  *end++ = static_cast<char>(length_bytes == 0 ? payload_size : length_bytes == 2 ? 126 : 127);
  for (int i = length_bytes - 1; i >= 0; i--) *end++ = static_cast<char>((uint64_t{payload_size} >> (8 * i)) & 0xFF);
  return static_cast<size_t>(end - out);
}

size_t FrameHeaderSize(std::string_view frame) {
  if (frame.size() < 2 || frame[1] < 126) return 2;
  return frame[1] == 126 ? 4 : kMaxFrameHeader;
}

SharedBytes MakeFrame(Opcode opcode, std::string_view payload) {
  char header[kMaxFrameHeader];
  size_t header_size = WriteFrameHeader(kFinBit | static_cast<uint8_t>(opcode), payload.size(), header);
  auto frame = std::make_shared<CountedFrame>(header_size + payload.size());
  frame->bytes.append(header, header_size).append(payload);
  return {frame, &frame->bytes};
}

size_t FrameMemory() { return frame_memory.load(std::memory_order_relaxed); }

}  // namespace realtime
