#include "core/token.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <string>
#include <utility>
#include <vector>

namespace realtime {
namespace {

constexpr int64_t kNowMs = 1700000000500;
constexpr const char* kHs256 = R"({"alg":"HS256","typ":"JWT"})";
constexpr const char* kClaims = R"({"role":"authenticated","exp":1700000060,"sub":"u1"})";
const char* const kSecret = "a secret of at least thirty-two characters";

std::string Base64Url(std::string_view bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string text;
  uint32_t bits = 0;
  int held = 0;
  for (char c : bytes) {
    bits = (bits << 8) | static_cast<uint8_t>(c);
    held += 8;
    while (held >= 6) {
      held -= 6;
      text.push_back(kDigits[(bits >> held) & 63]);
    }
  }
  if (held > 0) text.push_back(kDigits[(bits << (6 - held)) & 63]);
  return text;
}

std::string Mac(const EVP_MD* digest, const std::string& secret, const std::string& text) {
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(digest, secret.data(), static_cast<int>(secret.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), mac, &size);
  return std::string(reinterpret_cast<char*>(mac), size);
}

std::string Sign(std::string_view header, std::string_view claims, const std::string& secret = kSecret,
                 const EVP_MD* digest = EVP_sha256()) {
  std::string text = Base64Url(header) + "." + Base64Url(claims);
  return text + "." + Base64Url(Mac(digest, secret, text));
}

Token VerifyWith(std::string_view token, std::vector<std::string> secrets) {
  TokenRules rules;
  rules.secrets = std::move(secrets);
  return VerifyToken(token, rules, kNowMs);
}

Token Verify(std::string_view token) { return VerifyWith(token, {kSecret}); }

TokenError ErrorOfClaims(std::string_view claims) { return Verify(Sign(kHs256, claims)).error; }

TEST(Token, AcceptsTheThreeHmacAlgorithms) {
  EXPECT_TRUE(Verify(Sign(kHs256, kClaims)).ok());
  EXPECT_TRUE(Verify(Sign(R"({"alg":"HS384"})", kClaims, kSecret, EVP_sha384())).ok());
  EXPECT_TRUE(Verify(Sign(R"({"alg":"HS512"})", kClaims, kSecret, EVP_sha512())).ok());
}

TEST(Token, CarriesItsClaims) {
  Token token = Verify(Sign(kHs256, kClaims));
  ASSERT_TRUE(token.ok());
  EXPECT_EQ(token.role, "authenticated");
  EXPECT_EQ(token.sub, "u1");
  EXPECT_EQ(token.claims, kClaims);
  EXPECT_EQ(token.exp_s, 1700000060);
}

TEST(Token, VerifiesATokenMadeElsewhere) {
  const std::string token =
      "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ."
      "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";
  EXPECT_EQ(VerifyWith(token, {"your-256-bit-secret"}).error, TokenError::kMissingClaims);
  EXPECT_EQ(VerifyWith(token, {"your-256-bit-secret "}).error, TokenError::kBadSignature);
}

TEST(Token, AnyOfTheSecretsWillDoButNeverAnEmptyOne) {
  std::string token = Sign(kHs256, kClaims);
  EXPECT_TRUE(VerifyWith(token, {"other", kSecret}).ok());
  EXPECT_EQ(VerifyWith(token, {"other"}).error, TokenError::kBadSignature);
  EXPECT_EQ(VerifyWith(token, {}).error, TokenError::kNoSigner);
  std::string forged = Sign(kHs256, kClaims, "");
  EXPECT_EQ(VerifyWith(forged, {""}).error, TokenError::kNoSigner);
  EXPECT_EQ(VerifyWith(forged, {"", kSecret}).error, TokenError::kBadSignature);
}

TEST(Token, OtherAlgorithmsHaveNoSigner) {
  for (const char* header : {R"({"alg":"none"})", R"({"alg":"None"})", R"({"alg":"RS256"})", R"({"alg":"ES256"})",
                             R"({"alg":"PS256"})", R"({"alg":"EdDSA"})", R"({"alg":"hs256"})", R"({"alg":null})", R"({})"}) {
    EXPECT_EQ(Verify(Sign(header, kClaims)).error, TokenError::kNoSigner) << header;
  }
  EXPECT_EQ(Verify(Base64Url(R"({"alg":"none"})") + "." + Base64Url(kClaims) + ".").error, TokenError::kNoSigner);
}

TEST(Token, SignatureMustMatchExactly) {
  std::string token = Sign(kHs256, kClaims);
  std::string payload = token;
  size_t dot = token.find('.');
  payload.replace(dot + 1, token.rfind('.') - dot - 1, Base64Url(R"({"role":"postgres","exp":1700000060})"));
  EXPECT_EQ(Verify(payload).error, TokenError::kBadSignature);
  EXPECT_EQ(Verify(token.substr(0, token.rfind('.') + 1)).error, TokenError::kBadSignature);
  EXPECT_EQ(Verify(token.substr(0, token.size() - 3)).error, TokenError::kBadSignature);
  EXPECT_EQ(Verify(Sign(R"({"alg":"HS512"})", kClaims)).error, TokenError::kBadSignature);  // an HS256 mac
}

TEST(Token, MalformedOnes) {
  std::string token = Sign(kHs256, kClaims);
  for (const std::string& text :
       {std::string(), std::string("."), std::string(".."), std::string("a.b.c"), std::string("sb_publishable_x"),
        token.substr(0, token.rfind('.')), token + ".x", token + "=", token + "!", "%" + token, token + "%4", token + "%zz",
        Base64Url("[]") + "." + Base64Url(kClaims) + ".", Sign(kHs256, "[]"), Sign(kHs256, "{"), Sign(kHs256, "{\"a\":\"\xff\"}"),
        std::string(20000, 'x')}) {
    EXPECT_EQ(Verify(text).error, TokenError::kMalformed) << text;
  }
}

TEST(Token, OfUnusedBitsOnlyZerosAreAccepted) {
  std::string token = Sign(kHs256, kClaims);  // 32 bytes: two unused bits in the last digit
  std::string twin = token;
  ASSERT_NE(twin.back(), '_');
  twin.back() = static_cast<char>(twin.back() == 'Z' ? 'b' : twin.back() + 1);
  EXPECT_FALSE(Verify(twin).ok());
}

TEST(Token, LongerThanTheBoundIsMalformed) {
  std::string claims = R"({"role":"r","exp":1700000060,"x":")" + std::string(12000, 'x') + "\"}";
  std::string token = Sign(kHs256, claims);
  ASSERT_LE(token.size(), 16384u);
  EXPECT_TRUE(Verify(token).ok());
  claims.insert(claims.size() - 2, std::string(300, 'x'));
  token = Sign(kHs256, claims);
  ASSERT_GT(token.size(), 16384u);
  EXPECT_EQ(Verify(token).error, TokenError::kMalformed);
}

TEST(Token, PercentEscapesAndBlanksAreRemoved) {
  std::string token = Sign(kHs256, kClaims);
  size_t dot = token.find('.');
  std::string escaped = " \n" + token.substr(0, dot) + "%2E" + token.substr(dot + 1) + "%0a\t";
  EXPECT_TRUE(Verify(escaped).ok());
}

TEST(Token, RoleAndExpAreRequired) {
  for (const char* claims :
       {R"({"exp":1700000060})", R"({"role":"r"})", R"({"role":"","exp":1700000060})", R"({"role":5,"exp":1700000060})",
        R"({"role":null,"exp":1700000060})", R"({"role":"r","exp":null})", R"({"role":"r\u0000x","exp":1700000060})", "{}"}) {
    EXPECT_EQ(ErrorOfClaims(claims), TokenError::kMissingClaims) << claims;
  }
}

TEST(Token, ASubjectThatTheDatabaseWouldCutIsNone) {
  Token token = Verify(Sign(kHs256, R"({"role":"r","exp":1700000060,"sub":"u1\u0000x"})"));
  EXPECT_TRUE(token.ok());
  EXPECT_EQ(token.sub, "");
}

TEST(Token, ExtensionsThatMustBeUnderstoodAreNot) {
  EXPECT_EQ(Verify(Sign(R"({"alg":"HS256","crit":["b64"],"b64":false})", kClaims)).error, TokenError::kNoSigner);
  EXPECT_EQ(Verify(Sign(R"({"alg":"HS256","crit":[]})", kClaims)).error, TokenError::kNoSigner);
}

TEST(Token, ExpAndIatMustBeNumbers) {
  EXPECT_EQ(ErrorOfClaims(R"({"role":"r","exp":"1700000060"})"), TokenError::kInvalidClaim);
  EXPECT_EQ(ErrorOfClaims(R"({"role":"r","exp":1700000060,"iat":"x"})"), TokenError::kInvalidClaim);
  EXPECT_EQ(ErrorOfClaims(R"({"role":"r","exp":1700000060,"iat":null})"), TokenError::kInvalidClaim);
  EXPECT_EQ(ErrorOfClaims(R"({"role":"r","exp":1700000060,"iat":1.5})"), TokenError::kNone);
}

TEST(Token, ExpiresWithoutLeewayAndRoundsDecimals) {
  EXPECT_EQ(ErrorOfClaims(R"({"role":"r","exp":1700000001})"), TokenError::kNone);
  EXPECT_EQ(ErrorOfClaims(R"({"role":"r","exp":1700000000})"), TokenError::kExpired);
  EXPECT_EQ(ErrorOfClaims(R"({"role":"r","exp":1700000000.5})"), TokenError::kNone);
  EXPECT_EQ(ErrorOfClaims(R"({"role":"r","exp":1700000000.4})"), TokenError::kExpired);
  EXPECT_EQ(ErrorOfClaims(R"({"role":"r","exp":1e300})"), TokenError::kNone);
  EXPECT_EQ(ErrorOfClaims(R"({"role":"r","exp":-1e300})"), TokenError::kExpired);
  EXPECT_EQ(Verify(Sign(kHs256, R"({"role":"r","exp":1699999997})")).expired_for_s, 3);
}

TEST(Token, ChecksInOrder) {
  EXPECT_EQ(Verify(Sign(R"({"alg":"none"})", "{}")).error, TokenError::kNoSigner);
  EXPECT_EQ(Verify(Sign(kHs256, R"({"exp":1})", "other")).error, TokenError::kBadSignature);
  EXPECT_EQ(ErrorOfClaims(R"({"exp":1})"), TokenError::kMissingClaims);
  EXPECT_EQ(ErrorOfClaims(R"({"role":"r","exp":1,"iat":"x"})"), TokenError::kInvalidClaim);
}

TEST(Token, NothingOfARefusedTokenIsHandedOut) {
  Token token = Verify(Sign(kHs256, R"({"role":"postgres","exp":1,"sub":"u"})"));
  EXPECT_EQ(token.error, TokenError::kExpired);
  EXPECT_EQ(token.role + token.sub + token.claims, "");
}

TEST(TokenTexts, OfEveryError) {
  Token token;
  token.expired_for_s = 3;
  struct Row {
    TokenError error;
    int status;
    const char* handshake;
    const char* join;
    const char* system;
  };
  const char* signer = "Failed to generate JWT signer, check your JWT secret or JWKS configuration";
  const Row rows[] = {
      {TokenError::kMalformed, 401, "The token provided is not a valid JWT",
       "MalformedJWT: The token provided is not a valid JWT", "The token provided is not a valid JWT"},
      {TokenError::kBadSignature, 401, "Failed to validate JWT signature",
       "JwtSignatureError: Failed to validate JWT signature", ":signature_error"},
      {TokenError::kNoSigner, 401, signer,
       "JwtSignerError: Failed to generate JWT signer, check your JWT secret or JWKS configuration", signer},
      {TokenError::kExpired, 401, "Token has expired", "InvalidJWTToken: Token has expired 3 seconds ago",
       "Token has expired 3 seconds ago"},
      {TokenError::kMissingClaims, 401, "Fields `role` and `exp` are required in JWT",
       "InvalidJWTToken: Fields `role` and `exp` are required in JWT", "Fields `role` and `exp` are required in JWT"},
      {TokenError::kInvalidClaim, 500, "Error connecting to Realtime", "Unknown Error on Channel",
       "Token expiration time is invalid"},
  };
  for (const Row& row : rows) {
    token.error = row.error;
    EXPECT_EQ(HandshakeErrorText(token), row.handshake);
    EXPECT_EQ(HandshakeErrorStatus(token), row.status);
    EXPECT_EQ(JoinErrorText(token), row.join);
    EXPECT_EQ(SystemErrorText(token), row.system);
  }
}

}  // namespace
}  // namespace realtime
