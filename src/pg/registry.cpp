#include "pg/registry.h"

#include <algorithm>
#include <utility>

namespace realtime {
namespace {

constexpr size_t kCompactAbove = 64;  // dead audiences kept at least, so that small registries never rebuild

// Transaction ids compare modulo 2^32 (access/transam.h, TransactionIdPrecedes).
bool Precedes(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) < 0; }

void AppendPart(const std::string& part, std::string* key) {
  key->append(std::to_string(part.size()));
  key->push_back(':');
  key->append(part);
}

// Length-prefixed parts: two different audiences cannot have one key.
std::string KeyOf(const Identity& identity, const Binding& binding) {
  std::string key;
  for (const std::string* part : {&identity.role, &identity.claims, &identity.sub, &identity.headers, &binding.schema,
                                  &binding.table}) {
    AppendPart(*part, &key);
  }
  key.push_back(static_cast<char>('0' + binding.events));
  AppendPart(std::to_string(binding.filters.size()), &key);
  for (const FilterClause& clause : binding.filters) {
    AppendPart(clause.column, &key);
    AppendPart(std::string(FilterOpName(clause.op)), &key);
    AppendPart(clause.value, &key);
    key.push_back(clause.negated ? '1' : '0');
  }
  for (const std::string& column : binding.columns) AppendPart(column, &key);
  return key;
}

bool ByChannel(const Member& a, const Member& b) { return a.channel < b.channel; }

}  // namespace

bool StartPoint::Includes(uint32_t xid, uint64_t commit_lsn) const {
  if (commit_lsn >= lsn) return true;
  if (Precedes(xid, xmin)) return false;
  if (!Precedes(xid, xmax)) return true;
  return std::find(in_progress.begin(), in_progress.end(), xid) != in_progress.end();
}

TargetList Audience::TargetsFor(uint32_t xid, uint64_t commit_lsn) {
  if (starting_ == 0 && settled_) return settled_;
  std::vector<Target> targets;
  for (const Member& member : members_) {
    if (!member.start || member.start->Includes(xid, commit_lsn)) targets.push_back({member.channel, member.binding_id});
  }
  if (targets.empty()) return nullptr;
  auto list = std::make_shared<const std::vector<Target>>(std::move(targets));
  if (starting_ == 0) settled_ = list;
  return list;
}

// All members at once: thousands that join together would else be looked for one by one.
void Audience::Settle(uint64_t commit_lsn) {
  if (starting_ == 0) return;
  for (Member& member : members_) {
    if (!member.start || commit_lsn < member.start->lsn) continue;
    member.start = nullptr;
    --starting_;
  }
}

// Channel ids rise, so this is an append but for channels whose token was refreshed.
void Audience::Join(Member member) {
  if (member.start) ++starting_;
  members_.insert(std::upper_bound(members_.begin(), members_.end(), member, ByChannel), std::move(member));
  settled_ = nullptr;
}

void Audience::Leave(ChannelId channel) {
  auto [first, last] = std::equal_range(members_.begin(), members_.end(), Member{channel, 0, nullptr}, ByChannel);
  starting_ -= static_cast<size_t>(std::count_if(first, last, [](const Member& member) { return member.start != nullptr; }));
  members_.erase(first, last);
  settled_ = nullptr;
}

std::shared_ptr<Audience> Registry::FindOrAdd(const std::shared_ptr<const Identity>& identity, const Binding& binding) {
  std::string key = KeyOf(*identity, binding);
  std::weak_ptr<Audience>& slot = by_key_[key];
  std::shared_ptr<Audience> audience = slot.lock();
  if (audience && !audience->dead()) return audience;
  audience = std::make_shared<Audience>();
  audience->identity = identity;
  audience->schema = binding.schema;
  audience->table = binding.table;
  audience->events = binding.events;
  audience->filters = binding.filters;
  audience->columns = binding.columns;
  slot = audience;
  audiences_.push_back(audience);
  return audience;
}

void Registry::Add(const Subscribe& request, std::shared_ptr<const StartPoint> start) {
  auto found = channels_.find(request.channel);
  if (found != channels_.end()) {
    start = found->second.start;
    Leave(request.channel, found->second);
  }
  Channel channel;
  channel.start = start;
  for (const Binding& binding : request.bindings) {
    std::shared_ptr<Audience> audience = FindOrAdd(request.identity, binding);
    audience->Join({request.channel, binding.id, start});
    channel.audiences.push_back(std::move(audience));
  }
  if (start && found == channels_.end()) starting_.push_back(request.channel);
  channels_[request.channel] = std::move(channel);
  Compact();
}

void Registry::Leave(ChannelId id, const Channel& channel) {
  for (const std::shared_ptr<Audience>& audience : channel.audiences) {
    if (audience->dead()) continue;
    audience->Leave(id);
    if (audience->dead()) ++dead_;
  }
}

void Registry::Remove(ChannelId id) {
  auto found = channels_.find(id);
  if (found == channels_.end()) return;
  Leave(id, found->second);
  channels_.erase(found);
  std::erase(starting_, id);
  Compact();
}

void Registry::OnCommit(uint64_t commit_lsn) {
  if (starting_.empty()) return;
  std::erase_if(starting_, [&](ChannelId id) {
    Channel& channel = channels_.at(id);
    if (commit_lsn < channel.start->lsn) return false;
    channel.start = nullptr;
    for (const std::shared_ptr<Audience>& audience : channel.audiences) audience->Settle(commit_lsn);
    return true;
  });
}

void Registry::Compact() {
  if (dead_ <= kCompactAbove || dead_ * 2 <= audiences_.size()) return;
  std::erase_if(audiences_, [](const std::shared_ptr<Audience>& audience) { return audience->dead(); });
  std::erase_if(by_key_, [](const auto& entry) {
    std::shared_ptr<Audience> audience = entry.second.lock();
    return !audience || audience->dead();
  });
  dead_ = 0;
  ++layout_;
}

}  // namespace realtime
