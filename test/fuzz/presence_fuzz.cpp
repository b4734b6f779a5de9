// Four metas under three keys track and untrack whatever the bytes say, one step per line: "0{...}" tracks the payload with
// meta 0, "0" and no object untracks it, "!" takes a diff. Every diff and state must be JSON of the right shape, and what a
// client makes of the diffs must be the state.
#include <algorithm>
#include <string>
#include <string_view>

#include "check.h"
#include "core/presence.h"
#include "unit/presence_fold.h"

namespace {

using namespace realtime;  // NOLINT: a program of one file

class Program {
 public:
  Program() {
    metas_[0].key = "a";
    metas_[1].key = "a";
    metas_[2].key = "b\"\\\n";
  }

  void Step(std::string_view line) {
    if (line.empty() || line[0] == '!') {
      Tell();
    } else {
      Change(&metas_[static_cast<uint8_t>(line[0]) % 4], line.substr(1));
    }
  }

  // Everybody leaves, and nothing is left.
  void End() {
    for (PresenceMeta& meta : metas_) presence_.Untrack(&meta);
    FUZZ_CHECK(presence_.empty() && presence_.size() == 0);
    Tell();
    FUZZ_CHECK(fold_.there.empty());
    FUZZ_CHECK(presence_.State() == "{}");
  }

 private:
  void Change(PresenceMeta* meta, std::string_view text) {
    Result<json::Value> payload = json::ParseShallow(text, {.max_depth = 16});
    if (!payload.ok() || !payload.value.IsObject()) {
      bool tracked = meta->tracked();
      FUZZ_CHECK(presence_.Untrack(meta) == tracked);
      FUZZ_CHECK(!meta->tracked());
    } else {
      std::string ref = meta->ref;
      bool changed = presence_.Track(meta, payload.value, &names_);
      FUZZ_CHECK(meta->tracked() && changed == (meta->ref != ref));
      FUZZ_CHECK(!presence_.Track(meta, payload.value, &names_));
    }
    size_t size = 0;
    for (const PresenceMeta& each : metas_) size += each.tracked() ? each.size() : 0;
    FUZZ_CHECK(presence_.size() == size);
    CheckState();
  }

  void Tell() {
    std::string diff = presence_.TakeDiff();
    if (!diff.empty()) FUZZ_CHECK(fold_.Apply(diff).empty());
    FUZZ_CHECK(presence_.TakeDiff().empty());
    CheckState();
    for (const PresenceMeta& meta : metas_) {
      if (meta.tracked()) FUZZ_CHECK(fold_.there[meta.key].contains(meta.ref));
    }
  }

  void CheckState() {
    PresenceFold newcomer;
    FUZZ_CHECK(newcomer.Reset(presence_.State()).empty());
    FUZZ_CHECK(newcomer.there == fold_.there);
  }

  NameSource names_{42};
  Presence presence_;
  PresenceFold fold_;
  PresenceMeta metas_[4];  // the last one's key is empty
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), std::min<size_t>(size, 4096));
  Program program;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    program.Step(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  program.End();
  return 0;
}
