#include "core/door.h"

namespace realtime {
namespace {

// What one queued value costs apart from the bytes it points to: its entry in the queue, and the allocator's part in each of
// the blocks it owns.
constexpr size_t kOverhead = 256;

size_t SizeOfBinding(const Binding& binding) {
  size_t size = sizeof(Binding) + binding.schema.size() + binding.table.size();
  for (const FilterClause& clause : binding.filters) {
    size += sizeof(FilterClause) + clause.column.size() + clause.value.size();
    for (const std::string& element : clause.elements) size += sizeof(std::string) + element.size();
  }
  for (const std::string& column : binding.columns) size += sizeof(std::string) + column.size();
  return size;
}

size_t SizeOfIdentity(const std::shared_ptr<const Identity>& identity) {
  if (identity == nullptr) return 0;
  return identity->role.size() + identity->claims.size() + identity->sub.size() + identity->headers.size();
}

size_t SizeOfBroadcast(const BroadcastPtr& message) {
  if (message == nullptr) return 0;
  size_t size = sizeof(Broadcast) + message->topic.size() + message->event.size() + message->id.size();
  return message->payload == nullptr ? size : size + message->payload->size();
}

struct Measure {
  size_t operator()(const Subscribe& message) const {
    size_t size = kOverhead + SizeOfIdentity(message.identity);
    for (const Binding& binding : message.bindings) size += SizeOfBinding(binding);
    return size;
  }
  size_t operator()(const Unsubscribe&) const { return kOverhead; }
  size_t operator()(const CheckRights& message) const {
    size_t size = kOverhead + SizeOfIdentity(message.identity);
    for (const std::string& topic : message.topics) size += sizeof(std::string) + topic.size();
    return size;
  }
  size_t operator()(const Store& message) const {
    return kOverhead + SizeOfIdentity(message.identity) + SizeOfBroadcast(message.message) + message.ref.size();
  }
  size_t operator()(const Listening&) const { return kOverhead; }
  size_t operator()(const LogLine& message) const { return kOverhead + message.message.size() + message.hint.size(); }
  // Bounded by itself, and must not make the network thread believe that the database is behind.
  size_t operator()(const Findings&) const { return kOverhead; }
  size_t operator()(const SubscribeResult& message) const { return kOverhead + message.message.size(); }
  size_t operator()(const Delivery& message) const {
    // Target lists belong to the registry and outlive the delivery as a rule: only their pointers count.
    size_t size = kOverhead + message.targets.size() * sizeof(TargetList);
    return message.data == nullptr ? size : size + message.data->size();
  }
  size_t operator()(const RightsResult& message) const {
    size_t size = kOverhead + message.error.size() + message.replay_error.size() + message.granted.size() * sizeof(Rights);
    for (const BroadcastPtr& replayed : message.replayed) size += SizeOfBroadcast(replayed);
    return size;
  }
  size_t operator()(const Stored& message) const {
    return kOverhead + SizeOfBroadcast(message.message) + message.ref.size() + message.error.size();
  }
  size_t operator()(const DatabaseBroadcast& message) const { return kOverhead + SizeOfBroadcast(message.message); }
  size_t operator()(const StreamState&) const { return kOverhead; }
  size_t operator()(const SystemNotice& message) const { return kOverhead + message.message.size(); }
  size_t operator()(const Reload&) const { return kOverhead; }
  size_t operator()(const Inquiry&) const { return kOverhead; }
  size_t operator()(const Drain&) const { return kOverhead; }
};

}  // namespace

size_t SizeOf(const ToDatabase& message) { return std::visit(Measure(), message); }
size_t SizeOf(const ToNetwork& message) { return std::visit(Measure(), message); }

}  // namespace realtime
