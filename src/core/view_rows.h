// Rows of a view as bytes, for the way from the worker to the backend that asks: each value is a length (four bytes in this
// machine's order, -1 for NULL) and its text.
#ifndef REALTIME_CORE_VIEW_ROWS_H_
#define REALTIME_CORE_VIEW_ROWS_H_

#include "core/pure.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace realtime {

// What one reading of a view may hold at most: the bound of the shared memory that it takes.
inline constexpr size_t kMaxViewRows = 100000;
inline constexpr size_t kMaxViewBytes = 32u << 20;
// A client's text, such as a topic, is cut behind so many bytes.
inline constexpr size_t kMaxViewText = 512;

class ViewRows {
 public:
  // Cut at a character's start. NUL, which no text of PostgreSQL holds, becomes "?".
  void Text(std::string_view text);
  void Number(uint64_t value) { Put(std::to_string(value)); }
  void Bool(bool value) { Put(value ? "t" : "f"); }
  // Milliseconds since 1970, as seconds with their fraction.
  void Seconds(int64_t unix_ms);
  void Null();
  void EndRow() { ++count_; }

  size_t count() const { return count_; }
  const std::string& bytes() const { return bytes_; }
  void Append(const ViewRows& rows);
  void Clear();
  // No further row fits.
  bool full() const { return count_ >= kMaxViewRows || bytes_.size() >= kMaxViewBytes; }

 private:
  void Put(std::string_view text);

  std::string bytes_;
  size_t count_ = 0;
};

}  // namespace realtime

#endif  // REALTIME_CORE_VIEW_ROWS_H_
