#include "net/send_queue.h"

#include <cstring>
#include <utility>

namespace realtime {
namespace {

// A queue that once was long gives its memory back when it runs empty; a short one keeps it.
constexpr size_t kKeepFrames = 16;

}  // namespace

void SendQueue::Push(SharedBytes frame) {
  if (!frame || frame->empty()) return;
  if (head_ > 64 && head_ * 2 > frames_.size()) {
    frames_.erase(frames_.begin(), frames_.begin() + static_cast<ptrdiff_t>(head_));
    head_ = 0;
  }
  size_t size = frame->size();
  frames_.push_back(std::move(frame));
  bytes_ += size;
}

void SendQueue::Clear() {
  frames_ = {};
  head_ = peeked_ = bytes_ = 0;
}

std::string_view SendQueue::Peek(char* buffer, size_t capacity) {
  peeked_ = 0;
  if (empty()) return {};
  const std::string& first = *frames_[head_];
  if (first.size() > capacity) {
    peeked_ = 1;
    return first;
  }
  size_t used = 0;
  while (head_ + peeked_ < frames_.size()) {
    const std::string& frame = *frames_[head_ + peeked_];
    if (frame.size() > capacity - used) break;
    memcpy(buffer + used, frame.data(), frame.size());
    used += frame.size();
    ++peeked_;
  }
  return {buffer, used};
}

void SendQueue::Pop() {
  for (; peeked_ > 0; --peeked_) {
    bytes_ -= frames_[head_]->size();
    frames_[head_++].reset();
  }
  if (!empty()) return;
  head_ = 0;
  if (frames_.capacity() > kKeepFrames) {
    frames_ = {};
  } else {
    frames_.clear();
  }
}

}  // namespace realtime
