// The frames of one change: each distinct (version, form, topic, ids) is encoded once and shared by all who get it.
#ifndef REALTIME_CORE_CHANGE_FRAMES_H_
#define REALTIME_CORE_CHANGE_FRAMES_H_

#include "core/pure.h"

#include <cstdint>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/session.h"

namespace realtime {

// Begin, For as often as needed, End. The tables keep their memory from change to change, so that a change with one
// receiver allocates its frame and nothing else.
class ChangeFrames {
 public:
  ChangeFrames() : slots_(kInitialSlots) {}

  // `delivery` and the channels passed to For must stay until End.
  void Begin(const Delivery& delivery);
  // `ids` sorted, each once.
  SharedBytes For(const Channel& channel, const std::vector<uint32_t>& ids);
  void End();

 private:
  static constexpr size_t kInitialSlots = 16;  // a power of two, as all sizes

  struct Slot {
    const Channel* like = nullptr;  // the channel it was made for; null: free
    uint64_t hash = 0;
    uint32_t ids_begin = 0;         // in ids_
    uint32_t ids_count = 0;
    SharedBytes frame;
  };

  bool Matches(const Slot& slot, uint64_t hash, const Channel& channel, const std::vector<uint32_t>& ids) const;
  SharedBytes Encode(const Channel& channel, const std::vector<uint32_t>& ids);
  void AppendPayload(const Channel& channel, const std::vector<uint32_t>& ids);
  void Grow();

  const Delivery* delivery_ = nullptr;
  std::vector<Slot> slots_;     // open addressing, at most half full
  std::vector<uint32_t> used_;  // indexes of slots_
  std::vector<uint32_t> ids_;
  std::string text_;
};

}  // namespace realtime

#endif  // REALTIME_CORE_CHANGE_FRAMES_H_
