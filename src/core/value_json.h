// PostgreSQL output text to JSON text, by a description of the type. Pure; pg/ builds the descriptions from the catalog.
// Rules: to_jsonb's, with the exceptions that Realtime clients know of plain columns (bytea without its prefix, NaN as null).
#ifndef REALTIME_CORE_VALUE_JSON_H_
#define REALTIME_CORE_VALUE_JSON_H_

#include "core/pure.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace realtime {

// How the output text of one type is to be read. Immutable once shared; domains have their base type's shape.
struct TypeShape {
  enum class Kind : uint8_t {
    kNumber,       // copied digit by digit; NaN and infinities become null, nested ones strings
    kBool,
    kString,       // every type without a rule of its own
    kJson,         // json and jsonb: embedded as it is
    kTimestamp,
    kTimestamptz,  // under TimeZone UTC (any offset is understood)
    kBytea,        // hex output
    kArray,
    kComposite,
    kCast,         // only the backend can tell: a user-defined cast to json decides, or it is too rare for a rule here
  };

  Kind kind = Kind::kString;
  char delimiter = ',';                      // kArray: typdelim of the element type
  std::shared_ptr<const TypeShape> element;  // kArray
  std::vector<std::pair<std::string, std::shared_ptr<const TypeShape>>> fields;  // kComposite, without dropped ones
};

// Shapes nested deeper than this, dimensions of arrays included, are refused.
inline constexpr int kMaxValueDepth = 64;

// Appends `text` as JSON. `nested` says that the value is inside an array, a composite or a domain: there bytea keeps its
// \x prefix, and NaN is a string. Returns false with *out as it was when the text is not what the shape says, or when kCast is met at any
// depth: the caller then asks the backend or falls back to AppendText.
bool AppendJson(const TypeShape& shape, std::string_view text, bool nested, std::string* out);

// Appends `text` as a JSON string. Never fails: bytes that are not UTF-8 (a SQL_ASCII database) become U+FFFD each,
// because one invalid byte would make a browser close the connection.
void AppendText(std::string_view text, std::string* out);

}  // namespace realtime

#endif  // REALTIME_CORE_VALUE_JSON_H_
