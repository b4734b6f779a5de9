#include "core/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

namespace realtime::json {
namespace {

// RapidJSON asserts its own invariants only; should one ever break, the document is refused instead of the process
// aborted.
struct AssertionBroken {};
[[noreturn]] void BreakAssertion() { throw AssertionBroken{}; }

}  // namespace
}  // namespace realtime::json

// A namespace of our own: other extensions in the same process may carry another RapidJSON.
#define RAPIDJSON_NAMESPACE realtime_rapidjson
#define RAPIDJSON_NAMESPACE_BEGIN namespace realtime_rapidjson {
#define RAPIDJSON_NAMESPACE_END }
#define RAPIDJSON_ASSERT(x) ((x) ? (void)0 : ::realtime::json::BreakAssertion())
// RapidJSON's stack starts as null pointers and compares null + n with null: harmless, but sanitizers object.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((no_sanitize("pointer-overflow"))), apply_to = function)
#endif
#include <rapidjson/reader.h>
#if defined(__clang__)
#pragma clang attribute pop
#endif

namespace realtime::json {
namespace {

namespace rj = realtime_rapidjson;

// RapidJSON writes to what its allocator returns without a look at it: a lack of memory must not come as a null pointer.
struct ThrowingAllocator {
  [[maybe_unused]] static constexpr bool kNeedFree = true;  // asked for by the allocator concept

  void* Malloc(size_t size) { return Realloc(nullptr, 0, size); }
  void* Realloc(void* memory, size_t /*old_size*/, size_t new_size) {
    if (new_size == 0) {
      std::free(memory);
      return nullptr;
    }
    void* moved = std::realloc(memory, new_size);
    if (moved == nullptr) throw std::bad_alloc();
    return moved;
  }
  static void Free(void* memory) { std::free(memory); }
};

// A bounded input stream. RapidJSON takes NUL for the end; a NUL inside the text is told apart by Tell() afterwards.
class TextStream {
 public:
  using Ch = char;

  explicit TextStream(std::string_view text) : text_(text) {}

  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  char Take() { return at_ < text_.size() ? text_[at_++] : '\0'; }
  size_t Tell() const { return at_; }

  // Required by the stream concept, used by in-situ parsing only.
  char* PutBegin() { return nullptr; }
  void Put(char) {}
  void Flush() {}
  size_t PutEnd(char*) { return 0; }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

void SetNumber(std::string_view raw, Value* value) {
  const char* end = raw.data() + raw.size();
  auto whole = std::from_chars(raw.data(), end, value->integer);
  if (whole.ec == std::errc() && whole.ptr == end) {
    value->is_integer = true;
    value->number = static_cast<double>(value->integer);
    return;
  }
  value->integer = 0;
  auto real = std::from_chars(raw.data(), end, value->number);
  if (real.ec != std::errc() || real.ptr != end) {
    value->number = std::numeric_limits<double>::quiet_NaN();
    return;
  }
  constexpr double kLimit = 9.2e18;  // safely inside int64_t
  if (std::abs(value->number) < kLimit && std::trunc(value->number) == value->number) {
    value->is_integer = true;
    value->integer = static_cast<int64_t>(value->number);
  }
}

// Builds Values from SAX events. The position of a value is found from the end of the event before it, because RapidJSON
// does not report positions: only blanks and one comma or colon can lie between.
class Builder : public rj::BaseReaderHandler<rj::UTF8<>, Builder> {
 public:
  Builder(std::string_view text, const Limits& limits, bool shallow, const TextStream* stream)
      : text_(text), limits_(limits), shallow_(shallow), stream_(stream) {}

  bool Null() { return Scalar(Type::kNull, 4); }

  bool Bool(bool b) {
    Value* value = nullptr;
    if (!Add(Type::kBool, &value)) return false;
    if (value != nullptr) value->boolean = b;
    return Finish(value, start_ + (b ? 4 : 5));
  }

  bool RawNumber(const char*, rj::SizeType length, bool) {
    Value* value = nullptr;
    if (!Add(Type::kNumber, &value)) return false;
    if (!Finish(value, start_ + length)) return false;
    if (value != nullptr) SetNumber(value->raw, value);
    return true;
  }

  bool String(const char* decoded, rj::SizeType length, bool) {
    Value* value = nullptr;
    if (!Add(Type::kString, &value)) return false;
    std::string_view string(decoded, length);
    if (!CheckEscapes(string)) return false;
    if (value != nullptr) value->string = string;
    return Finish(value, stream_->Tell());
  }

