#include "core/jwks.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/token.h"
#include "test_keys.h"

namespace realtime {
namespace {

constexpr const char* kOct = R"({"kty":"oct","kid":"o","k":"c2VjcmV0"})";

TestKey& SomeRsa() {
  static TestKey key = TestKey::Rsa(2048);
  return key;
}
TestKey& SomeEc() {
  static TestKey key = TestKey::Ec("P-256");
  return key;
}

std::string TextOfFailure(const std::string& jwks) {
  Result<KeySetPtr> parsed = ParseJwks(jwks);
  EXPECT_EQ(parsed.ok(), parsed.value != nullptr);
  return parsed.status.message();
}

size_t CountOf(const std::string& jwks) {
  Result<KeySetPtr> parsed = ParseJwks(jwks);
  EXPECT_TRUE(parsed.ok()) << parsed.status.message();
  return parsed.ok() ? KeyCount(*parsed.value) : 0;
}

std::string RsaOf(std::string n, std::string e) {
  return R"({"kty":"RSA","kid":"r","n":")" + Base64Url(n) + R"(","e":")" + Base64Url(e) + "\"}";
}

TEST(Jwks, ReadsEveryType) {
  std::string jwks = JwksOf({SomeRsa().Jwk("r", R"(,"alg":"RS256","use":"sig")"), SomeEc().Jwk("e"),
                             TestKey::Ed("ED25519").Jwk("d"), TestKey::Ed("ED448").Jwk("g"), kOct});
  Result<std::vector<JsonWebKey>> read = ReadJwks(jwks);
  ASSERT_TRUE(read.ok()) << read.status.message();
  ASSERT_EQ(read.value.size(), 5u);
  EXPECT_EQ(read.value[0].type, KeyType::kRsa);
  EXPECT_EQ(read.value[0].alg, "RS256");
  EXPECT_EQ(read.value[0].n, SomeRsa().Number(OSSL_PKEY_PARAM_RSA_N));
  EXPECT_EQ(read.value[1].curve, Curve::kP256);
  EXPECT_EQ(read.value[2].curve, Curve::kEd25519);
  EXPECT_EQ(read.value[3].curve, Curve::kEd448);
  EXPECT_EQ(read.value[4].k, "secret");
  EXPECT_EQ(read.value[4].index, 4u);
  EXPECT_EQ(CountOf(jwks), 5u);
}

// Among them what Supabase's own scripts write: the shared secret, without a kid.
TEST(Jwks, PassesOverWhatItCannotUse) {
  EXPECT_EQ(CountOf(JwksOf({})), 0u);
  for (const char* key :
       {R"({"kty":"oct","k":"c2VjcmV0","alg":"HS256"})", R"({"kty":"oct","kid":"","k":"c2VjcmV0"})", R"({"kty":"new","kid":"a"})",
        R"({"kid":"a"})", R"({"kty":7,"kid":"a"})", R"({"kty":"EC","kid":"a","crv":"secp256k1"})", R"({"kty":"EC","kid":"a"})",
        R"({"kty":"OKP","kid":"a","crv":"X25519"})", R"({"kty":"OKP","kid":"a","crv":"P-256"})",
        R"({"kty":"oct","kid":"a","k":"c2VjcmV0","use":"enc"})"}) {
    EXPECT_EQ(CountOf(JwksOf({key, kOct})), 1u) << key;
  }
}

TEST(Jwks, NamesTheBrokenKey) {
  const char* encoded = "keys[1]: \"k\" is missing or is not base64url without padding";
  EXPECT_EQ(TextOfFailure(JwksOf({kOct, R"({"kty":"oct","kid":"a"})"})), encoded);
  EXPECT_EQ(TextOfFailure(JwksOf({kOct, R"({"kty":"oct","kid":"a","k":""})"})), encoded);
  EXPECT_EQ(TextOfFailure(JwksOf({kOct, R"({"kty":"oct","kid":"a","k":"c2VjcmV0MQ=="})"})), encoded);
  EXPECT_EQ(TextOfFailure(JwksOf({kOct, R"({"kty":"oct","kid":"a","k":7})"})), "keys[1]: \"k\" is not a string");
  EXPECT_EQ(TextOfFailure(JwksOf({R"({"kty":"oct","kid":7,"k":"c2VjcmV0"})"})), "keys[0]: \"kid\" is not a string");
  EXPECT_EQ(TextOfFailure(JwksOf({kOct, kOct, "7"})), "keys[2]: is not an object");
}

TEST(Jwks, IsASetOfKeys) {
  EXPECT_EQ(TextOfFailure("{"), "not valid JSON");
  EXPECT_EQ(TextOfFailure("{\"keys\":[\"\xff\"]}"), "not valid UTF-8");
  for (const char* text : {"{}", "[]", "7", R"({"keys":{}})", R"({"keys":null})"}) {
    EXPECT_EQ(TextOfFailure(text), "not an object with an array \"keys\"") << text;
  }
}

TEST(Jwks, RsaHasABoundedSize) {
  std::string n = SomeRsa().Number(OSSL_PKEY_PARAM_RSA_N);
  std::string e = SomeRsa().Number(OSSL_PKEY_PARAM_RSA_E);
  EXPECT_EQ(TextOfFailure(JwksOf({RsaOf(n, e)})), "");
  EXPECT_EQ(TextOfFailure(JwksOf({RsaOf('\0' + n, '\0' + e)})), "");
  EXPECT_EQ(TextOfFailure(JwksOf({TestKey::Rsa(1024).Jwk("r")})), "keys[0]: the RSA key has 1024 bits, which must be 2048 to 8192");
  std::string short_by_a_bit = n;
  short_by_a_bit[0] = static_cast<char>((static_cast<uint8_t>(n[0]) & 0x7F) | 0x40);
  EXPECT_EQ(TextOfFailure(JwksOf({RsaOf(short_by_a_bit, e)})), "keys[0]: the RSA key has 2047 bits, which must be 2048 to 8192");
  EXPECT_EQ(TextOfFailure(JwksOf({RsaOf(std::string(1024, '\xff'), e)})), "");
  EXPECT_EQ(TextOfFailure(JwksOf({RsaOf("\x01" + std::string(1024, '\xff'), e)})),
            "keys[0]: the RSA key has 8193 bits, which must be 2048 to 8192");
  EXPECT_EQ(TextOfFailure(JwksOf({RsaOf(std::string(5000, '\xff'), e)})), "keys[0]: \"n\" is too long");
  EXPECT_EQ(TextOfFailure(JwksOf({RsaOf(std::string(300, '\0'), e)})), "keys[0]: the RSA key has 0 bits, which must be 2048 to 8192");
}

TEST(Jwks, RsaIsAKey) {
  std::string n = SomeRsa().Number(OSSL_PKEY_PARAM_RSA_N);
  const char* broken = "keys[0]: the RSA key's numbers are not those of a key";
  for (const std::string& e : {std::string("\x01"), std::string("\x02"), std::string(2, '\0')}) {
    EXPECT_EQ(TextOfFailure(JwksOf({RsaOf(n, e)})), broken);
  }
  n.back() = static_cast<char>(n.back() & 0xFE);
  EXPECT_EQ(TextOfFailure(JwksOf({RsaOf(n, "\x03")})), broken);
  EXPECT_EQ(TextOfFailure(JwksOf({RsaOf(n, std::string(9, '\x03'))})), "keys[0]: \"e\" is too long");
}

TEST(Jwks, APointIsOnItsCurve) {
  std::string x = SomeEc().Number(OSSL_PKEY_PARAM_EC_PUB_X, 32);
  std::string y = SomeEc().Number(OSSL_PKEY_PARAM_EC_PUB_Y, 32);
  auto key = [](const std::string& first, const std::string& second) {
    return JwksOf({R"({"kty":"EC","kid":"e","crv":"P-256","x":")" + Base64Url(first) + R"(","y":")" + Base64Url(second) + "\"}"});
  };
  EXPECT_EQ(TextOfFailure(key(x, y)), "");
  std::string other = y;
  other[31] = static_cast<char>(other[31] ^ 1);
  const char* broken = "keys[0]: its numbers are not those of a key";
  EXPECT_EQ(TextOfFailure(key(x, other)), broken);
  EXPECT_EQ(TextOfFailure(key(std::string(32, '\0'), std::string(32, '\0'))), broken);
  EXPECT_EQ(TextOfFailure(key(std::string(32, '\xff'), y)), broken);
  EXPECT_EQ(TextOfFailure(key(x, y.substr(1))), "keys[0]: \"x\" or \"y\" is shorter than the curve asks for");
  EXPECT_EQ(TextOfFailure(key(x, y + "x")), "keys[0]: \"y\" is too long");
  std::string okp = R"({"kty":"OKP","kid":"d","crv":"Ed25519","x":")" + Base64Url(x.substr(1)) + "\"}";
  EXPECT_EQ(TextOfFailure(JwksOf({okp})), "keys[0]: \"x\" or \"y\" is shorter than the curve asks for");
}

