#include "core/topics.h"

#include <utility>

#include "core/session.h"

namespace realtime {

namespace {

void MakeKey(bool is_private, std::string_view subtopic, std::string* key) {
  key->assign(1, is_private ? 'p' : 'o');
  key->append(subtopic);
}

}  // namespace

void Topics::Join(Channel* channel) {
  if (channel->room != nullptr) return;
  MakeKey(channel->is_private, channel->subtopic(), &key_);
  std::unique_ptr<Topic>& slot = topics_[key_];
  if (slot == nullptr) {
    slot = std::make_unique<Topic>();
    slot->key = key_;
  }
  channel->seat = slot->members.size();
  slot->members.push_back(channel);
  channel->room = slot.get();
}

void Topics::Leave(Channel* channel) {
  Topic* topic = std::exchange(channel->room, nullptr);
  if (topic == nullptr) return;
  Channel* last = topic->members.back();
  topic->members[channel->seat] = last;
  last->seat = channel->seat;
  topic->members.pop_back();
  if (topic->members.empty()) topics_.erase(std::string(topic->key));
}

Topic* Topics::Find(bool is_private, std::string_view subtopic) {
  MakeKey(is_private, subtopic, &key_);
  return Find(key_);
}

void Topics::List(std::vector<std::string>* keys) const {
  for (const auto& [key, topic] : topics_) keys->push_back(key);
}

Topic* Topics::Find(const std::string& key) {
  auto found = topics_.find(key);
  return found == topics_.end() ? nullptr : found->second.get();
}

}  // namespace realtime
