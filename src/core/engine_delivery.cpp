// Changes and notices from the database on their way to the sockets.
#include "core/engine_impl.h"

#include <algorithm>

namespace realtime {

size_t Engine::Impl::OnDelivery(const Delivery& delivery, size_t from, const std::function<bool()>& pause) {
  if (delivery.data == nullptr) return kAll;
  const std::vector<Target>& targets = Merge(delivery);
  frames_.Begin(delivery);
  size_t i = from;
  for (bool paused = false; i < targets.size() && !paused;) {
    ChannelId id = targets[i].channel;
    ids_.clear();
    for (; i < targets.size() && targets[i].channel == id; ++i) ids_.push_back(targets[i].binding_id);
    Channel* channel = FindLive(id);
    if (channel == nullptr) continue;
    // Equal bindings have equal ids and count once; sorted, so that channels with the same ids share a frame.
    std::sort(ids_.begin(), ids_.end());
    ids_.erase(std::unique(ids_.begin(), ids_.end()), ids_.end());
    Deliver(*channel, frames_.For(*channel, ids_));
    ++channel->changes;
    ++traffic_.change_deliveries;
    paused = pause();
  }
  frames_.End();
  return i < targets.size() ? i : kAll;
}

void Engine::Impl::Foresee(const Delivery& delivery, int step) const {
  if (delivery.targets.empty() || delivery.targets[0] == nullptr) return;
  const std::vector<Target>& targets = *delivery.targets[0];
  if (step == 0) return __builtin_prefetch(&targets);
  if (targets.empty()) return;
  if (step == 1) return __builtin_prefetch(targets.data());
  if (step == 2) return channels_.Prefetch(targets[0].channel);
  auto found = channels_.find(targets[0].channel);
  if (found == channels_.end()) return;
  const char* channel = reinterpret_cast<const char*>(found->second);
  __builtin_prefetch(channel);
  __builtin_prefetch(channel + 64);  // a cache line further
}

void Engine::Impl::SessionsOf(const Delivery& delivery, std::vector<SessionId>* sessions) {
  ++walk_;
  for (const TargetList& list : delivery.targets) {
    if (list == nullptr) continue;
    for (const Target& target : *list) {
      Channel* channel = FindLive(target.channel);
      if (channel == nullptr || channel->session->visited == walk_) continue;
      channel->session->visited = walk_;
      sessions->push_back(channel->session->id);
    }
  }
}

void Engine::Impl::SessionsOf(const DatabaseBroadcast& broadcast, std::vector<SessionId>* sessions) {
  Topic* room = topics_.Find(broadcast.message->is_private, broadcast.message->topic);
  if (room == nullptr) return;
  ++walk_;
  for (const Channel* member : room->members) {
    if (!member->rights.read_broadcast || member->session->visited == walk_) continue;
    member->session->visited = walk_;
    sessions->push_back(member->session->id);
  }
}

void Engine::Impl::OnNotice(const SystemNotice& notice) {
  auto tell = [&](const Channel& channel) {
    const bool hears_messages = !channel.joining && channel.rights.read_broadcast;
    if (channel.live) {
      SendSystem(channel, SystemExtension::kPostgresChanges, notice.is_error, notice.message);
    } else if (notice.messages && hears_messages) {
      SendSystem(channel, SystemExtension::kSystem, notice.is_error, notice.message);
    }
  };
  if (notice.channel == 0) {
    for (const auto& [id, channel] : channels_) tell(*channel);
  } else if (auto found = channels_.find(notice.channel); found != channels_.end()) {
    tell(*found->second);
  }
}

Channel* Engine::Impl::FindLive(ChannelId id) {
  auto found = channels_.find(id);
  return found != channels_.end() && found->second->live ? found->second : nullptr;
}

// All targets in the order of their channels. One list, the usual case, is used where it lies. Lists of many audiences
// mostly are a target or two each, so sorting what they add up to beats merging them one by one.
const std::vector<Target>& Engine::Impl::Merge(const Delivery& delivery) {
  if (delivery.targets.size() == 1 && delivery.targets[0] != nullptr) return *delivery.targets[0];
  auto by_channel = [](const Target& a, const Target& b) { return a.channel < b.channel; };
  merged_.clear();
  for (const TargetList& list : delivery.targets) {
    if (list != nullptr) merged_.insert(merged_.end(), list->begin(), list->end());
  }
  if (!std::is_sorted(merged_.begin(), merged_.end(), by_channel)) {
    std::sort(merged_.begin(), merged_.end(), by_channel);
  }
  return merged_;
}

}  // namespace realtime