  bool Key(const char* decoded, rj::SizeType length, bool) {
    SkipToNext();
    std::string_view string(decoded, length);
    if (!CheckEscapes(string)) return false;
    if (Stored()) key_ = string;
    cursor_ = stream_->Tell();
    return true;
  }

  bool StartObject() { return Open(Type::kObject); }
  bool EndObject(rj::SizeType) { return Close(); }
  bool StartArray() { return Open(Type::kArray); }
  bool EndArray(rj::SizeType) { return Close(); }

  Value TakeRoot() { return std::move(root_); }
  bool exceeded() const { return exceeded_; }

 private:
  bool Stored() const { return !shallow_ || open_.size() <= 1; }

  void SkipToNext() {
    while (cursor_ < text_.size() && (IsBlank(text_[cursor_]) || text_[cursor_] == ',' || text_[cursor_] == ':')) {
      cursor_++;
    }
    start_ = cursor_;
  }

  // Escapes can spell lone surrogates, which have no UTF-8 form; the text itself has been checked as a whole.
  bool CheckEscapes(std::string_view decoded) const {
    size_t raw_length = stream_->Tell() - start_;
    return raw_length == decoded.size() + 2 || IsValidUtf8(decoded);
  }

  // Leaves *value null for a value that is only validated. False when a bound is exceeded.
  bool Add(Type type, Value** value) {
    SkipToNext();
    if (!Stored()) return true;
    if (++values_ > limits_.max_values) {
      exceeded_ = true;
      return false;
    }
    Value* added = &root_;
    if (!open_.empty()) {
      Value* parent = open_.back();
      if (parent->type == Type::kArray) {
        added = &parent->elements.emplace_back();
      } else {
        added = &parent->members.emplace_back(Member{std::move(key_), Value()}).second;
        key_.clear();
      }
    }
    added->type = type;
    *value = added;
    return true;
  }

  bool Finish(Value* value, size_t end) {
    if (end < start_ || end > text_.size()) return false;
    if (value != nullptr) value->raw = text_.substr(start_, end - start_);
    cursor_ = end;
    return true;
  }

  bool Scalar(Type type, size_t length) {
    Value* value = nullptr;
    return Add(type, &value) && Finish(value, start_ + length);
  }

  bool Open(Type type) {
    Value* value = nullptr;
    if (!Add(type, &value) || !Finish(value, start_ + 1)) return false;
    if (open_.size() >= static_cast<size_t>(std::max(limits_.max_depth, 0))) {
      exceeded_ = true;
      return false;
    }
    open_.push_back(value);
    return true;
  }

  bool Close() {
    SkipToNext();
    Value* value = open_.back();
    open_.pop_back();
    if (value != nullptr) start_ = static_cast<size_t>(value->raw.data() - text_.data());
    return Finish(value, cursor_ + 1);
  }

  std::string_view text_;
  Limits limits_;
  bool shallow_;
  const TextStream* stream_;
  size_t cursor_ = 0;  // end of the last event
  size_t start_ = 0;   // where the current event's text begins
  int values_ = 0;
  bool exceeded_ = false;
  std::string key_;
  Value root_;
  // The open containers. Stays valid while their children are added: only the innermost one's vector grows.
  std::vector<Value*> open_;
};

// Accepts what Builder accepts, and keeps nothing.
class Checker : public rj::BaseReaderHandler<rj::UTF8<>, Checker> {
 public:
  explicit Checker(int max_depth) : max_depth_(max_depth) {}

  bool String(const char* decoded, rj::SizeType length, bool) { return IsValidUtf8({decoded, length}); }
  bool Key(const char* decoded, rj::SizeType length, bool) { return IsValidUtf8({decoded, length}); }
  bool StartObject() { return Open(); }
  bool EndObject(rj::SizeType) { return Close(); }
  bool StartArray() { return Open(); }
  bool EndArray(rj::SizeType) { return Close(); }

  bool exceeded() const { return exceeded_; }

 private:
  bool Open() {
    exceeded_ = depth_ >= max_depth_;
    depth_++;
    return !exceeded_;
  }
  bool Close() {
    depth_--;
    return true;
  }

