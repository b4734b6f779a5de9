// Tokens signed with the keys of a JWKS, required claims, and opaque keys.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/token.h"
#include "test_keys.h"

namespace realtime {
namespace {

constexpr int64_t kNowMs = 1700000000500;
constexpr const char* kClaims = R"({"role":"authenticated","exp":1700000060,"sub":"u1"})";
const std::string kSecret(kTestSecret);

TestKey& SomeRsa() {
  static TestKey key = TestKey::Rsa(2048);
  return key;
}

std::string Header(const std::string& alg, const std::string& kid = "k1") {
  return R"({"alg":")" + alg + R"(","typ":"JWT","kid":")" + kid + "\"}";
}

TokenRules RulesOf(const std::string& jwks) {
  Result<KeySetPtr> keys = ParseJwks(jwks);
  EXPECT_TRUE(keys.ok()) << keys.status.message();
  TokenRules rules;
  rules.keys = std::move(keys.value);
  return rules;
}

TokenError ErrorOf(const std::string& token, const TokenRules& rules) { return VerifyToken(token, rules, kNowMs).error; }

std::string SignHmac(const std::string& header, const std::string& claims, const std::string& secret) {
  std::string text = Base64Url(header) + "." + Base64Url(claims);
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, &size);
  return text + "." + Base64Url(std::string_view(reinterpret_cast<char*>(mac), size));
}

struct Case {
  const char* alg;
  const EVP_MD* digest;
  const TestKey* key;
};

class Signed : public testing::Test {
 protected:
  const TestKey& rsa = SomeRsa();
  const TestKey p256 = TestKey::Ec("P-256"), p384 = TestKey::Ec("P-384"), p521 = TestKey::Ec("P-521");
  const TestKey ed25519 = TestKey::Ed("ED25519"), ed448 = TestKey::Ed("ED448");
  const std::vector<Case> cases = {
      {"RS256", EVP_sha256(), &rsa},  {"RS384", EVP_sha384(), &rsa},  {"RS512", EVP_sha512(), &rsa},
      {"ES256", EVP_sha256(), &p256}, {"ES384", EVP_sha384(), &p384}, {"ES512", EVP_sha512(), &p521},
      {"EdDSA", nullptr, &ed25519},   {"EdDSA", nullptr, &ed448},     {"Ed25519", nullptr, &ed25519},
      {"Ed448", nullptr, &ed448},
  };
};

TEST_F(Signed, ByEveryAlgorithm) {
  for (const Case& c : cases) {
    Token token = VerifyToken(c.key->Token(Header(c.alg), kClaims, c.digest), RulesOf(JwksOf({c.key->Jwk("k1")})), kNowMs);
    EXPECT_TRUE(token.ok()) << c.alg;
    EXPECT_EQ(token.role + " " + token.sub, "authenticated u1");
    EXPECT_EQ(token.claims, kClaims);
  }
}

TEST_F(Signed, ChangedTextOrSignatureIsRefused) {
  for (const Case& c : cases) {
    TokenRules rules = RulesOf(JwksOf({c.key->Jwk("k1")}));
    std::string text = Base64Url(Header(c.alg)) + "." + Base64Url(kClaims);
    std::string other = Base64Url(Header(c.alg)) + "." + Base64Url(R"({"role":"postgres","exp":1700000060})");
    std::string signature = c.key->Sign(text, c.digest);
    ASSERT_EQ(ErrorOf(text + "." + Base64Url(signature), rules), TokenError::kNone) << c.alg;
    EXPECT_EQ(ErrorOf(other + "." + Base64Url(signature), rules), TokenError::kBadSignature) << c.alg;
    for (size_t at : {size_t{0}, signature.size() / 2, signature.size() - 1}) {
      std::string flipped = signature;
      flipped[at] = static_cast<char>(flipped[at] ^ 1);
      EXPECT_EQ(ErrorOf(text + "." + Base64Url(flipped), rules), TokenError::kBadSignature) << c.alg << " at " << at;
    }
    for (const std::string& wrong : {std::string(), signature.substr(1), signature + '\0', '\0' + signature,
                                     std::string(signature.size(), '\0'), std::string(signature.size(), '\xff')}) {
      EXPECT_EQ(ErrorOf(text + "." + Base64Url(wrong), rules), TokenError::kBadSignature) << c.alg;
    }
  }
}

TEST_F(Signed, ByAnotherKeyOfThatTypeIsRefused) {
  EXPECT_EQ(ErrorOf(p256.Token(Header("ES256"), kClaims, EVP_sha256()), RulesOf(JwksOf({TestKey::Ec("P-256").Jwk("k1")}))),
            TokenError::kBadSignature);
  EXPECT_EQ(ErrorOf(ed25519.Token(Header("EdDSA"), kClaims, nullptr), RulesOf(JwksOf({TestKey::Ed("ED25519").Jwk("k1")}))),
            TokenError::kBadSignature);
}

