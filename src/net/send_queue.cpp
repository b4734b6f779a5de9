#include "net/send_queue.h"

#include <cstring>
#include <utility>

#include "core/frame.h"

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
  head_ = peeked_ = peeked_fragment_ = sent_ = bytes_ = 0;
}

std::string_view SendQueue::Peek(char* buffer, size_t capacity) {
  peeked_ = peeked_fragment_ = 0;
  if (empty()) return {};
  const std::string& first = *frames_[head_];
  if (sent_ > 0 || first.size() > capacity) return PeekFragment(first, buffer, capacity);
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

std::string_view SendQueue::PeekFragment(const std::string& frame, char* buffer, size_t capacity) {
  constexpr uint8_t kContinuation = 0;
  std::string_view payload = std::string_view(frame).substr(FrameHeaderSize(frame));
  std::string_view rest = payload.substr(sent_);
  std::string_view part = rest.substr(0, capacity - kMaxFrameHeader);
  bool last = part.size() == rest.size();
  uint8_t opcode = sent_ > 0 ? kContinuation : static_cast<uint8_t>(frame[0]) & ~kFinBit;
  size_t header = WriteFrameHeader(static_cast<uint8_t>(opcode | (last ? kFinBit : 0)), part.size(), buffer);
  memcpy(buffer + header, part.data(), part.size());
  peeked_ = last ? 1 : 0;
  peeked_fragment_ = part.size();
  return {buffer, header + part.size()};
}

void SendQueue::Pop() {
  sent_ += peeked_fragment_;
  bytes_ -= std::exchange(peeked_fragment_, 0);
  for (; peeked_ > 0; --peeked_) {
    bytes_ -= frames_[head_]->size() - std::exchange(sent_, 0);
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
