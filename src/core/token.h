// JSON Web Tokens: HS256/384/512 with a shared secret or an `oct` key, RS256/384/512, ES256/384/512 and EdDSA with the keys
// of a JWKS; and the opaque keys (sb_...) that stand for a role. The only file pair of core that sees libcrypto.
#ifndef REALTIME_CORE_TOKEN_H_
#define REALTIME_CORE_TOKEN_H_

#include "core/pure.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace realtime {

// Who a channel acts as. Subscribers with equal identities share their audience.
struct Identity {
  std::string role;     // claim `role`: a database role name
  std::string claims;   // the token's payload, JSON text as signed
  std::string sub;      // claim `sub`, or empty
  std::string headers;  // JSON object of the connection's x- headers
  bool operator==(const Identity&) const = default;
};

// The public and shared keys of a JWKS, ready for use. Immutable, thread-safe.
class KeySet;
using KeySetPtr = std::shared_ptr<const KeySet>;
// {"keys":[{"kty":"RSA","kid":"...","n":"...","e":"..."}, ...]}. Passed over: keys of unknown types, curves and uses, and keys
// without a kid, which no token can ask for. A key that is broken otherwise fails the whole set with a text that names it
// by its index ("keys[2]: ...").
Result<KeySetPtr> ParseJwks(std::string_view json);
size_t KeyCount(const KeySet& keys);

struct OpaqueKey {
  std::string key;   // never empty
  std::string role;
};

struct RequiredClaim {
  std::string name;
  std::string value;  // JSON text
};
// {"iss":"https://...","aud":"authenticated"}: claims that a token must carry with exactly these values.
Result<std::vector<RequiredClaim>> ParseRequiredClaims(std::string_view json);

// Whom to believe.
struct TokenRules {
  std::vector<std::string> secrets;      // any of them may have signed
  KeySetPtr keys;                        // null: none
  std::vector<RequiredClaim> required;
  std::vector<OpaqueKey> opaque_keys;

  // Nobody can be believed: no connection will be accepted.
  bool empty() const { return secrets.empty() && keys == nullptr && opaque_keys.empty(); }
};

enum class TokenError : uint8_t {
  kNone,
  kMalformed,       // not a JWT
  kBadSignature,
  kNoSigner,        // unsupported alg, or no key configured; with `kid`, no key of that name
  kExpired,
  kMissingClaims,   // no `role` or no `exp`
  kInvalidClaim,    // exp or iat not a number, or a required claim is missing or differs
};

struct Token {
  TokenError error = TokenError::kNone;
  int64_t expired_for_s = 0;  // kExpired: seconds since exp
  int64_t exp_s = 0;          // seconds since 1970
  std::string role;
  std::string sub;
  std::string claims;         // JSON text of the payload
  std::string kid;            // kNoSigner: the key that was asked for, cut to a length for messages; empty: none
  bool ok() const { return error == TokenError::kNone; }
};

// Verifies `token` (URI-decoded, blanks removed, both done here): alg is checked against the allowed list before any
// cryptography, shared secrets and signatures made with them are compared in constant time. More than 16 KiB are
// kMalformed. Key choice: with a `kid` the JWKS's key of that name that fits alg (type, curve, and the key's own alg if it
// has one), else for HS* the secrets; without one HS* with the secrets only. An opaque key is the token itself: it never
// expires, its claims are {"role":...}.
Token VerifyToken(std::string_view token, const TokenRules& rules, int64_t now_unix_ms);

// Takes the same time wherever they differ; not so when their lengths do.
bool SameSecret(std::string_view a, std::string_view b);

// The text for each place it can appear in.
std::string HandshakeErrorText(const Token& token);
std::string JoinErrorText(const Token& token);     // "InvalidJWTToken: Token has expired 3 seconds ago"
std::string SystemErrorText(const Token& token);   // "Token has expired 0 seconds ago"
int HandshakeErrorStatus(const Token& token);      // 401 or 500

}  // namespace realtime

#endif  // REALTIME_CORE_TOKEN_H_
