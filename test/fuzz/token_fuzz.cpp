// The first byte chooses: the rest is a token, which must never verify under keys nobody signed with; or it is a
// signature, tried with every kind of key; or it is a claims text that we sign, where the outcome must be one of the
// claims'.
#include "core/token.h"

#include <string>
#include <utility>
#include <vector>

#include "check.h"
#include "core/json.h"
#include "unit/test_token.h"

namespace {

using realtime::Base64Url;
using realtime::SignToken;
using realtime::Token;
using realtime::TokenError;
using realtime::TokenRules;

constexpr int64_t kNowMs = 1700000000000;
const char* const kSecret = "only this target knows and never prints it";

std::string Sign(std::string_view claims) { return SignToken(claims, kSecret); }

void CheckTexts(const Token& token) {
  FUZZ_CHECK(token.ok() == realtime::HandshakeErrorText(token).empty());
  FUZZ_CHECK(token.ok() == realtime::JoinErrorText(token).empty());
  FUZZ_CHECK(token.ok() == realtime::SystemErrorText(token).empty());
  FUZZ_CHECK(token.ok() || (token.role.empty() && token.claims.empty() && token.sub.empty()));
}

// Keys whose private sides were thrown away; no secret of type oct.
const TokenRules& PublicKeys() {
  static const TokenRules rules = [] {
    TokenRules made;
    std::string n = std::string(1, '\xc1') + std::string(254, 'n') + std::string(1, '\x01');
    realtime::Result<realtime::KeySetPtr> keys = realtime::ParseJwks(
        R"({"keys":[{"kid":"k","kty":"EC","crv":"P-256","x":"BnotJlnxvLNRd63g_I2YSN5oVqQabf6ZtBKWjvev-wI",)"
        R"("y":"g2nzU3eh2Sid_dDEAnOxrnbdpEJJqrq46W3Fj4pL9xc"},)"
        R"({"kid":"k","kty":"OKP","crv":"Ed25519","x":"FV-qRgCQka0_OpdTjBHuHMP_p_ajzwNNbfT37GPElmw"},)"
        R"({"kid":"k","kty":"RSA","e":"AQAB","n":")" + Base64Url(n) + "\"}]}");
    FUZZ_CHECK(keys.ok() && realtime::KeyCount(*keys.value) == 3);
    made.keys = keys.value;
    return made;
  }();
  return rules;
}

TokenRules Secrets(std::vector<std::string> secrets) {
  TokenRules rules;
  rules.secrets = std::move(secrets);
  return rules;
}

void CheckForeign(std::string_view text) {
  Token token = realtime::VerifyToken(text, Secrets({kSecret, ""}), kNowMs);
  FUZZ_CHECK(token.error == TokenError::kMalformed || token.error == TokenError::kNoSigner ||
             token.error == TokenError::kBadSignature);
  FUZZ_CHECK(realtime::VerifyToken(text, {}, kNowMs).error != TokenError::kBadSignature);
  FUZZ_CHECK(!realtime::VerifyToken(text, PublicKeys(), kNowMs).ok());
  CheckTexts(token);
}

// Whatever the signature, nobody has made it.
void CheckSignature(std::string_view signature) {
  for (const char* alg : {"RS256", "ES256", "EdDSA", "HS256"}) {
    std::string header = std::string("{\"alg\":\"") + alg + "\",\"kid\":\"k\"}";
    std::string text = Base64Url(header) + "." + Base64Url("{\"role\":\"r\",\"exp\":4102444800}") + ".";
    Token token = realtime::VerifyToken(text + Base64Url(signature), PublicKeys(), kNowMs);
    bool too_long = text.size() + signature.size() * 4 / 3 + 4 > 16 * 1024;
    FUZZ_CHECK(token.error == (alg[0] == 'H' ? TokenError::kNoSigner : TokenError::kBadSignature) ||
               (too_long && token.error == TokenError::kMalformed));
    CheckTexts(token);
  }
}

// A token that must say more is good only if it would be good without that.
void CheckRequired(const std::string& text, const Token& token) {
  static const std::vector<realtime::RequiredClaim> required =
      realtime::ParseRequiredClaims(R"({"aud":["a",1.5,{"b":null,"c":true}],"n":1})").value;
  FUZZ_CHECK(required.size() == 2);
  TokenRules rules = Secrets({kSecret});
  rules.required = required;
  Token strict = realtime::VerifyToken(text, rules, kNowMs);
  FUZZ_CHECK(token.ok() || !strict.ok());
  FUZZ_CHECK(!strict.ok() || realtime::json::Parse(strict.claims).value.Find("aud") != nullptr);
  CheckTexts(strict);
}

void CheckSigned(std::string_view claims) {
  Token token = realtime::VerifyToken(Sign(claims), Secrets({"another", kSecret}), kNowMs);
  FUZZ_CHECK(token.error != TokenError::kNoSigner && token.error != TokenError::kBadSignature);
  CheckTexts(token);
  CheckRequired(Sign(claims), token);
  if (token.error == TokenError::kExpired) FUZZ_CHECK(token.expired_for_s >= 0 && token.exp_s <= kNowMs / 1000);
  if (!token.ok()) return;
  FUZZ_CHECK(token.claims == claims && !token.role.empty() && token.exp_s > kNowMs / 1000);
  FUZZ_CHECK(realtime::json::Parse(token.claims).value.Find("role")->string == token.role);
  FUZZ_CHECK(realtime::VerifyToken(Sign(claims), Secrets({"another"}), kNowMs).error == TokenError::kBadSignature);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0: CheckForeign(rest); break;
    case 1: CheckSigned(rest); break;
    default: CheckSignature(rest); break;
  }
  return 0;
}
