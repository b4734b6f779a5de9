// Fuzzes value_json. Input: a shape as bytes (one per node, see ReadShape), a flag byte, and the text. What is accepted
// must be JSON and append; what is refused must leave the output alone.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/bytes.h"
#include "core/json.h"
#include "core/value_json.h"

namespace {

using namespace realtime;  // NOLINT: a program of one file

void Check(bool condition) {
  if (!condition) std::abort();
}

// json is left to its own check below: it is embedded unseen, so nothing can be said about the whole.
std::shared_ptr<const TypeShape> ReadShape(ByteReader* in, int budget) {
  constexpr TypeShape::Kind kKinds[] = {
      TypeShape::Kind::kString, TypeShape::Kind::kNumber,      TypeShape::Kind::kBool,  TypeShape::Kind::kTimestamp,
      TypeShape::Kind::kBytea,  TypeShape::Kind::kTimestamptz, TypeShape::Kind::kArray, TypeShape::Kind::kComposite,
      TypeShape::Kind::kArray,  TypeShape::Kind::kCast};
  auto shape = std::make_shared<TypeShape>();
  uint8_t node = in->U8();
  if (budget == 0) return shape;
  shape->kind = kKinds[node % std::size(kKinds)];
  if (shape->kind == TypeShape::Kind::kArray) {
    shape->delimiter = node < 128 ? ',' : ';';
    shape->element = ReadShape(in, budget - 1);
  } else if (shape->kind == TypeShape::Kind::kComposite) {
    size_t fields = node / std::size(kKinds) % 4;
    for (size_t i = 0; i < fields; i++) shape->fields.emplace_back("f\"" + std::to_string(i), ReadShape(in, budget - 1));
  }
  return shape;
}

// PostgreSQL's numeric goes beyond what RapidJSON takes as a number: outside strings, long runs of digits are cut and
// exponents lose all but their first digit. Neither makes bad grammar good.
std::string ShortenNumbers(std::string_view json) {
  std::string out;
  bool in_string = false;
  size_t digits = 0;
  for (size_t i = 0; i < json.size(); i++) {
    char c = json[i];
    bool digit = !in_string && c >= '0' && c <= '9';
    if (digit && digits++ >= 15) continue;
    if (!digit && c != '+' && c != '-') digits = !in_string && c == 'e' ? 14 : 0;
    if (!in_string && c == 'E') digits = 14;
    out.push_back(c);
    if (in_string && c == '\\' && i + 1 < json.size()) {
      out.push_back(json[++i]);
    } else if (c == '"') {
      in_string = !in_string;
    }
  }
  return out;
}

void CheckJsonShape(std::string_view text) {
  TypeShape shape;
  shape.kind = TypeShape::Kind::kJson;
  std::string out;
  bool accepted = AppendJson(shape, text, false, &out);
  Check(accepted == (!text.empty() && json::IsValidUtf8(text)));
  Check(out == (accepted ? text : std::string_view()));
}

void CheckText(std::string_view text) {
  std::string out;
  AppendText(text, &out);
  Result<json::Value> value = json::Parse(out);
  Check(value.ok() && value.value.IsString());
  if (json::IsValidUtf8(text)) Check(value.value.string == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteReader in(std::string_view(reinterpret_cast<const char*>(data), size));
  auto shape = ReadShape(&in, 5);
  bool nested = (in.U8() & 1) != 0;
  std::string_view text = in.Take(in.remaining());
  std::string out = "[";
  if (AppendJson(*shape, text, nested, &out)) {
    out += "]";
    Check(json::Parse(ShortenNumbers(out), {.max_depth = 200, .max_values = 10000000}).ok());
  } else {
    Check(out == "[");
  }
  CheckText(text);
  CheckJsonShape(text);
  return 0;
}
