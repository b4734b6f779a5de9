#include "core/token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "core/json.h"

namespace realtime {
namespace {

// Far above any token in use; blanks in a token do not count for its signature, so a length must.
constexpr size_t kMaxTokenBytes = 16 * 1024;
constexpr double kFarFuture = 9e15;  // seconds; keeps arithmetic on exp far from overflow

constexpr std::string_view kMissingClaimsText = "Fields `role` and `exp` are required in JWT";
constexpr std::string_view kMalformedText = "The token provided is not a valid JWT";
constexpr std::string_view kSignatureText = "Failed to validate JWT signature";
constexpr std::string_view kSignerText =
    "Failed to generate JWT signer, check your JWT secret or JWKS configuration";

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Percent-decodes and drops blanks. Nothing when an escape is broken.
std::optional<std::string> Clean(std::string_view token) {
  std::string clean;
  for (size_t i = 0; i < token.size(); i++) {
    char c = token[i];
    if (c == '%') {
      int high = i + 2 < token.size() ? HexDigit(token[i + 1]) : -1;
      int low = high >= 0 ? HexDigit(token[i + 2]) : -1;
      if (low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (c != ' ' && (c < '\t' || c > '\r')) clean.push_back(c);
  }
  return clean;
}

int Base64Digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '-') return 62;
  if (c == '_') return 63;
  return -1;
}

// Strict base64url without padding: one text per byte string, or a signature could be spelled in several ways.
std::optional<std::string> DecodeBase64Url(std::string_view text) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::string bytes;
  uint32_t bits = 0;
  int held = 0;
  for (char c : text) {
    int digit = Base64Digit(c);
    if (digit < 0) return std::nullopt;
    bits = (bits << 6) | static_cast<uint32_t>(digit);
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes.push_back(static_cast<char>((bits >> held) & 0xFF));
    }
  }
  if ((bits & ((1u << held) - 1)) != 0) return std::nullopt;
  return bytes;
}

struct Parts {
  json::Value header;  // points into header_text
  json::Value claims;  // points into claims_text
  std::string header_text;
  std::string claims_text;
  std::string signed_text;
  std::string signature;
};

bool DecodeObject(std::string_view part, std::string* text, json::Value* object) {
  std::optional<std::string> decoded = DecodeBase64Url(part);
  if (!decoded) return false;
  *text = std::move(*decoded);
  Result<json::Value> parsed = json::Parse(*text);
  if (!parsed.ok() || !parsed.value.IsObject()) return false;
  *object = std::move(parsed.value);
  return true;
}

bool Split(std::string_view token, Parts* parts) {
  size_t first = token.find('.');
  if (first == std::string_view::npos) return false;
  size_t second = token.find('.', first + 1);
  if (second == std::string_view::npos) return false;
  if (!DecodeObject(token.substr(0, first), &parts->header_text, &parts->header)) return false;
  if (!DecodeObject(token.substr(first + 1, second - first - 1), &parts->claims_text, &parts->claims)) return false;
  std::optional<std::string> signature = DecodeBase64Url(token.substr(second + 1));  // refuses a third dot
  if (!signature) return false;
  parts->signature = std::move(*signature);
  parts->signed_text = token.substr(0, second);
  return true;
}

// The digest of an allowed algorithm; null for everything else, `none` and asymmetric ones included.
const EVP_MD* DigestOf(const json::Value& header) {
  const json::Value* alg = header.Find("alg");
  if (alg == nullptr || !alg->IsString()) return nullptr;
  if (alg->string == "HS256") return EVP_sha256();
  if (alg->string == "HS384") return EVP_sha384();
  if (alg->string == "HS512") return EVP_sha512();
  return nullptr;
}

