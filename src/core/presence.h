// Who is present on one topic. Keys are chosen by clients; each channel instance that tracks has one meta under its key.
#ifndef REALTIME_CORE_PRESENCE_H_
#define REALTIME_CORE_PRESENCE_H_

#include "core/pure.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace realtime {

// Unique names without a clock or a source of randomness of their own: a seed that the owner draws once per process.
class NameSource {
 public:
  explicit NameSource(uint64_t seed) : seed_(seed) {}
  std::string Ref();   // 16 characters of base64url: a phx_ref
  std::string Uuid();  // a UUID (version 4 in form)

 private:
  uint64_t Next();
  uint64_t seed_;
  uint64_t counter_ = 0;
};

// What one channel instance tracks. Owned by the channel, known to the topic's Presence while tracked() is true; it must
// not move meanwhile, and be untracked before it dies. The key may change only while nothing is tracked.
struct PresenceMeta {
  std::string key;
  std::string ref;        // phx_ref; empty: nothing is tracked
  std::string known_ref;  // the last one that a diff has told; empty: none since tracking began
  std::string body;       // members of the payload as JSON text without braces, phx_ref and phx_ref_prev left out, by name

  bool tracked() const { return !ref.empty(); }
  // Bytes of it in a state, its refs left out: a key may be six times as long there.
  size_t size() const { return json::Quote(key).size() + body.size(); }
};

// Changes add up until TakeDiff tells them, all in one diff: what was tracked and untracked in between was never there, and
// of several updates the last one counts. State is what the diffs so far add up to, so whoever gets a state and all later
// diffs misses nothing and hears nothing twice. Only TakeDiff changes it.
class Presence {
 public:
  // `payload` is an object (shallowly parsed is enough). False when nothing has changed: the same members with the same
  // values, in any order.
  bool Track(PresenceMeta* meta, const json::Value& payload, NameSource* names);
  // False when nothing was tracked.
  bool Untrack(PresenceMeta* meta);
  // Payload of a presence_diff: all changes since the last one. Empty when they come to nothing.
  std::string TakeDiff();
  // Payload of presence_state.
  std::string State() const;

  bool empty() const { return by_key_.empty(); }
  size_t size() const { return size_; }  // bytes of all that is tracked

 private:
  using Metas = std::map<std::string, std::vector<PresenceMeta*>, std::less<>>;
  static void Remove(PresenceMeta* meta, Metas* metas);
  void NoteGone(const PresenceMeta& meta);

  Metas by_key_;
  Metas joined_;  // those whose ref no diff has told yet
  std::map<std::string, std::vector<std::string>, std::less<>> gone_;  // told and no longer there: by key, as JSON text
  size_t size_ = 0;
};

}  // namespace realtime

#endif  // REALTIME_CORE_PRESENCE_H_
