// JSON: the only file pair that sees RapidJSON. Bounded in depth, validates UTF-8, keeps raw text where a value is to be
// forwarded untouched.
#ifndef REALTIME_CORE_JSON_H_
#define REALTIME_CORE_JSON_H_

#include "core/pure.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace realtime::json {

enum class Type : uint8_t { kNull, kBool, kNumber, kString, kArray, kObject };

struct Member;

// A parsed value. Strings are decoded; `raw` is the value's own text, pointing into the parsed bytes, which must outlive
// the value. Members keep their order and duplicates; Find returns the last of equal names, as JavaScript does.
struct Value {
  Type type = Type::kNull;
  bool boolean = false;
  double number = 0;
  bool is_integer = false;    // number is integral and fits `integer`
  int64_t integer = 0;
  std::string string;         // kString, decoded
  std::string_view raw;
  std::vector<Value> elements;                           // kArray
  std::vector<Member> members;                           // kObject

  const Value* Find(std::string_view name) const;  // null when absent or not an object
  bool IsObject() const { return type == Type::kObject; }
  bool IsArray() const { return type == Type::kArray; }
  bool IsString() const { return type == Type::kString; }
  bool IsNull() const { return type == Type::kNull; }
};

// One name and value of an object. (No std::pair: that one may not name a type that is not complete yet.)
struct Member {
  std::string first;
  Value second;
};

struct Limits {
  int max_depth = 64;        // nesting of arrays and objects
  int max_values = 100000;   // values in all: bounds memory for hostile documents
};

// Parses exactly one value, surrounded by blanks at most.
Result<Value> Parse(std::string_view text, const Limits& limits = {});

// One top-level array or object split into its direct children, whose `raw` is set and which are otherwise decoded only
// when they are scalars: nested containers have their type and raw text and no elements or members (but are validated).
// The cheap first look at a frame.
Result<Value> ParseShallow(std::string_view text, const Limits& limits = {});

// Whether `text` is exactly one value, surrounded by blanks at most. Keeps nothing of it, so only its depth is bounded: for
// what is forwarded as it came.
Status Check(std::string_view text, int max_depth);

// Appends `text` as a JSON string with its quotes. `text` must be valid UTF-8.
void AppendString(std::string_view text, std::string* out);
std::string Quote(std::string_view text);

bool IsValidUtf8(std::string_view text);

}  // namespace realtime::json

#endif  // REALTIME_CORE_JSON_H_
