#include "core/jwks.h"

#include <bit>
#include <optional>
#include <utility>

#include "core/base64url.h"
#include "core/json.h"

namespace realtime {
namespace {

constexpr size_t kMinRsaBits = 2048;
constexpr size_t kMaxRsaBits = 8192;     // a signature's check costs the square of it
constexpr size_t kMaxExponentBytes = 8;
constexpr size_t kMaxOctBytes = 4096;
constexpr size_t kMaxKidBytes = 1024;

struct CurveRow {
  std::string_view name;
  Curve curve;
  KeyType type;
  size_t coordinate_bytes;
};

constexpr CurveRow kCurves[] = {
    {"P-256", Curve::kP256, KeyType::kEc, 32},       {"P-384", Curve::kP384, KeyType::kEc, 48},
    {"P-521", Curve::kP521, KeyType::kEc, 66},       {"Ed25519", Curve::kEd25519, KeyType::kOkp, 32},
    {"Ed448", Curve::kEd448, KeyType::kOkp, 57},
};

const CurveRow* CurveOf(const json::Value& entry, KeyType type) {
  const json::Value* crv = entry.Find("crv");
  if (crv == nullptr || !crv->IsString()) return nullptr;
  for (const CurveRow& row : kCurves) {
    if (row.name == crv->string && row.type == type) return &row;
  }
  return nullptr;
}

std::optional<KeyType> TypeOf(const json::Value& entry) {
  const json::Value* kty = entry.Find("kty");
  if (kty == nullptr || !kty->IsString()) return std::nullopt;
  if (kty->string == "RSA") return KeyType::kRsa;
  if (kty->string == "EC") return KeyType::kEc;
  if (kty->string == "OKP") return KeyType::kOkp;
  if (kty->string == "oct") return KeyType::kOct;
  return std::nullopt;
}

Status Broken(const std::string& what) { return Status(Code::kInvalid, what); }

// An absent member leaves *text empty.
Status ReadText(const json::Value& entry, const char* name, std::string* text) {
  const json::Value* value = entry.Find(name);
  if (value == nullptr || value->IsNull()) return Status::Ok();
  if (!value->IsString()) return Broken(std::string("\"") + name + "\" is not a string");
  *text = value->string;
  return Status::Ok();
}

Status ReadBytes(const json::Value& entry, const char* name, size_t max_bytes, std::string* bytes) {
  std::string text;
  Status status = ReadText(entry, name, &text);
  if (!status.ok()) return status;
  if (text.size() > max_bytes * 2) return Broken(std::string("\"") + name + "\" is too long");
  std::optional<std::string> decoded = DecodeBase64Url(text);
  if (!decoded || decoded->empty()) {
    return Broken(std::string("\"") + name + "\" is missing or is not base64url without padding");
  }
  if (decoded->size() > max_bytes) return Broken(std::string("\"") + name + "\" is too long");
  *bytes = std::move(*decoded);
  return Status::Ok();
}

void DropLeadingZeros(std::string* number) {
  size_t first = number->find_first_not_of('\0');
  number->erase(0, first == std::string::npos ? number->size() : first);
}

bool IsOdd(const std::string& number) { return !number.empty() && (static_cast<uint8_t>(number.back()) & 1) != 0; }

size_t BitsOf(const std::string& number) {
  if (number.empty()) return 0;
  return (number.size() - 1) * 8 + static_cast<size_t>(std::bit_width(static_cast<uint8_t>(number.front())));
}

Status ReadRsa(const json::Value& entry, JsonWebKey* key) {
  Status status = ReadBytes(entry, "n", kMaxRsaBits / 8 + 1, &key->n);
  if (status.ok()) status = ReadBytes(entry, "e", kMaxExponentBytes, &key->e);
  if (!status.ok()) return status;
  DropLeadingZeros(&key->n);
  DropLeadingZeros(&key->e);
  size_t bits = BitsOf(key->n);
  if (bits < kMinRsaBits || bits > kMaxRsaBits) {
    return Broken("the RSA key has " + std::to_string(bits) + " bits, which must be " + std::to_string(kMinRsaBits) + " to " +
                  std::to_string(kMaxRsaBits));
  }
  // With an exponent of 1 everything is its own signature.
  if (!IsOdd(key->n) || !IsOdd(key->e) || BitsOf(key->e) < 2) return Broken("the RSA key's numbers are not those of a key");
  return Status::Ok();
}

Status ReadCoordinates(const json::Value& entry, size_t size, JsonWebKey* key) {
  Status status = ReadBytes(entry, "x", size, &key->x);
  if (status.ok() && key->type == KeyType::kEc) status = ReadBytes(entry, "y", size, &key->y);
  if (!status.ok()) return status;
  bool fits = key->x.size() == size && (key->type == KeyType::kOkp || key->y.size() == size);
  return fits ? Status::Ok() : Broken("\"x\" or \"y\" is shorter than the curve asks for");
}

bool IsForSignatures(const json::Value& entry) {
  const json::Value* use = entry.Find("use");
  return use == nullptr || (use->IsString() && use->string == "sig");
}

Status ReadNumbers(const json::Value& entry, size_t coordinate_bytes, JsonWebKey* key) {
  switch (key->type) {
    case KeyType::kRsa: return ReadRsa(entry, key);
    case KeyType::kOct: return ReadBytes(entry, "k", kMaxOctBytes, &key->k);
    case KeyType::kEc:
    case KeyType::kOkp: break;
  }
  return ReadCoordinates(entry, coordinate_bytes, key);
}

// *usable is false for a key that is passed over.
Status ReadKey(const json::Value& entry, JsonWebKey* key, bool* usable) {
  *usable = false;
  if (!entry.IsObject()) return Broken("is not an object");
  std::optional<KeyType> type = TypeOf(entry);
  if (!type || !IsForSignatures(entry)) return Status::Ok();
  key->type = *type;
  Status status = ReadText(entry, "kid", &key->kid);
  if (status.ok()) status = ReadText(entry, "alg", &key->alg);
  if (!status.ok() || key->kid.empty()) return status;
  if (key->kid.size() > kMaxKidBytes) return Broken("\"kid\" is too long");
  size_t coordinate_bytes = 0;
  if (key->type == KeyType::kEc || key->type == KeyType::kOkp) {
    const CurveRow* row = CurveOf(entry, key->type);
    if (row == nullptr) return Status::Ok();
    key->curve = row->curve;
    coordinate_bytes = row->coordinate_bytes;
  }
  status = ReadNumbers(entry, coordinate_bytes, key);
  *usable = status.ok();
  return status;
}

}  // namespace

Result<std::vector<JsonWebKey>> ReadJwks(std::string_view json) {
  if (json.size() > kMaxJwksBytes) return Status(Code::kTooLarge, "the key set is larger than 256 kB");
  Result<json::Value> parsed = json::Parse(json);
  if (!parsed.ok()) return parsed.status;
  const json::Value* entries = parsed.value.Find("keys");
  if (entries == nullptr || !entries->IsArray()) return Broken("not an object with an array \"keys\"");
  if (entries->elements.size() > kMaxJwksKeys) return Status(Code::kTooLarge, "the key set has more than 100 keys");
  std::vector<JsonWebKey> keys;
  for (size_t i = 0; i < entries->elements.size(); i++) {
    JsonWebKey key;
    bool usable = false;
    Status status = ReadKey(entries->elements[i], &key, &usable);
    if (!status.ok()) return Status(status.code(), "keys[" + std::to_string(i) + "]: " + status.message());
    key.index = i;
    if (usable) keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace realtime
