// What clients read when their token is refused.
#include "core/token.h"

#include <string>
#include <string_view>

#include "core/json.h"

namespace realtime {
namespace {

constexpr std::string_view kMissingClaimsText = "Fields `role` and `exp` are required in JWT";
constexpr std::string_view kMalformedText = "The token provided is not a valid JWT";
constexpr std::string_view kSignatureText = "Failed to validate JWT signature";

std::string ExpiredText(const Token& token) {
  return "Token has expired " + std::to_string(token.expired_for_s) + " seconds ago";
}

// The kid is the client's: quoted as JSON, it ends where it should.
std::string SignerText(const Token& token) {
  std::string text = "Failed to generate JWT signer";
  if (!token.kid.empty()) text += " for key ID (kid) " + json::Quote(token.kid);
  return text + ", check your JWT secret or JWKS configuration";
}

}  // namespace

std::string HandshakeErrorText(const Token& token) {
  switch (token.error) {
    case TokenError::kNone: return "";
    case TokenError::kMalformed: return std::string(kMalformedText);
    case TokenError::kBadSignature: return std::string(kSignatureText);
    case TokenError::kNoSigner: return SignerText(token);
    case TokenError::kExpired: return "Token has expired";
    case TokenError::kMissingClaims: return std::string(kMissingClaimsText);
    case TokenError::kInvalidClaim: break;
  }
  return "Error connecting to Realtime";
}

std::string JoinErrorText(const Token& token) {
  switch (token.error) {
    case TokenError::kNone: return "";
    case TokenError::kMalformed: return std::string("MalformedJWT: ").append(kMalformedText);
    case TokenError::kBadSignature: return std::string("JwtSignatureError: ").append(kSignatureText);
    case TokenError::kNoSigner: return "JwtSignerError: " + SignerText(token);
    case TokenError::kExpired: return "InvalidJWTToken: " + ExpiredText(token);
    case TokenError::kMissingClaims: return std::string("InvalidJWTToken: ").append(kMissingClaimsText);
    case TokenError::kInvalidClaim: break;
  }
  return "Unknown Error on Channel";
}

std::string SystemErrorText(const Token& token) {
  switch (token.error) {
    case TokenError::kNone: return "";
    case TokenError::kMalformed: return std::string(kMalformedText);
    case TokenError::kBadSignature: return ":signature_error";
    case TokenError::kNoSigner: return SignerText(token);
    case TokenError::kExpired: return ExpiredText(token);
    case TokenError::kMissingClaims: return std::string(kMissingClaimsText);
    case TokenError::kInvalidClaim: break;
  }
  return "Token expiration time is invalid";
}

int HandshakeErrorStatus(const Token& token) { return token.error == TokenError::kInvalidClaim ? 500 : 401; }

}  // namespace realtime
