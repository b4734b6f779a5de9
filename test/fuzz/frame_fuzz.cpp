// The first byte chooses the parser. A text message that parses survives re-encoding; a binary one rebuilds to its bytes.
#include "core/frame.h"

#include <string>

#include "check.h"
#include "core/json.h"

namespace {

using realtime::ClientMessage;
using realtime::Result;
using realtime::Vsn;

constexpr int kMaxDepth = 32;

bool Inside(std::string_view part, std::string_view whole) {
  return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

void CheckText(Vsn vsn, std::string_view bytes) {
  Result<ClientMessage> first = realtime::ParseText(vsn, bytes, kMaxDepth);
  if (!first.ok()) return;
  const ClientMessage& message = first.value;
  FUZZ_CHECK(Inside(message.payload, bytes) && !message.is_user_broadcast);
  std::string encoded =
      realtime::EncodeText(vsn, message.join_ref, message.ref, message.topic, message.event, message.payload);
  Result<ClientMessage> second = realtime::ParseText(vsn, encoded, kMaxDepth);
  FUZZ_CHECK(second.ok());
  FUZZ_CHECK(second.value.topic == message.topic && second.value.event == message.event);
  FUZZ_CHECK(second.value.ref == message.ref && second.value.payload == message.payload);
  if (vsn == Vsn::kV2) FUZZ_CHECK(second.value.join_ref == message.join_ref);
}

std::string Unquote(const std::string& ref) { return realtime::json::Parse(ref).value.string; }

void CheckBinary(std::string_view bytes) {
  FUZZ_CHECK(!realtime::ParseBinary(Vsn::kV1, bytes).ok());
  Result<ClientMessage> parsed = realtime::ParseBinary(Vsn::kV2, bytes);
  if (!parsed.ok()) return;
  const ClientMessage& message = parsed.value;
  FUZZ_CHECK(message.payload == "{}" && Inside(message.user_payload, bytes));
  size_t metadata_size = 0;
  std::string head(1, bytes[0]);
  const std::string parts[] = {Unquote(message.join_ref), Unquote(message.ref), message.topic,
                               message.is_user_broadcast ? message.user_event : message.event};
  for (const std::string& part : parts) head.push_back(static_cast<char>(part.size()));
  if (message.is_user_broadcast) {
    metadata_size = static_cast<uint8_t>(bytes[5]);
    FUZZ_CHECK(message.user_payload_is_json == (bytes[6] != 0) && message.event == "broadcast");
    FUZZ_CHECK(message.metadata.empty() || Inside(message.metadata, bytes));
    head.append(bytes.substr(5, 2));
  }
  for (const std::string& part : parts) head += part;
  FUZZ_CHECK(bytes.starts_with(head));
  FUZZ_CHECK(bytes.substr(head.size() + metadata_size) == message.user_payload);
}

void CheckFrame(std::string_view payload) {
  realtime::SharedBytes frame = realtime::MakeFrame(realtime::Opcode::kText, payload);
  FUZZ_CHECK(frame->size() > payload.size() && std::string_view(*frame).ends_with(payload));
  size_t header = frame->size() - payload.size();
  FUZZ_CHECK(header == (payload.size() < 126 ? 2u : payload.size() < 65536 ? 4u : 10u));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0: CheckText(Vsn::kV1, bytes); break;
    case 1: CheckText(Vsn::kV2, bytes); break;
    case 2: CheckBinary(bytes); break;
    default: {
      std::string vsn(bytes);
      realtime::ParseVsn(&vsn);
      CheckFrame(bytes);
    }
  }
  return 0;
}