// What a token of `c` meets when the set has, under the kid it names, the key of `other`.
TokenError Expected(const Case& c, const Case& other) {
  if (c.key == other.key) return TokenError::kNone;
  bool any_edwards_curve = std::string_view(c.alg) == "EdDSA" && other.alg[1] == 'd';  // EdDSA, Ed25519 and Ed448
  return any_edwards_curve ? TokenError::kBadSignature : TokenError::kNoSigner;
}

TEST_F(Signed, EveryAlgorithmAsksForItsOwnKindOfKey) {
  for (const Case& other : cases) {
    TokenRules rules = RulesOf(JwksOf({other.key->Jwk("k1")}));
    for (const Case& c : cases) {
      EXPECT_EQ(ErrorOf(c.key->Token(Header(c.alg), kClaims, c.digest), rules), Expected(c, other))
          << c.alg << " with the key of " << other.alg;
    }
  }
}

TEST_F(Signed, AKeyThatNamesItsAlgorithmServesNoOther) {
  TokenRules rules = RulesOf(JwksOf({rsa.Jwk("k1", R"(,"alg":"RS256")")}));
  EXPECT_EQ(ErrorOf(rsa.Token(Header("RS256"), kClaims, EVP_sha256()), rules), TokenError::kNone);
  EXPECT_EQ(ErrorOf(rsa.Token(Header("RS512"), kClaims, EVP_sha512()), rules), TokenError::kNoSigner);
  TokenRules pss = RulesOf(JwksOf({rsa.Jwk("k1", R"(,"alg":"PS256")")}));
  EXPECT_EQ(ErrorOf(rsa.Token(Header("RS256"), kClaims, EVP_sha256()), pss), TokenError::kNoSigner);
  EXPECT_EQ(ErrorOf(rsa.Token(Header("PS256"), kClaims, EVP_sha256()), pss), TokenError::kNoSigner);
  for (const char* own : {"EdDSA", "Ed25519"}) {
    TokenRules ed = RulesOf(JwksOf({ed25519.Jwk("k1", std::string(R"(,"alg":")") + own + "\"")}));
    EXPECT_EQ(ErrorOf(ed25519.Token(Header("EdDSA"), kClaims, nullptr), ed), TokenError::kNone) << own;
    EXPECT_EQ(ErrorOf(ed25519.Token(Header("Ed25519"), kClaims, nullptr), ed), TokenError::kNone) << own;
  }
}

// The public key is no secret: whoever signs an HS256 token with it, in any spelling, must not be believed.
TEST_F(Signed, APublicKeyIsNeverASharedSecret) {
  std::string n = rsa.Number(OSSL_PKEY_PARAM_RSA_N);
  for (bool with_secret : {false, true}) {
    TokenRules rules = RulesOf(JwksOf({rsa.Jwk("k1"), ed25519.Jwk("k2")}));
    if (with_secret) rules.secrets = {kSecret};
    for (const char* kid : {"k1", "k2"}) {
      for (const std::string& secret : {n, Base64Url(n), rsa.Jwk("k1"), ed25519.RawPublic(), std::string()}) {
        EXPECT_EQ(ErrorOf(SignHmac(Header("HS256", kid), kClaims, secret), rules),
                  with_secret ? TokenError::kBadSignature : TokenError::kNoSigner);
      }
    }
  }
}

TEST_F(Signed, AsymmetricOnesNeedAKidOfTheSet) {
  TokenRules rules = RulesOf(JwksOf({rsa.Jwk("k1")}));
  rules.secrets = {kSecret};
  Token token = VerifyToken(rsa.Token(R"({"alg":"RS256"})", kClaims, EVP_sha256()), rules, kNowMs);
  EXPECT_EQ(token.error, TokenError::kNoSigner);
  EXPECT_EQ(token.kid, "");
  for (const char* kid : {"k2", "K1", "k1 "}) {
    token = VerifyToken(rsa.Token(Header("RS256", kid), kClaims, EVP_sha256()), rules, kNowMs);
    EXPECT_EQ(token.error, TokenError::kNoSigner);
    EXPECT_EQ(token.kid, kid);
  }
  rules.keys = nullptr;
  EXPECT_EQ(ErrorOf(rsa.Token(Header("RS256"), kClaims, EVP_sha256()), rules), TokenError::kNoSigner);
}

