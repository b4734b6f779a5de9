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
  auto slot = topics_.find(key_);
  if (slot == topics_.end()) {
    // Entered when nothing can fail any more: nobody would ever remove an empty one.
    auto made = std::make_unique<Topic>();
    made->key = key_;
    made->members.reserve(1);
    slot = topics_.emplace(key_, std::move(made)).first;
  }
  Topic* topic = slot->second.get();
  topic->members.push_back(channel);
  channel->seat = topic->members.size() - 1;
  channel->room = topic;
}

void Topics::Leave(Channel* channel) {
  Topic* topic = std::exchange(channel->room, nullptr);
  if (topic == nullptr) return;
  Channel* last = topic->members.back();
  topic->members[channel->seat] = last;
  last->seat = channel->seat;
  topic->members.pop_back();
  if (topic->members.empty()) topics_.erase(topics_.find(topic->key));
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
