// JSON Web Tokens: HS256, HS384, HS512 with a shared secret. The only file pair of core that sees libcrypto.
#ifndef REALTIME_CORE_TOKEN_H_
#define REALTIME_CORE_TOKEN_H_

#include "core/pure.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace realtime {

// Who a channel acts as. Subscribers with equal identities share their audience.
struct Identity {
  std::string role;     // claim `role`: a database role name
  std::string claims;   // the token's payload, JSON text as signed
  std::string sub;      // claim `sub`, or empty
  std::string headers;  // JSON object of the connection's x- headers
  bool operator==(const Identity&) const = default;
};

enum class TokenError : uint8_t {
  kNone,
  kMalformed,       // not a JWT
  kBadSignature,
  kNoSigner,        // unsupported alg, or no key configured
  kExpired,
  kMissingClaims,   // no `role` or no `exp`
  kInvalidClaim,    // exp or iat not a number
};

struct Token {
  TokenError error = TokenError::kNone;
  int64_t expired_for_s = 0;  // kExpired: seconds since exp
  int64_t exp_s = 0;          // seconds since 1970
  std::string role;
  std::string sub;
  std::string claims;         // JSON text of the payload
  bool ok() const { return error == TokenError::kNone; }
};

// Verifies `token` (URI-decoded, blanks removed, both done here) against any of the secrets: alg is checked against the
// allowed list before any cryptography, signatures are compared in constant time. More than 16 KiB are kMalformed, an empty
// list of secrets is kNoSigner.
Token VerifyToken(std::string_view token, const std::vector<std::string>& secrets, int64_t now_unix_ms);

// The text for each place it can appear in.
std::string HandshakeErrorText(const Token& token);
std::string JoinErrorText(const Token& token);     // "InvalidJWTToken: Token has expired 3 seconds ago"
std::string SystemErrorText(const Token& token);   // "Token has expired 0 seconds ago"
int HandshakeErrorStatus(const Token& token);      // 401 or 500

}  // namespace realtime

#endif  // REALTIME_CORE_TOKEN_H_
