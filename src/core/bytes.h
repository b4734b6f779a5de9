// Bounded reading of network-order bytes, and immutable bytes that many sockets share.
#ifndef REALTIME_CORE_BYTES_H_
#define REALTIME_CORE_BYTES_H_

#include "core/pure.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace realtime {

// Immutable bytes shared by all who queue them. Thread-safe to share, never modified after creation.
using SharedBytes = std::shared_ptr<const std::string>;

// Reads a byte string front to back and never past its end: after the first read that does not fit, ok() is false
// for good and every further read returns zero or an empty view. Views point into the caller's bytes.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  bool AtEnd() const { return rest_.empty(); }
  size_t remaining() const { return rest_.size(); }

  uint8_t U8() { return static_cast<uint8_t>(Integer(1)); }
  uint16_t U16() { return static_cast<uint16_t>(Integer(2)); }
  uint32_t U32() { return static_cast<uint32_t>(Integer(4)); }
  uint64_t U64() { return Integer(8); }

  std::string_view Take(size_t n) {
    if (n > rest_.size()) {
      Fail();
      return {};
    }
    std::string_view taken = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return taken;
  }

  // The bytes up to the next NUL, which is consumed too.
  std::string_view CString() {
    size_t nul = rest_.find('\0');
    if (nul == std::string_view::npos) {
      Fail();
      return {};
    }
    std::string_view text = rest_.substr(0, nul);
    rest_.remove_prefix(nul + 1);
    return text;
  }

 private:
  void Fail() {
    ok_ = false;
    rest_ = {};
  }

  uint64_t Integer(size_t n) {
    std::string_view raw = Take(n);
    uint64_t value = 0;
    for (char c : raw) value = (value << 8) | static_cast<uint8_t>(c);
    return value;
  }

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace realtime

#endif  // REALTIME_CORE_BYTES_H_