TEST_F(Signed, OfKeysWithOneNameTheFittingOneIsTaken) {
  TokenRules rules = RulesOf(JwksOf({p256.Jwk("k1"), rsa.Jwk("k1"), ed448.Jwk("k1")}));
  EXPECT_EQ(ErrorOf(rsa.Token(Header("RS384"), kClaims, EVP_sha384()), rules), TokenError::kNone);
  EXPECT_EQ(ErrorOf(p256.Token(Header("ES256"), kClaims, EVP_sha256()), rules), TokenError::kNone);
  EXPECT_EQ(ErrorOf(ed448.Token(Header("EdDSA"), kClaims, nullptr), rules), TokenError::kNone);
}

TEST(SharedKey, OfTheSetIsTakenByKidElseTheSecrets) {
  TokenRules rules = RulesOf(JwksOf({R"({"kty":"oct","kid":"k1","k":")" + Base64Url("the key of the set") + "\"}"}));
  std::string token = SignHmac(Header("HS256"), kClaims, "the key of the set");
  EXPECT_EQ(ErrorOf(token, rules), TokenError::kNone);
  EXPECT_EQ(ErrorOf(SignHmac(Header("HS256"), kClaims, kSecret), rules), TokenError::kBadSignature);
  EXPECT_EQ(ErrorOf(SignHmac(R"({"alg":"HS256"})", kClaims, "the key of the set"), rules), TokenError::kNoSigner);
  rules.secrets = {kSecret};
  EXPECT_EQ(ErrorOf(SignHmac(Header("HS256"), kClaims, kSecret), rules), TokenError::kBadSignature);
  EXPECT_EQ(ErrorOf(SignHmac(Header("HS256", "unknown"), kClaims, kSecret), rules), TokenError::kNone);
  EXPECT_EQ(ErrorOf(SignHmac(R"({"alg":"HS256"})", kClaims, kSecret), rules), TokenError::kNone);
}

TEST(SignerText, NamesTheKeyBoundedAndQuoted) {
  auto text = [](const std::string& kid) {
    Token token = VerifyToken(SignHmac(R"({"alg":"ES256","kid":")" + kid + "\"}", kClaims, kSecret), TokenRules(), kNowMs);
    EXPECT_EQ(token.error, TokenError::kNoSigner);
    EXPECT_EQ(HandshakeErrorText(token), SystemErrorText(token));
    EXPECT_EQ("JwtSignerError: " + HandshakeErrorText(token), JoinErrorText(token));
    EXPECT_EQ(HandshakeErrorStatus(token), 401);
    return HandshakeErrorText(token);
  };
  const std::string before = "Failed to generate JWT signer for key ID (kid) \"";
  const std::string after = "\", check your JWT secret or JWKS configuration";
  EXPECT_EQ(text("X"), before + "X" + after);
  EXPECT_EQ(text(R"(a\"b\nc\\)"), before + R"(a\"b\nc\\)" + after);
  EXPECT_EQ(text(std::string(64, 'k')), before + std::string(64, 'k') + after);
  EXPECT_EQ(text(std::string(5000, 'k')), before + std::string(64, 'k') + "..." + after);
  EXPECT_EQ(text(std::string(63, 'k') + "\xc3\xa9"), before + std::string(63, 'k') + "..." + after);
  EXPECT_EQ(text(""), "Failed to generate JWT signer, check your JWT secret or JWKS configuration");
}

