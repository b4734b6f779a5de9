#include "core/change_frames.h"

#include <algorithm>
#include <charconv>

namespace realtime {

namespace {

constexpr size_t kKeptText = 1u << 20;  // a scratch buffer larger than this is given back after the change

// The finalizer of splitmix64: ids are chosen by clients, so neighbours must not become neighbours in the table.
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

bool SameForm(const Channel& a, const Channel& b) {
  return a.session->vsn == b.session->vsn && a.modern == b.modern;
}

// The legacy form carries no ids: channels that differ in nothing else share it. The room stands for the topic, because topics
// are the clients' to choose, and those that share one hash are easily made.
uint64_t HashOf(const Channel& channel, const std::vector<uint32_t>& ids) {
  uint64_t hash = Mix(reinterpret_cast<uintptr_t>(channel.room) + (channel.session->vsn == Vsn::kV2 ? 1 : 0) + (channel.modern ? 2 : 0));
  if (!channel.modern) return hash;
  for (uint32_t id : ids) hash = Mix(hash ^ id);
  return hash;
}

}  // namespace

void ChangeFrames::Begin(const Delivery& delivery) {
  End();
  delivery_ = &delivery;
}

SharedBytes ChangeFrames::For(const Channel& channel, const std::vector<uint32_t>& ids) {
  if (used_.size() * 2 >= slots_.size()) Grow();
  uint64_t hash = HashOf(channel, ids);
  size_t mask = slots_.size() - 1;
  size_t index = hash & mask;
  for (; slots_[index].like != nullptr; index = (index + 1) & mask) {
    if (Matches(slots_[index], hash, channel, ids)) return slots_[index].frame;
  }
  SharedBytes frame = Encode(channel, ids);
  used_.push_back(static_cast<uint32_t>(index));
  slots_[index] = {&channel, hash, static_cast<uint32_t>(ids_.size()), static_cast<uint32_t>(ids.size()), frame};
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  return frame;
}

void ChangeFrames::End() {
  for (uint32_t index : used_) slots_[index] = Slot();
  used_.clear();
  ids_.clear();
  delivery_ = nullptr;
  if (text_.capacity() > kKeptText) std::string().swap(text_);
}

bool ChangeFrames::Matches(const Slot& slot, uint64_t hash, const Channel& channel,
                           const std::vector<uint32_t>& ids) const {
  if (slot.hash != hash || !SameForm(*slot.like, channel) || slot.like->topic != channel.topic) return false;
  if (!channel.modern) return true;
  return slot.ids_count == ids.size() && std::equal(ids.begin(), ids.end(), ids_.begin() + slot.ids_begin);
}

SharedBytes ChangeFrames::Encode(const Channel& channel, const std::vector<uint32_t>& ids) {
  std::string_view event = channel.modern ? "postgres_changes" : ChangeKindName(delivery_->kind);
  text_.clear();
  text_.reserve(delivery_->data->size() + channel.quoted_topic.size() + ids.size() * 11 + 96);
  if (channel.session->vsn == Vsn::kV2) {
    text_ += "[null,null,";
    text_ += channel.quoted_topic;
    text_ += ",\"";
    text_ += event;
    text_ += "\",";
    AppendPayload(channel, ids);
    text_ += ']';
  } else {
    text_ += "{\"event\":\"";
    text_ += event;
    text_ += "\",\"payload\":";
    AppendPayload(channel, ids);
    text_ += ",\"ref\":null,\"topic\":";
    text_ += channel.quoted_topic;
    text_ += '}';
  }
  return MakeFrame(Opcode::kText, text_);
}

void ChangeFrames::AppendPayload(const Channel& channel, const std::vector<uint32_t>& ids) {
  if (!channel.modern) {
    text_ += *delivery_->data;
    return;
  }
  text_ += "{\"ids\":[";
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) text_ += ',';
    char digits[10];
    char* end = std::to_chars(digits, digits + sizeof(digits), ids[i]).ptr;
    text_.append(digits, end);
  }
  text_ += "],\"data\":";
  text_ += *delivery_->data;
  text_ += '}';
}

void ChangeFrames::Grow() {
  std::vector<Slot> bigger(slots_.size() * 2);
  size_t mask = bigger.size() - 1;
  for (uint32_t& used : used_) {
    size_t index = slots_[used].hash & mask;
    while (bigger[index].like != nullptr) index = (index + 1) & mask;
    bigger[index] = std::move(slots_[used]);
    used = static_cast<uint32_t>(index);
  }
  slots_.swap(bigger);
}

}  // namespace realtime
