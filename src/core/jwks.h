// The JSON side of a key set (RFC 7517): which keys it holds, decoded and bounded, without any cryptography.
#ifndef REALTIME_CORE_JWKS_H_
#define REALTIME_CORE_JWKS_H_

#include "core/pure.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace realtime {

// Room for the certificates that some issuers add to each key.
inline constexpr size_t kMaxJwksBytes = 256 * 1024;
inline constexpr size_t kMaxJwksKeys = 100;

enum class KeyType : uint8_t { kOct, kRsa, kEc, kOkp };
enum class Curve : uint8_t { kNone, kP256, kP384, kP521, kEd25519, kEd448 };

// Numbers are big-endian bytes.
struct JsonWebKey {
  size_t index = 0;  // in the array `keys`
  KeyType type = KeyType::kOct;
  Curve curve = Curve::kNone;  // kEc and kOkp
  std::string kid;             // never empty
  std::string alg;             // what the key is for; empty: whatever its type allows
  std::string n, e;            // kRsa: at least 2048 bits, odd; without leading zeros
  std::string x, y;            // kEc: both as long as the curve's field; kOkp: x alone
  std::string k;               // kOct: never empty
};

// Passed over: keys of types, curves and uses other than these, and keys without a kid, which no token could ask for. Fails
// on a key that is broken otherwise, with a text that begins with its place, "keys[2]".
Result<std::vector<JsonWebKey>> ReadJwks(std::string_view json);

}  // namespace realtime

#endif  // REALTIME_CORE_JWKS_H_
