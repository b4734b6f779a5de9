// Rows of realtime.messages as the stream brings them. Pure.
#ifndef REALTIME_CORE_MESSAGE_ROW_H_
#define REALTIME_CORE_MESSAGE_ROW_H_

#include "core/pure.h"

#include <cstddef>

#include "core/broadcast.h"
#include "core/change.h"
#include "core/status.h"

namespace realtime {

// By name: the stream calls partitions by their root (publish_via_partition_root).
bool IsMessagesTable(const RelationInfo& relation);

// The message that an inserted row stands for; null when it stands for none (no topic, event, private flag or payload).
// `extension` is not looked at. Fails with kTooLarge when the payload has more than max_payload_size bytes, and with
// kMalformed when the row cannot be told to clients (another table's types, text that is not UTF-8); the message then says
// what is wrong with it. Values are text as the walsender wrote it, bytea in hex.
Result<BroadcastPtr> ReadMessageRow(const RelationInfo& relation, const Row& row, size_t max_payload_size);

}  // namespace realtime

#endif  // REALTIME_CORE_MESSAGE_ROW_H_
