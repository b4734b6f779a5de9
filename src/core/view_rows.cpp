#include "core/view_rows.h"

#include <algorithm>

namespace realtime {

void ViewRows::Put(std::string_view text) {
  const auto length = static_cast<int32_t>(text.size());
  bytes_.append(reinterpret_cast<const char*>(&length), sizeof(length));
  bytes_.append(text);
}

void ViewRows::Null() {
  const int32_t length = -1;
  bytes_.append(reinterpret_cast<const char*>(&length), sizeof(length));
}

void ViewRows::Text(std::string_view text) {
  if (text.size() > kMaxViewText) {
    size_t end = kMaxViewText;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    text = text.substr(0, end);
  }
  Put(text);
  std::replace(bytes_.end() - static_cast<std::ptrdiff_t>(text.size()), bytes_.end(), '\0', '?');
}

void ViewRows::Seconds(int64_t unix_ms) {
  std::string text = std::to_string(unix_ms / 1000);
  const std::string fraction = std::to_string(1000 + unix_ms % 1000);
  Put(text.append(".").append(fraction, 1));
}

void ViewRows::Append(const ViewRows& rows) {
  bytes_.append(rows.bytes_);
  count_ += rows.count_;
}

void ViewRows::Clear() {
  bytes_.clear();
  count_ = 0;
}

}  // namespace realtime
