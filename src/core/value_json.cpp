#include "core/value_json.h"

#include <array>
#include <cstring>

#include "core/json.h"

namespace realtime {
namespace {

using Kind = TypeShape::Kind;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// --- strings

// What a byte means inside a JSON string: 0 nothing special, 'u' a \u00XX escape, 'x' part of a UTF-8 sequence, any other
// letter the one after the backslash.
constexpr std::array<char, 256> MakeEscapes() {
  std::array<char, 256> table{};
  for (size_t c = 0; c < 0x20; c++) table[c] = 'u';
  for (size_t c = 0x80; c < 256; c++) table[c] = 'x';
  table['\b'] = 'b';
  table['\t'] = 't';
  table['\n'] = 'n';
  table['\f'] = 'f';
  table['\r'] = 'r';
  table['"'] = '"';
  table['\\'] = '\\';
  return table;
}
constexpr std::array<char, 256> kEscapes = MakeEscapes();

// Whether none of the eight bytes at `p` is special. The subtractions borrow into neighbours only after a hit, so a
// wrong answer can only be "special", which the table then corrects.
bool EightPlain(const char* p) {
  constexpr uint64_t kOnes = 0x0101010101010101u;
  constexpr uint64_t kHighs = 0x8080808080808080u;
  uint64_t word;
  std::memcpy(&word, p, sizeof(word));
  uint64_t quotes = word ^ (kOnes * '"');
  uint64_t backslashes = word ^ (kOnes * '\\');
  uint64_t hits = word | (word - kOnes * 0x20) | (quotes - kOnes) | (backslashes - kOnes);
  return (hits & kHighs) == 0;
}

// Length of the well-formed UTF-8 sequence at the start of `text`, whose first byte is >= 0x80; 0 when there is none.
size_t SequenceLength(std::string_view text) {
  auto byte = [&](size_t i) -> unsigned { return i < text.size() ? static_cast<uint8_t>(text[i]) : 0; };
  auto follows = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  unsigned lead = byte(0);
  unsigned second = byte(1);
  if (lead >= 0xC2 && lead <= 0xDF) return follows(1) ? 2 : 0;
  if ((lead & 0xF0) == 0xE0) {
    bool overlong = lead == 0xE0 && second < 0xA0;
    bool surrogate = lead == 0xED && second > 0x9F;
    return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    bool overlong = lead == 0xF0 && second < 0x90;
    bool too_high = lead == 0xF4 && second > 0x8F;
    return follows(1) && follows(2) && follows(3) && !overlong && !too_high ? 4 : 0;
  }
  return 0;
}

// First index at or after `i` whose byte cannot be copied as it is.
size_t SkipCopyable(std::string_view text, size_t i) {
  while (i < text.size()) {
    if (text.size() - i >= 8 && EightPlain(text.data() + i)) {
      i += 8;
      continue;
    }
    char escape = kEscapes[static_cast<uint8_t>(text[i])];
    if (escape == 0) {
      i++;
    } else if (size_t length = escape == 'x' ? SequenceLength(text.substr(i)) : 0) {
      i += length;
    } else {
      break;
    }
  }
  return i;
}

void AppendEscape(char c, std::string* out) {
  char escape = kEscapes[static_cast<uint8_t>(c)];
  if (escape == 'x') {
    out->append("\xEF\xBF\xBD");
  } else if (escape == 'u') {
    constexpr char kHex[] = "0123456789abcdef";
    const char text[] = {'\\', 'u', '0', '0', kHex[(c >> 4) & 1], kHex[c & 15]};
    out->append(text, sizeof(text));
  } else {
    const char text[] = {'\\', escape};
    out->append(text, sizeof(text));
  }
}

// --- scalars

size_t SkipDigits(std::string_view text, size_t i) {
  while (i < text.size() && IsDigit(text[i])) i++;
  return i;
}

bool IsJsonNumber(std::string_view text) {
  size_t start = !text.empty() && text[0] == '-' ? 1 : 0;
  size_t i = SkipDigits(text, start);
  if (i == start || (text[start] == '0' && i - start > 1)) return false;
  if (i < text.size() && text[i] == '.') {
    size_t fraction = i + 1;
    i = SkipDigits(text, fraction);
    if (i == fraction) return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    size_t exponent = i + 1;
    if (exponent < text.size() && (text[exponent] == '+' || text[exponent] == '-')) exponent++;
    i = SkipDigits(text, exponent);
    if (i == exponent) return false;
  }
  return i == text.size();
}

bool AppendNumber(std::string_view text, bool nested, std::string* out) {
  if (IsJsonNumber(text)) {
    out->append(text);
    return true;
  }
  if (text != "NaN" && text != "Infinity" && text != "-Infinity") return false;
  if (nested) {
    AppendText(text, out);
  } else {
    out->append("null");
  }
  return true;
}

bool AppendBool(std::string_view text, std::string* out) {
  if (text != "t" && text != "f") return false;
  out->append(text == "t" ? "true" : "false");
  return true;
}

bool AppendEmbedded(std::string_view text, std::string* out) {
  if (text.empty() || !json::IsValidUtf8(text)) return false;
  out->append(text);
  return true;
}

// "2021-01-02 03:04:05.5+00 BC" has its parts at: date, blank, clock, offset (timestamptz only), era.
bool AppendTimestamp(std::string_view text, bool with_zone, std::string* out) {
  if (text == "infinity" || text == "-infinity") {
    AppendText(text, out);
    return true;
  }
  if (text.find_first_not_of("0123456789-+:. BC") != std::string_view::npos) return false;
  size_t blank = text.find(' ');
  if (blank == std::string_view::npos || blank == 0) return false;
  std::string_view date = text.substr(0, blank);
  std::string_view rest = text.substr(blank + 1);
  size_t era_at = rest.find(' ');
  std::string_view era = era_at == std::string_view::npos ? std::string_view() : rest.substr(era_at);
  if (!era.empty() && era != " BC") return false;
  std::string_view clock = rest.substr(0, rest.size() - era.size());
  size_t offset = clock.find_first_of("+-");
  if (clock.empty() || with_zone != (offset != std::string_view::npos)) return false;

  out->push_back('"');
  out->append(date);
  out->push_back('T');
  out->append(clock);
  // ISO 8601 as to_jsonb writes it has minutes in the offset; output text leaves them out when they are zero.
  if (with_zone && clock.find(':', offset) == std::string_view::npos) out->append(":00");
  out->append(era);
  out->push_back('"');
  return true;
}

bool AppendBytea(std::string_view text, bool nested, std::string* out) {
  if (text.substr(0, 2) != "\\x") return false;
  if (text.find_first_not_of("0123456789abcdef", 2) != std::string_view::npos) return false;
  out->append(nested ? "\"\\\\x" : "\"");
  out->append(text.substr(2));
  out->push_back('"');
  return true;
}

// --- arrays and composites

bool Append(const TypeShape& shape, std::string_view text, bool nested, int depth, std::string* out);

// One element or field taken from a literal; `text` lives in the literal or in `unescaped`.
struct Item {
  std::string_view text;
  std::string unescaped;
  bool quoted = false;
};

// Reads the item at the front of *rest up to (not including) one of `ends`. A backslash makes the next byte plain, and
// so does, between quotes, a doubled quote (only records write that). An item is quoted wholly or not at all.
bool TakeItem(std::string_view ends, std::string_view* rest, Item* item) {
  std::string_view in = *rest;
  size_t i = 0;
  item->quoted = !in.empty() && in[0] == '"';
  if (item->quoted) i = 1;
  size_t start = i;
  bool copied = false;
  item->unescaped.clear();
  size_t run = start;
  for (;; i++) {
    if (i >= in.size()) return false;
    char c = in[i];
    bool doubled = item->quoted && c == '"' && i + 1 < in.size() && in[i + 1] == '"';
    if (c == '\\' || doubled) {
      if (i + 1 >= in.size()) return false;
      copied = true;
      item->unescaped.append(in, run, i - run);
      run = ++i;
      continue;
    }
    if (item->quoted ? c == '"' : ends.find(c) != std::string_view::npos) break;
    if (!item->quoted && c == '"') return false;
  }
  if (copied) item->unescaped.append(in, run, i - run);
  item->text = copied ? std::string_view(item->unescaped) : in.substr(start, i - start);
  if (item->quoted) i++;
  *rest = in.substr(i);
  return !rest->empty() && ends.find(rest->front()) != std::string_view::npos;
}

// Skips "[0:1][2:3]=" in front of an array with unusual bounds, which JSON cannot say.
bool SkipBounds(std::string_view* rest) {
  if (rest->empty() || rest->front() != '[') return true;
  size_t equals = rest->find('=');
  if (equals == std::string_view::npos || (*rest)[equals - 1] != ']') return false;
  if (rest->substr(0, equals).find_first_not_of("[]0123456789:+-") != std::string_view::npos) return false;
  rest->remove_prefix(equals + 1);
  return true;
}

bool AppendDimension(const TypeShape& shape, int depth, std::string_view* rest, Item* item, std::string* out);

bool AppendElement(const TypeShape& shape, int depth, std::string_view* rest, Item* item, std::string* out) {
  if (!rest->empty() && rest->front() == '{') return AppendDimension(shape, depth + 1, rest, item, out);
  const char ends[] = {shape.delimiter, '}'};
  if (!TakeItem(std::string_view(ends, sizeof(ends)), rest, item)) return false;
  if (!item->quoted && item->text.empty()) return false;
  if (!item->quoted && item->text == "NULL") {
    out->append("null");
    return true;
  }
  return Append(*shape.element, item->text, true, depth + 1, out);
}

// One pair of braces with what is inside; *rest moves past it.
bool AppendDimension(const TypeShape& shape, int depth, std::string_view* rest, Item* item, std::string* out) {
  if (depth > kMaxValueDepth || rest->empty() || rest->front() != '{') return false;
  rest->remove_prefix(1);
  out->push_back('[');
  if (!rest->empty() && rest->front() == '}') {
    rest->remove_prefix(1);
    out->push_back(']');
    return true;
  }
  for (;;) {
    if (!AppendElement(shape, depth, rest, item, out) || rest->empty()) return false;
    char after = rest->front();
    rest->remove_prefix(1);
    if (after == '}') break;
    if (after != shape.delimiter) return false;
    out->push_back(',');
  }
  out->push_back(']');
  return true;
}

bool AppendArray(const TypeShape& shape, std::string_view text, int depth, std::string* out) {
  Item item;
  return shape.element != nullptr && SkipBounds(&text) && AppendDimension(shape, depth, &text, &item, out) &&
         text.empty();
}

bool AppendField(const TypeShape* shape, int depth, std::string_view* rest, Item* item, std::string* out) {
  if (!TakeItem(",)", rest, item)) return false;
  if (!item->quoted && item->text.empty()) {
    out->append("null");
    return true;
  }
  return shape != nullptr && Append(*shape, item->text, true, depth + 1, out);
}

bool AppendComposite(const TypeShape& shape, std::string_view text, int depth, std::string* out) {
  if (text.size() < 2 || text.front() != '(') return false;
  if (shape.fields.empty()) {
    out->append("{}");
    return text == "()";
  }
  text.remove_prefix(1);
  Item item;
  char before = '{';
  for (const auto& [name, field] : shape.fields) {
    out->push_back(before);
    AppendText(name, out);
    out->push_back(':');
    if (!AppendField(field.get(), depth, &text, &item, out)) return false;
    bool last = &name == &shape.fields.back().first;
    if (text.front() != (last ? ')' : ',')) return false;
    text.remove_prefix(1);
    before = ',';
  }
  out->push_back('}');
  return text.empty();
}

bool Append(const TypeShape& shape, std::string_view text, bool nested, int depth, std::string* out) {
  if (depth > kMaxValueDepth) return false;
  switch (shape.kind) {
    case Kind::kNumber: return AppendNumber(text, nested, out);
    case Kind::kBool: return AppendBool(text, out);
    case Kind::kString: AppendText(text, out); return true;
    case Kind::kJson: return AppendEmbedded(text, out);
    case Kind::kTimestamp: return AppendTimestamp(text, false, out);
    case Kind::kTimestamptz: return AppendTimestamp(text, true, out);
    case Kind::kBytea: return AppendBytea(text, nested, out);
    case Kind::kArray: return AppendArray(shape, text, depth, out);
    case Kind::kComposite: return AppendComposite(shape, text, depth, out);
    case Kind::kCast: return false;
  }
  return false;
}

}  // namespace

void AppendText(std::string_view text, std::string* out) {
  out->push_back('"');
  size_t i = 0;
  while (true) {
    size_t end = SkipCopyable(text, i);
    out->append(text, i, end - i);
    if (end == text.size()) break;
    AppendEscape(text[end], out);
    i = end + 1;
  }
  out->push_back('"');
}

bool AppendJson(const TypeShape& shape, std::string_view text, bool nested, std::string* out) {
  size_t size = out->size();
  if (Append(shape, text, nested, 1, out)) return true;
  out->resize(size);
  return false;
}

}  // namespace realtime
