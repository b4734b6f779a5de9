#include "core/door.h"

namespace realtime {
namespace {

// What one queued value costs apart from the bytes it points to.
constexpr size_t kOverhead = 128;

size_t SizeOfBinding(const Binding& binding) {
  size_t size = sizeof(Binding) + binding.schema.size() + binding.table.size();
  for (const FilterClause& clause : binding.filters) {
    size += sizeof(FilterClause) + clause.column.size() + clause.value.size();
    for (const std::string& element : clause.elements) size += sizeof(std::string) + element.size();
  }
  for (const std::string& column : binding.columns) size += sizeof(std::string) + column.size();
  return size;
}

struct Measure {
  size_t operator()(const Subscribe& message) const {
    size_t size = kOverhead;
    if (message.identity != nullptr) {
      const Identity& identity = *message.identity;
      size += identity.role.size() + identity.claims.size() + identity.sub.size() + identity.headers.size();
    }
    for (const Binding& binding : message.bindings) size += SizeOfBinding(binding);
    return size;
  }
  size_t operator()(const Unsubscribe&) const { return kOverhead; }
  size_t operator()(const LogLine& message) const { return kOverhead + message.message.size() + message.hint.size(); }
  size_t operator()(const SubscribeResult& message) const { return kOverhead + message.message.size(); }
  size_t operator()(const Delivery& message) const {
    // Target lists belong to the registry and outlive the delivery as a rule: only their pointers count.
    size_t size = kOverhead + message.targets.size() * sizeof(TargetList);
    return message.data == nullptr ? size : size + message.data->size();
  }
  size_t operator()(const SystemNotice& message) const { return kOverhead + message.message.size(); }
  size_t operator()(const Reload&) const { return kOverhead; }
  size_t operator()(const Drain&) const { return kOverhead; }
};

}  // namespace

size_t SizeOf(const ToDatabase& message) { return std::visit(Measure(), message); }
size_t SizeOf(const ToNetwork& message) { return std::visit(Measure(), message); }

}  // namespace realtime
