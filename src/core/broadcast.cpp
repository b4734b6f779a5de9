#include "core/broadcast.h"

#include <utility>

#include "core/json.h"
#include "core/session.h"

namespace realtime {

namespace {

constexpr char kUserBroadcast = 4;   // kind of the binary frame
constexpr size_t kMaxNameBytes = 255;  // its lengths are one byte each

std::string FullTopic(const Broadcast& message) { return std::string(kTopicPrefix).append(message.topic); }

std::string Compose(std::string_view event, std::string_view payload, std::string_view metadata) {
  std::string text;
  text.reserve(event.size() + payload.size() + metadata.size() + 64);
  text.append(R"({"event":)");
  json::AppendString(event, &text);
  text.append(R"(,"payload":)").append(payload).append(R"(,"type":"broadcast")");
  if (!metadata.empty()) text.append(R"(,"meta":)").append(metadata);
  return text.append("}");
}

SharedBytes TextFrame(Vsn vsn, std::string_view join_ref, const Broadcast& message) {
  std::string payload;
  if (message.form != Broadcast::Form::kWhole) payload = BroadcastPayload(message);
  std::string_view whole = message.form == Broadcast::Form::kWhole ? *message.payload : payload;
  return MakeFrame(Opcode::kText, EncodeText(vsn, join_ref, "null", FullTopic(message), "broadcast", whole));
}

// Null when a name does not fit.
SharedBytes BinaryFrame(const Broadcast& message) {
  std::string topic = FullTopic(message);
  std::string metadata = BroadcastMetadata(message);
  if (!FitsBinaryFrame(message.topic, message.event) || metadata.size() > kMaxNameBytes) return nullptr;
  std::string bytes;
  bytes.reserve(5 + topic.size() + message.event.size() + metadata.size() + message.payload->size());
  bytes.push_back(kUserBroadcast);
  for (size_t size : {topic.size(), message.event.size(), metadata.size()}) bytes.push_back(static_cast<char>(size));
  bytes.push_back(message.form == Broadcast::Form::kJson ? 1 : 0);
  bytes.append(topic).append(message.event).append(metadata).append(*message.payload);
  return MakeFrame(Opcode::kBinary, bytes);
}

}  // namespace

bool FitsBinaryFrame(std::string_view topic, std::string_view event) {
  return kTopicPrefix.size() + topic.size() <= kMaxNameBytes && event.size() <= kMaxNameBytes;
}

std::string BroadcastMetadata(const Broadcast& message) {
  if (message.id.empty() && !message.replayed) return "";
  std::string text = "{";
  if (!message.id.empty()) {
    text.append(R"("id":)");
    json::AppendString(message.id, &text);
  }
  if (message.replayed) text.append(text.size() > 1 ? "," : "").append(R"("replayed":true)");
  return text.append("}");
}

std::string BroadcastPayload(const Broadcast& message) {
  if (message.form == Broadcast::Form::kWhole) return *message.payload;
  return Compose(message.event, *message.payload, BroadcastMetadata(message));
}

std::string WholePayload(std::string_view event, std::string_view payload, std::string_view id) {
  std::string metadata;
  if (!id.empty()) {
    metadata = R"({"id":)";
    json::AppendString(id, &metadata);
    metadata.append("}");
  }
  return Compose(event, payload, metadata);
}

SharedBytes EncodeBroadcast(Vsn vsn, const Broadcast& message) {
  if (message.form == Broadcast::Form::kWhole) return TextFrame(vsn, "null", message);
  bool is_binary = message.form == Broadcast::Form::kBinary;
  if (vsn == Vsn::kV1) return is_binary ? nullptr : TextFrame(vsn, "null", message);
  SharedBytes frame = BinaryFrame(message);
  return frame != nullptr || is_binary ? frame : TextFrame(vsn, "null", message);
}

SharedBytes EncodeReplayed(Vsn vsn, std::string_view join_ref, const Broadcast& message) {
  if (message.form != Broadcast::Form::kBinary) return TextFrame(vsn, join_ref, message);
  return vsn == Vsn::kV1 ? nullptr : BinaryFrame(message);
}

const SharedBytes& BroadcastFrames::For(Vsn vsn) {
  auto index = static_cast<size_t>(vsn);
  if (!std::exchange(made_[index], true)) frames_[index] = EncodeBroadcast(vsn, *message_);
  return frames_[index];
}

}  // namespace realtime