bool IsSignedWith(const std::string& secret, const EVP_MD* digest, const Parts& parts) {
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (secret.size() > static_cast<size_t>(std::numeric_limits<int>::max())) return false;
  const auto* text = reinterpret_cast<const unsigned char*>(parts.signed_text.data());
  if (HMAC(digest, secret.data(), static_cast<int>(secret.size()), text, parts.signed_text.size(), mac, &size) ==
      nullptr) {
    return false;
  }
  return parts.signature.size() == size && CRYPTO_memcmp(mac, parts.signature.data(), size) == 0;
}

// An empty secret is no secret: anybody could sign with it.
TokenError CheckSignature(const Parts& parts, const std::vector<std::string>& secrets) {
  const EVP_MD* digest = DigestOf(parts.header);
  bool any_secret = std::any_of(secrets.begin(), secrets.end(), [](const std::string& s) { return !s.empty(); });
  if (digest == nullptr || !any_secret) return TokenError::kNoSigner;
  for (const std::string& secret : secrets) {
    if (!secret.empty() && IsSignedWith(secret, digest, parts)) return TokenError::kNone;
  }
  return TokenError::kBadSignature;
}

bool IsNumber(const json::Value& value) { return value.type == json::Type::kNumber && !std::isnan(value.number); }

void CheckClaims(const Parts& parts, int64_t now_unix_ms, Token* token) {
  const json::Value* exp = parts.claims.Find("exp");
  const json::Value* role = parts.claims.Find("role");
  const json::Value* iat = parts.claims.Find("iat");
  const json::Value* sub = parts.claims.Find("sub");
  bool has_role = role != nullptr && role->IsString() && !role->string.empty() &&
                  role->string.find('\0') == std::string::npos;  // no role's name has one, and C would cut there
  if (!has_role || exp == nullptr || exp->IsNull()) {
    token->error = TokenError::kMissingClaims;
    return;
  }
  if (!IsNumber(*exp) || (iat != nullptr && !IsNumber(*iat))) {
    token->error = TokenError::kInvalidClaim;
    return;
  }
  token->exp_s = static_cast<int64_t>(std::round(std::clamp(exp->number, -kFarFuture, kFarFuture)));
  int64_t now_s = now_unix_ms / 1000;
  if (token->exp_s <= now_s) {
    token->error = TokenError::kExpired;
    token->expired_for_s = now_s - token->exp_s;
    return;
  }
  token->role = role->string;
  if (sub != nullptr && sub->IsString()) token->sub = sub->string;
  token->claims = parts.claims_text;
}

std::string ExpiredText(const Token& token) {
  return "Token has expired " + std::to_string(token.expired_for_s) + " seconds ago";
}

}  // namespace

Token VerifyToken(std::string_view token, const std::vector<std::string>& secrets, int64_t now_unix_ms) {
  Token result;
  Parts parts;
  std::optional<std::string> clean;
  if (token.size() <= kMaxTokenBytes) clean = Clean(token);
  if (!clean || !Split(*clean, &parts)) {
    result.error = TokenError::kMalformed;
    return result;
  }
  result.error = CheckSignature(parts, secrets);
  if (result.ok()) CheckClaims(parts, now_unix_ms, &result);
  return result;
}

std::string HandshakeErrorText(const Token& token) {
  switch (token.error) {
    case TokenError::kNone: return "";
    case TokenError::kMalformed: return std::string(kMalformedText);
    case TokenError::kBadSignature: return std::string(kSignatureText);
    case TokenError::kNoSigner: return std::string(kSignerText);
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
    case TokenError::kNoSigner: return std::string("JwtSignerError: ").append(kSignerText);
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
    case TokenError::kNoSigner: return std::string(kSignerText);
    case TokenError::kExpired: return ExpiredText(token);
    case TokenError::kMissingClaims: return std::string(kMissingClaimsText);
    case TokenError::kInvalidClaim: break;
  }
  return "Token expiration time is invalid";
}

int HandshakeErrorStatus(const Token& token) { return token.error == TokenError::kInvalidClaim ? 500 : 401; }

}  // namespace realtime
