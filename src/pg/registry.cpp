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
  key.push_back(binding.old ? '1' : '0');
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

bool Contains(const std::vector<uint32_t>& ids, uint32_t id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); }

}  // namespace

bool StartPoint::Includes(uint32_t xid, uint64_t commit_lsn) const {
  if (commit_lsn >= lsn) return true;
  if (Precedes(xid, xmin)) return false;
  if (!Precedes(xid, xmax)) return true;
  return std::find(in_progress.begin(), in_progress.end(), xid) != in_progress.end();
}

TargetList Audience::TargetsFor(uint32_t xid, uint64_t commit_lsn) {
  if (unsettled_ == 0 && settled_) return settled_;
  std::vector<Target> targets;
  for (const Member& member : members_) {
    if (member.held) continue;
    if (!member.start || member.start->Includes(xid, commit_lsn)) targets.push_back({member.channel, member.binding_id});
  }
  if (targets.empty()) return nullptr;
  auto list = std::make_shared<const std::vector<Target>>(std::move(targets));
  if (unsettled_ == 0) settled_ = list;
  return list;
}

// All members at once: thousands that join together would else be looked for one by one.
void Audience::Settle(uint64_t commit_lsn) {
  if (unsettled_ == 0) return;
  for (Member& member : members_) {
    if (!member.start || commit_lsn < member.start->lsn) continue;
    member.start = nullptr;
    if (member.settled()) --unsettled_;
  }
  settled_ = nullptr;
}

// Channel ids rise, so this is an append but for channels whose token was refreshed.
void Audience::Join(Member member) {
  if (!member.settled()) ++unsettled_;
  members_.insert(std::upper_bound(members_.begin(), members_.end(), member, ByChannel), std::move(member));
  settled_ = nullptr;
}

void Audience::Leave(ChannelId channel) {
  auto [first, last] = std::equal_range(members_.begin(), members_.end(), Member{channel, 0, nullptr}, ByChannel);
  unsettled_ -= static_cast<size_t>(std::count_if(first, last, [](const Member& member) { return !member.settled(); }));
  members_.erase(first, last);
  settled_ = nullptr;
}

// What is released has caught up, whatever its start point was.
void Audience::SetHeld(ChannelId channel, uint32_t binding_id, bool held) {
  auto [first, last] = std::equal_range(members_.begin(), members_.end(), Member{channel, 0, nullptr}, ByChannel);
  for (auto member = first; member != last; ++member) {
    if (member->binding_id != binding_id || member->held == held) continue;
    if (!member->settled()) --unsettled_;
    member->held = held;
    member->start = nullptr;
    if (!member->settled()) ++unsettled_;
  }
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
  audience->old = binding.old;
  slot = audience;
  audiences_.push_back(audience);
  return audience;
}

void Registry::Add(const Subscribe& request, std::shared_ptr<const StartPoint> start) {
  auto found = channels_.find(request.channel);
  Channel channel;
  if (found != channels_.end()) {
    start = found->second.start;
    channel.held = found->second.held;
    channel.released = found->second.released;
    Leave(request.channel, found->second);
  }
  channel.start = start;
  for (const Binding& binding : request.bindings) {
    std::shared_ptr<Audience> audience = FindOrAdd(request.identity, binding);
    const bool released = Contains(channel.released, binding.id);
    audience->Join({request.channel, binding.id, released ? nullptr : start, Contains(channel.held, binding.id)});
    channel.audiences.push_back(std::move(audience));
    channel.binding_ids.push_back(binding.id);
  }
  if (start && found == channels_.end()) starting_.push_back({request.channel, start});
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
  Compact();
}

bool Registry::IsStale(const Starting& starting) const {
  auto found = channels_.find(starting.channel);
  return found == channels_.end() || found->second.start != starting.start;
}

bool Registry::Hold(ChannelId id, uint32_t binding_id) {
  auto found = channels_.find(id);
  if (found == channels_.end()) return false;
  Channel& channel = found->second;
  for (size_t i = 0; i < channel.audiences.size(); ++i) {
    if (channel.binding_ids[i] == binding_id) channel.audiences[i]->SetHeld(id, binding_id, true);
  }
  channel.held.push_back(binding_id);
  return true;
}

void Registry::Release(ChannelId id, uint32_t binding_id) {
  auto found = channels_.find(id);
  if (found == channels_.end()) return;
  Channel& channel = found->second;
  if (std::erase(channel.held, binding_id) > 0) channel.released.push_back(binding_id);
  for (size_t i = 0; i < channel.audiences.size(); ++i) {
    if (channel.binding_ids[i] == binding_id) channel.audiences[i]->SetHeld(id, binding_id, false);
  }
}

std::shared_ptr<Audience> Registry::Held(ChannelId id, uint32_t binding_id) const {
  auto found = channels_.find(id);
  if (found == channels_.end()) return nullptr;
  const Channel& channel = found->second;
  if (!Contains(channel.held, binding_id)) return nullptr;
  auto position = std::find(channel.binding_ids.begin(), channel.binding_ids.end(), binding_id);
  if (position == channel.binding_ids.end()) return nullptr;
  return channel.audiences[static_cast<size_t>(position - channel.binding_ids.begin())];
}

// Each audience is settled once, however many of its members start here.
void Registry::OnCommit(uint64_t commit_lsn) {
  std::vector<Audience*> settling;
  for (; !starting_.empty() && commit_lsn >= starting_.front().start->lsn; starting_.pop_front()) {
    if (IsStale(starting_.front())) continue;
    Channel& channel = channels_.at(starting_.front().channel);
    channel.start = nullptr;
    for (const std::shared_ptr<Audience>& audience : channel.audiences) settling.push_back(audience.get());
  }
  std::sort(settling.begin(), settling.end());
  settling.erase(std::unique(settling.begin(), settling.end()), settling.end());
  for (Audience* audience : settling) audience->Settle(commit_lsn);
}

void Registry::Compact() {
  if (starting_.size() > starting_limit_) {
    std::erase_if(starting_, [this](const Starting& starting) { return IsStale(starting); });
    starting_limit_ = 2 * starting_.size() + kSpareStarting;
  }
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