  int max_depth_;
  int depth_ = 0;
  bool exceeded_ = false;
};

template <typename Handler>
Status Read(std::string_view text, TextStream* stream, Handler* handler) {
  if (text.size() >= std::numeric_limits<rj::SizeType>::max()) return Status(Code::kTooLarge, "JSON text too long");
  if (!IsValidUtf8(text)) return Status(Code::kMalformed, "not valid UTF-8");
  constexpr unsigned kFlags = rj::kParseIterativeFlag | rj::kParseNumbersAsStringsFlag;
  bool parsed = false;
  try {
    rj::GenericReader<rj::UTF8<>, rj::UTF8<>, ThrowingAllocator> reader;
    parsed = !reader.Parse<kFlags>(*stream, *handler).IsError();
  } catch (const AssertionBroken&) {
    parsed = false;
  }
  if (handler->exceeded()) return Status(Code::kTooLarge, "JSON nested too deeply or with too many values");
  if (!parsed || stream->Tell() != text.size()) return Status(Code::kMalformed, "not valid JSON");
  return Status::Ok();
}

Result<Value> Run(std::string_view text, const Limits& limits, bool shallow) {
  TextStream stream(text);
  Builder builder(text, limits, shallow, &stream);
  Status status = Read(text, &stream, &builder);
  if (!status.ok()) return status;
  return builder.TakeRoot();
}

// The length of the UTF-8 sequence that `lead` begins, with the allowed range of the second byte (RFC 3629, table 3-7 of
// the Unicode standard); 0 when no sequence begins so.
int SequenceOf(uint8_t lead, uint8_t* low, uint8_t* high) {
  *low = 0x80;
  *high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) {
    if (lead == 0xE0) *low = 0xA0;   // over-long forms
    if (lead == 0xED) *high = 0x9F;  // surrogates
    return 3;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    if (lead == 0xF0) *low = 0x90;
    if (lead == 0xF4) *high = 0x8F;  // beyond U+10FFFF
    return 4;
  }
  return 0;
}

}  // namespace

const Value* Value::Find(std::string_view name) const {
  for (auto member = members.rbegin(); member != members.rend(); ++member) {
    if (member->first == name) return &member->second;
  }
  return nullptr;
}

Result<Value> Parse(std::string_view text, const Limits& limits) { return Run(text, limits, false); }

Result<Value> ParseShallow(std::string_view text, const Limits& limits) { return Run(text, limits, true); }

Status Check(std::string_view text, int max_depth) {
  TextStream stream(text);
  Checker checker(max_depth);
  return Read(text, &stream, &checker);
}

void AppendString(std::string_view text, std::string* out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out->reserve(out->size() + text.size() + 2);
  out->push_back('"');
  for (char c : text) {
    switch (c) {
      case '"': out->append("\\\""); break;
      case '\\': out->append("\\\\"); break;
      case '\b': out->append("\\b"); break;
      case '\f': out->append("\\f"); break;
      case '\n': out->append("\\n"); break;
      case '\r': out->append("\\r"); break;
      case '\t': out->append("\\t"); break;
      default:
        if (static_cast<uint8_t>(c) < 0x20) {
          out->append("\\u00");
          out->push_back(kHex[static_cast<uint8_t>(c) >> 4]);
          out->push_back(kHex[static_cast<uint8_t>(c) & 0xF]);
        } else {
          out->push_back(c);
        }
    }
  }
  out->push_back('"');
}

std::string Quote(std::string_view text) {
  std::string quoted;
  AppendString(text, &quoted);
  return quoted;
}

bool IsValidUtf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    uint64_t eight;
    if (text.size() - at >= sizeof(eight)) {
      std::memcpy(&eight, text.data() + at, sizeof(eight));
      if ((eight & 0x8080808080808080u) == 0) {
        at += sizeof(eight);
        continue;
      }
    }
    uint8_t lead = static_cast<uint8_t>(text[at]);
    if (lead < 0x80) {
      at++;
      continue;
    }
    uint8_t low, high;
    int length = SequenceOf(lead, &low, &high);
    if (length == 0 || text.size() - at < static_cast<size_t>(length)) return false;
    for (int i = 1; i < length; i++) {
      uint8_t next = static_cast<uint8_t>(text[at + static_cast<size_t>(i)]);
      if (next < low || next > high) return false;
      low = 0x80;
      high = 0xBF;
    }
    at += static_cast<size_t>(length);
  }
  return true;
}

}  // namespace realtime::json
