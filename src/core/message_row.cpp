#include "core/message_row.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "core/ascii.h"
#include "core/json.h"

namespace realtime {
namespace {

// Built-in types; their OIDs never change.
constexpr uint32_t kBoolOid = 16;
constexpr uint32_t kByteaOid = 17;
constexpr uint32_t kJsonOid = 114;
constexpr uint32_t kJsonbOid = 3802;

struct Found {
  uint32_t type_oid = 0;
  bool present = false;  // not null
  std::string_view text;
};

Found FindValue(const RelationInfo& relation, const Row& row, std::string_view name) {
  const size_t count = std::min(relation.columns.size(), row.size());
  for (size_t i = 0; i < count; ++i) {
    if (relation.columns[i].name != name) continue;
    return {relation.columns[i].type_oid, row[i].kind == Cell::Kind::kText, row[i].text};
  }
  return {};
}

constexpr std::string_view kHexPrefix = "\\x";

bool DecodeHex(std::string_view digits, std::string* bytes) {
  if (digits.size() % 2 != 0) return false;
  bytes->reserve(digits.size() / 2);
  for (size_t i = 0; i < digits.size(); i += 2) {
    const int high = HexDigit(digits[i]);
    const int low = HexDigit(digits[i + 1]);
    if (high < 0 || low < 0) return false;
    bytes->push_back(static_cast<char>(high * 16 + low));
  }
  return true;
}

Status Malformed(const char* what) { return Status(Code::kMalformed, what); }

Status TooLarge(size_t size, size_t limit) {
  return Status(Code::kTooLarge, "its payload has " + std::to_string(size) + " bytes, more than the " +
                                     std::to_string(limit) + " of realtime.max_payload_size");
}

Status ReadJson(const Found& payload, size_t limit, Broadcast* message) {
  if (payload.type_oid != kJsonbOid && payload.type_oid != kJsonOid) return Malformed("its column payload is not of type jsonb");
  if (payload.text.size() > limit) return TooLarge(payload.text.size(), limit);
  if (!json::IsValidUtf8(payload.text)) return Malformed("its payload is not valid UTF-8");
  message->form = Broadcast::Form::kJson;
  message->payload = std::make_shared<const std::string>(payload.text);
  return Status::Ok();
}

Status ReadBinary(const Found& payload, size_t limit, Broadcast* message) {
  if (payload.type_oid != kByteaOid || !payload.text.starts_with(kHexPrefix)) {
    return Malformed("its column binary_payload is not of type bytea");
  }
  const std::string_view digits = payload.text.substr(kHexPrefix.size());
  if (digits.size() / 2 > limit) return TooLarge(digits.size() / 2, limit);
  std::string bytes;
  if (!DecodeHex(digits, &bytes)) return Malformed("its binary_payload is not hexadecimal");
  message->form = Broadcast::Form::kBinary;
  message->payload = std::make_shared<const std::string>(std::move(bytes));
  return Status::Ok();
}

}  // namespace

bool IsMessagesTable(const RelationInfo& relation) {
  return relation.schema == "realtime" && relation.table == "messages";
}

Result<BroadcastPtr> ReadMessageRow(const RelationInfo& relation, const Row& row, size_t max_payload_size) {
  const Found topic = FindValue(relation, row, "topic");
  const Found event = FindValue(relation, row, "event");
  const Found is_private = FindValue(relation, row, "private");
  const Found payload = FindValue(relation, row, "payload");
  const Found binary = FindValue(relation, row, "binary_payload");
  if (!topic.present || !event.present || !is_private.present) return BroadcastPtr();
  if (!payload.present && !binary.present) return BroadcastPtr();
  if (is_private.type_oid != kBoolOid) return Malformed("its column private is not of type boolean");
  if (!json::IsValidUtf8(topic.text) || !json::IsValidUtf8(event.text)) return Malformed("its topic or event is not valid UTF-8");

  auto message = std::make_shared<Broadcast>();
  message->topic = topic.text;
  message->event = event.text;
  message->is_private = is_private.text == "t";
  message->id = FindValue(relation, row, "id").text;
  if (!json::IsValidUtf8(message->id)) message->id.clear();
  Status status = payload.present ? ReadJson(payload, max_payload_size, message.get())
                                  : ReadBinary(binary, max_payload_size, message.get());
  if (!status.ok()) return status;
  if (message->form == Broadcast::Form::kBinary && !FitsBinaryFrame(message->topic, message->event)) {
    return Malformed("its topic or event is too long for a binary message");
  }
  return BroadcastPtr(std::move(message));
}

}  // namespace realtime