TEST(Jwks, IsBounded) {
  std::string hundred = "{\"keys\":[";
  for (int i = 0; i < 100; i++) hundred += std::string(i == 0 ? "" : ",") + kOct;
  EXPECT_EQ(CountOf(hundred + "]}"), 100u);
  EXPECT_EQ(TextOfFailure(hundred + "," + kOct + "]}"), "the key set has more than 100 keys");
  std::string blanks(kMaxJwksBytes - JwksOf({kOct}).size(), ' ');
  EXPECT_EQ(CountOf(JwksOf({kOct}) + blanks), 1u);
  EXPECT_EQ(TextOfFailure(JwksOf({kOct}) + blanks + " "), "the key set is larger than 256 kB");
  EXPECT_EQ(TextOfFailure(std::string(1000, '[')), "JSON nested too deeply or with too many values");
  std::string kid(1025, 'k');
  EXPECT_EQ(TextOfFailure(JwksOf({R"({"kty":"oct","k":"c2VjcmV0","kid":")" + kid + "\"}"})), "keys[0]: \"kid\" is too long");
  std::string k = Base64Url(std::string(4097, 'k'));
  EXPECT_EQ(TextOfFailure(JwksOf({R"({"kty":"oct","kid":"a","k":")" + k + "\"}"})), "keys[0]: \"k\" is too long");
}

}  // namespace
}  // namespace realtime