TEST(RequiredClaims, MustBeThereAndEqual) {
  struct Row {
    const char* required;
    const char* claims;
    bool good;
  };
  const Row rows[] = {
      {R"({})", R"("iss":"a")", true},
      {R"({"iss":"https://a/b"})", R"("iss":"https:\/\/a\/b")", true},
      {R"({"iss":"a"})", R"("iss":"b")", false},
      {R"({"iss":"a"})", R"("aud":"a")", false},
      {R"({"iss":"a","aud":"b"})", R"("iss":"a","aud":"b")", true},
      {R"({"iss":"a","aud":"b"})", R"("iss":"a")", false},
      {R"({"aud":"a"})", R"("aud":["a"])", false},
      {R"({"aud":["a","b"]})", R"("aud":["a", "b"])", true},
      {R"({"aud":["a","b"]})", R"("aud":["b","a"])", false},
      {R"({"aud":["a"]})", R"("aud":["a","b"])", false},
      {R"({"n":1})", R"("n":1.0)", true},
      {R"({"n":1})", R"("n":"1")", false},
      {R"({"n":1})", R"("n":true)", false},
      {R"({"n":9007199254740993})", R"("n":9007199254740992)", false},
      {R"({"n":null})", R"("n":null)", true},
      {R"({"n":null})", R"("m":null)", false},
      {R"({"n":true})", R"("n":false)", false},
      {R"({"o":{"a":1,"b":[2]}})", R"("o":{"b":[2],"a":1})", true},
      {R"({"o":{"a":1}})", R"("o":{"a":1,"b":2})", false},
      {R"({"o":{"a":1,"b":2}})", R"("o":{"a":1})", false},
      {R"({"iss":"a"})", R"("iss":"a","iss":"b")", false},
  };
  for (const Row& row : rows) {
    Result<std::vector<RequiredClaim>> required = ParseRequiredClaims(row.required);
    ASSERT_TRUE(required.ok()) << row.required;
    TokenRules rules;
    rules.secrets = {kSecret};
    rules.required = required.value;
    Token token = VerifyToken(SignToken(std::string(R"({"role":"r","exp":1700000060,)") + row.claims + "}"), rules, kNowMs);
    EXPECT_EQ(token.error, row.good ? TokenError::kNone : TokenError::kInvalidClaim) << row.required << " " << row.claims;
    EXPECT_EQ(token.role + token.claims == "", !row.good);
  }
}

TEST(RequiredClaims, AreAnObject) {
  for (const char* text : {"", "[]", "\"iss\"", "{", "null"}) EXPECT_FALSE(ParseRequiredClaims(text).ok()) << text;
  EXPECT_FALSE(ParseRequiredClaims("{\"a\":\"" + std::string(17000, 'x') + "\"}").ok());
  EXPECT_EQ(ParseRequiredClaims(R"({"iss": {"a" : 1}})").value[0].value, R"({"a" : 1})");
}

TEST(OpaqueKeys, StandForTheirRole) {
  TokenRules rules;
  EXPECT_TRUE(rules.empty());
  rules.opaque_keys = {{"sb_publishable_0123456789", "anon"}, {"sb_secret_0123456789", "service \"role\""}};
  EXPECT_FALSE(rules.empty());
  Token token = VerifyToken("sb_publishable_0123456789", rules, kNowMs);
  ASSERT_TRUE(token.ok());
  EXPECT_EQ(token.role, "anon");
  EXPECT_EQ(token.claims, R"({"role":"anon"})");
  EXPECT_EQ(token.sub, "");
  EXPECT_GT(token.exp_s, kNowMs);
  EXPECT_LT(token.exp_s, INT64_MAX / 1000);
  EXPECT_EQ(VerifyToken(" sb_secret%5F0123456789\n", rules, kNowMs).claims, R"({"role":"service \"role\""})");
  for (const char* text : {"sb_publishable_012345678", "sb_publishable_01234567890", "sb_publishable_0123456788", "sb_", ""}) {
    EXPECT_EQ(VerifyToken(text, rules, kNowMs).error, TokenError::kMalformed) << text;
  }
  rules.opaque_keys = {{"", "anon"}};
  EXPECT_EQ(VerifyToken("", rules, kNowMs).error, TokenError::kMalformed);
}

// Made with Node's crypto, so that a misreading of a format shared by this test and the code would show.
TEST(TokensMadeElsewhere, Verify) {
  const std::pair<const char*, const char*> vectors[] = {
      {R"({"keys":[{"kty":"EC","x":"BnotJlnxvLNRd63g_I2YSN5oVqQabf6ZtBKWjvev-wI","y":"g2nzU3eh2Sid_dDEAnOxrnbdpEJJq)"
       R"(rq46W3Fj4pL9xc","crv":"P-256","kid":"node-ES256"}]})",
       "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6Im5vZGUtRVMyNTYifQ.eyJyb2xlIjoiYW5vbiIsImV4cCI6NDEwMjQ0NDgwMH0.E"
       "CXzz9VZHM9Kp3fBZftlw_bqbnW5sPMfCrvBFy6liG_pqeMVtWBgJRyLCHt3ZYOZBfRX1BDSrWzzaEkt1RdGGg"},
      {R"({"keys":[{"crv":"Ed25519","x":"FV-qRgCQka0_OpdTjBHuHMP_p_ajzwNNbfT37GPElmw","kty":"OKP","kid":"node-EdDSA)"
       R"("}]})",
       "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCIsImtpZCI6Im5vZGUtRWREU0EifQ.eyJyb2xlIjoiYW5vbiIsImV4cCI6NDEwMjQ0NDgwMH0.s"
       "HmAj83OWVHpNx4YI0y-frIakxZh_PSMPEZYyWdzdZZj0lb41rJkB86R_nwKpD7ZwOlYYbz542oIN57cjoU7Cw"},
  };
  for (const auto& [jwks, token] : vectors) {
    EXPECT_EQ(VerifyToken(token, RulesOf(jwks), kNowMs).role, "anon") << jwks;
  }
}

}  // namespace
}  // namespace realtime
