// What a client makes of presence_state and presence_diff, stricter than any: every text must be JSON of the right shape, a
// leave must name somebody who is there, a join somebody who is not.
#ifndef REALTIME_TEST_UNIT_PRESENCE_FOLD_H_
#define REALTIME_TEST_UNIT_PRESENCE_FOLD_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace realtime {

class PresenceFold {
 public:
  using Members = std::map<std::string, std::string>;              // of a meta, but its refs: names and raw texts
  using Content = std::map<std::string, std::map<std::string, Members>>;  // by key and phx_ref

  // Empty, or what is wrong with the diff.
  std::string Apply(std::string_view diff) {
    Result<json::Value> parsed = json::Parse(diff);
    if (!parsed.ok() || !parsed.value.IsObject() || parsed.value.members.size() != 2) return "no diff";
    const json::Value* joins = parsed.value.Find("joins");
    const json::Value* leaves = parsed.value.Find("leaves");
    if (joins == nullptr || leaves == nullptr) return "joins or leaves missing";
    Content gone;
    std::string wrong = Read(*leaves, false, nullptr, &gone);
    if (!wrong.empty()) return "leaves: " + wrong;
    for (const auto& [key, metas] : gone) {
      for (const auto& [ref, members] : metas) {
        if (!there.contains(key) || !there[key].contains(ref)) return "leave of somebody unknown";
        if (there[key][ref] != members) return "leave with another body than the join's";
      }
    }
    Content come;
    wrong = Read(*joins, true, &gone, &come);
    if (!wrong.empty()) return "joins: " + wrong;
    return Merge(gone, come);
  }

  // Replaces all. Empty, or what is wrong with the state.
  std::string Reset(std::string_view state) {
    there.clear();
    Result<json::Value> parsed = json::Parse(state);
    return parsed.ok() ? Read(parsed.value, false, nullptr, &there) : "no JSON";
  }

  Content there;

 private:
  std::string Merge(const Content& gone, const Content& come) {
    for (const auto& [key, metas] : gone) {
      for (const auto& [ref, members] : metas) there[key].erase(ref);
      if (there[key].empty()) there.erase(key);
    }
    for (const auto& [key, metas] : come) {
      for (const auto& [ref, members] : metas) {
        if (!there[key].emplace(ref, members).second) return "join of somebody who is there";
      }
    }
    return "";
  }

  static std::string Read(const json::Value& keys, bool may_have_previous, const Content* left, Content* out) {
    if (!keys.IsObject()) return "no object";
    for (const json::Member& key : keys.members) {
      const json::Value* metas = key.second.Find("metas");
      if (metas == nullptr || !metas->IsArray() || metas->elements.empty() || key.second.members.size() != 1) {
        return "no metas";
      }
      if (out->contains(key.first)) return "a key twice";
      for (const json::Value& meta : metas->elements) {
        std::string wrong = ReadMeta(key.first, meta, may_have_previous, left, out);
        if (!wrong.empty()) return wrong;
      }
    }
    return "";
  }

  static std::string ReadMeta(const std::string& key, const json::Value& meta, bool may_have_previous,
                              const Content* left, Content* out) {
    std::string ref, previous;
    Members members;
    for (const json::Member& member : meta.members) {
      bool is_ref = member.first == "phx_ref";
      if (is_ref || member.first == "phx_ref_prev") {
        std::string& slot = is_ref ? ref : previous;
        if (!slot.empty() || member.second.string.size() != 16) return "a ref twice, or none";
        slot = member.second.string;
      } else if (!members.emplace(member.first, member.second.raw).second) {
        return "a name twice";
      }
    }
    if (ref.empty()) return "no phx_ref";
    if (!previous.empty()) {
      if (!may_have_previous) return "phx_ref_prev outside of joins";
      auto found = left->find(key);
      if (found == left->end() || !found->second.contains(previous)) return "phx_ref_prev that does not leave";
    }
    return (*out)[key].emplace(ref, members).second ? "" : "a ref twice";
  }
};

}  // namespace realtime

#endif  // REALTIME_TEST_UNIT_PRESENCE_FOLD_H_
