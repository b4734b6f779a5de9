// What realtime.stat_subscriptions shows of the registry.
#include "pg/registry.h"

namespace realtime {

namespace {

std::string EventsOf(EventMask mask) {
  if (mask == kAllEvents) return "*";
  std::string text;
  const ChangeKind kinds[] = {ChangeKind::kInsert, ChangeKind::kUpdate, ChangeKind::kDelete};
  const char* const names[] = {"INSERT", "UPDATE", "DELETE"};
  for (size_t i = 0; i < 3; ++i) {
    if ((mask & MaskOf(kinds[i])) != 0) text.append(text.empty() ? "" : ",").append(names[i]);
  }
  return text;
}

// As a client writes it, but for quotes.
std::string FilterOf(const std::vector<FilterClause>& clauses) {
  std::string text;
  for (const FilterClause& clause : clauses) {
    if (text.size() > kMaxViewText) break;
    text.append(text.empty() ? "" : ",").append(clause.column).append(clause.negated ? "=not." : "=");
    text.append(FilterOpName(clause.op)).append(".").append(clause.value);
  }
  return text;
}

}  // namespace

bool Registry::Describe(const Subscriber& subscriber, ViewRows* rows) const {
  auto found = channels_.find(subscriber.channel);
  if (found == channels_.end()) return true;
  for (const std::shared_ptr<Audience>& audience : found->second.audiences) {
    if (rows->full()) return false;
    rows->Number(subscriber.connection);
    rows->Text(subscriber.topic);
    rows->Text(audience->identity->role);
    rows->Text(audience->schema);
    rows->Text(audience->table);
    const std::string filter = FilterOf(audience->filters);
    if (filter.empty()) {
      rows->Null();
    } else {
      rows->Text(filter);
    }
    rows->Text(EventsOf(audience->events));
    rows->Number(audience->counts.matched);
    rows->Number(subscriber.delivered);
    rows->Number(audience->counts.errors);
    rows->EndRow();
  }
  return true;
}

}  // namespace realtime
