#include "core/presence.h"

#include <algorithm>
#include <utility>

namespace realtime {

namespace {

constexpr std::string_view kBase64Url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::string_view kHex = "0123456789abcdef";

// The lowest `count` digits of `bits`, each of `width` bits, the highest first.
void AppendDigits(uint64_t bits, int count, int width, std::string_view digits, std::string* out) {
  for (int i = count - 1; i >= 0; --i) out->push_back(digits[(bits >> (i * width)) & (digits.size() - 1)]);
}

// What decides whether two payloads are the same: the last of equal names, in the order of the names. Sorted rather than
// searched, because a payload may have as many members as its bytes allow.
std::string BodyOf(const json::Value& payload) {
  std::vector<const json::Member*> members;
  members.reserve(payload.members.size());
  for (const json::Member& member : payload.members) {
    if (member.first != "phx_ref" && member.first != "phx_ref_prev") members.push_back(&member);
  }
  std::stable_sort(members.begin(), members.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
  std::string body;
  for (size_t i = 0; i < members.size(); ++i) {
    if (i + 1 < members.size() && members[i + 1]->first == members[i]->first) continue;
    if (!body.empty()) body += ',';
    json::AppendString(members[i]->first, &body);
    body += ':';
    body += members[i]->second.raw;
  }
  return body;
}

std::string MetaText(const PresenceMeta& meta, std::string_view previous_ref) {
  std::string text = R"({"phx_ref":")";
  text.append(meta.ref).append("\"");
  if (!previous_ref.empty()) text.append(R"(,"phx_ref_prev":")").append(previous_ref).append("\"");
  if (!meta.body.empty()) text.append(",").append(meta.body);
  text.append("}");
  return text;
}

// Writes {KEY:{"metas":[META,...]},...}; the metas of one key must come one after the other.
class KeyedMetas {
 public:
  explicit KeyedMetas(std::string* out) : out_(out) { out_->push_back('{'); }

  void Add(const std::string& key, std::string_view meta) {
    if (key_ != nullptr && *key_ == key) {
      out_->push_back(',');
    } else {
      if (key_ != nullptr) out_->append("]},");
      json::AppendString(key, out_);
      out_->append(R"(:{"metas":[)");
    }
    key_ = &key;
    out_->append(meta);
  }

  void End() { out_->append(key_ == nullptr ? "}" : "]}}"); }

 private:
  std::string* out_;
  const std::string* key_ = nullptr;
};

}  // namespace

// SplitMix64: one to one, so that no value comes twice before the counter wraps.
uint64_t NameSource::Next() {
  uint64_t z = seed_ + ++counter_ * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

// 96 bits: the whole of one value, which makes it unique, and half of another.
std::string NameSource::Ref() {
  uint64_t high = Next();
  uint64_t low = Next() >> 32;
  std::string ref;
  AppendDigits(high >> 16, 8, 6, kBase64Url, &ref);
  AppendDigits((high & 0xFFFF) << 32 | low, 8, 6, kBase64Url, &ref);
  return ref;
}

std::string NameSource::Uuid() {
  uint64_t high = (Next() & ~uint64_t{0xF000}) | 0x4000;
  uint64_t low = (Next() & ~(uint64_t{3} << 62)) | uint64_t{2} << 62;
  std::string uuid;
  AppendDigits(high >> 32, 8, 4, kHex, &uuid);
  uuid += '-';
  AppendDigits(high >> 16, 4, 4, kHex, &uuid);
  uuid += '-';
  AppendDigits(high, 4, 4, kHex, &uuid);
  uuid += '-';
  AppendDigits(low >> 48, 4, 4, kHex, &uuid);
  uuid += '-';
  AppendDigits(low, 12, 4, kHex, &uuid);
  return uuid;
}

bool Presence::Track(PresenceMeta* meta, const json::Value& payload, NameSource* names) {
  std::string body = BodyOf(payload);
  if (meta->tracked() && meta->body == body) return false;
  const bool is_new = !meta->tracked();
  const bool is_told = !is_new && meta->ref == meta->known_ref;
  const size_t of_key = meta->size() - meta->body.size();
  std::string ref = names->Ref();
  if (is_told) NoteGone(*meta);
  // Counted and tracked at once, and entered then: should memory run out in between, Untrack leaves nothing behind.
  size_ += (is_new ? of_key : 0) + body.size() - meta->body.size();
  meta->ref = std::move(ref);
  meta->body = std::move(body);
  if (is_new) by_key_[meta->key].push_back(meta);
  if (is_new || is_told) joined_[meta->key].push_back(meta);
  return true;
}

bool Presence::Untrack(PresenceMeta* meta) {
  if (!meta->tracked()) return false;
  const size_t size = meta->size();
  if (meta->ref == meta->known_ref) {
    NoteGone(*meta);
  } else {
    Remove(meta, &joined_);
  }
  Remove(meta, &by_key_);
  size_ -= size;
  meta->ref.clear();
  meta->known_ref.clear();
  meta->body.clear();
  return true;
}

std::string Presence::TakeDiff() {
  if (joined_.empty() && gone_.empty()) return {};
  std::string diff = R"({"joins":)";
  KeyedMetas joins(&diff);
  for (const auto& [key, metas] : joined_) {
    for (PresenceMeta* meta : metas) {
      joins.Add(key, MetaText(*meta, meta->known_ref));
      meta->known_ref = meta->ref;
    }
  }
  joins.End();
  diff += R"(,"leaves":)";
  KeyedMetas leaves(&diff);
  for (const auto& [key, texts] : gone_) {
    for (const std::string& text : texts) leaves.Add(key, text);
  }
  leaves.End();
  diff += '}';
  joined_.clear();
  gone_.clear();
  return diff;
}

std::string Presence::State() const {
  std::string state;
  KeyedMetas all(&state);
  auto gone = gone_.begin();
  auto add_gone = [&] {
    for (const std::string& text : gone->second) all.Add(gone->first, text);
    ++gone;
  };
  for (const auto& [key, metas] : by_key_) {
    while (gone != gone_.end() && gone->first <= key) add_gone();
    for (const PresenceMeta* meta : metas) {
      if (meta->ref == meta->known_ref) all.Add(key, MetaText(*meta, ""));
    }
  }
  while (gone != gone_.end()) add_gone();
  all.End();
  return state;
}

void Presence::Remove(PresenceMeta* meta, Metas* metas) {
  auto found = metas->find(meta->key);
  if (found == metas->end()) return;
  std::erase(found->second, meta);
  if (found->second.empty()) metas->erase(found);
}

void Presence::NoteGone(const PresenceMeta& meta) { gone_[meta.key].push_back(MetaText(meta, "")); }

}  // namespace realtime
