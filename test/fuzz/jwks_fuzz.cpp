// The first byte chooses: the rest is a key set, whose keys must be within their bounds and believe nothing that nobody
// signed; or required claims, whose values must be JSON.
#include "core/jwks.h"

#include <string>
#include <string_view>
#include <vector>

#include "check.h"
#include "core/json.h"
#include "core/token.h"
#include "unit/test_token.h"

namespace {

using realtime::Base64Url;
using realtime::Curve;
using realtime::JsonWebKey;
using realtime::KeySetPtr;
using realtime::KeyType;
using realtime::Token;
using realtime::TokenError;
using realtime::TokenRules;

void CheckBounds(const JsonWebKey& key) {
  FUZZ_CHECK(!key.kid.empty() && key.kid.size() <= 1024 && key.index < realtime::kMaxJwksKeys);
  bool on_curve = key.type == KeyType::kEc || key.type == KeyType::kOkp;
  FUZZ_CHECK(on_curve == (key.curve != Curve::kNone));
  FUZZ_CHECK((key.type == KeyType::kOct) == !key.k.empty());
  FUZZ_CHECK((key.type == KeyType::kRsa) == !key.n.empty());
  FUZZ_CHECK(key.type != KeyType::kRsa || (key.n.size() >= 256 && key.n.size() <= 1024 && !key.e.empty() && key.e.size() <= 8));
  FUZZ_CHECK(on_curve == !key.x.empty());
  FUZZ_CHECK(key.type != KeyType::kEc || key.x.size() == key.y.size());
}

// A signature of zeros is nobody's, whatever the key. (An Edwards curve's key may be a point of which this is not so: then
// it is the set's owner who published a key that proves nothing.)
void CheckForgery(const JsonWebKey& key, const TokenRules& rules) {
  for (const char* alg : {"HS256", "RS256", "ES256", "ES384", "ES512"}) {
    std::string header = std::string("{\"alg\":\"") + alg + "\",\"kid\":" + realtime::json::Quote(key.kid) + "}";
    std::string text = Base64Url(header) + "." + Base64Url("{\"role\":\"r\",\"exp\":4102444800}");
    Token token = realtime::VerifyToken(text + "." + Base64Url(std::string(256, '\0')), rules, 0);
    FUZZ_CHECK(token.error == TokenError::kNoSigner || token.error == TokenError::kBadSignature);
    FUZZ_CHECK((token.error == TokenError::kNoSigner) == !token.kid.empty());
  }
}

void CheckKeySet(std::string_view text) {
  realtime::Result<std::vector<JsonWebKey>> read = realtime::ReadJwks(text);
  realtime::Result<KeySetPtr> parsed = realtime::ParseJwks(text);
  FUZZ_CHECK(parsed.ok() == (parsed.value != nullptr));
  FUZZ_CHECK(read.ok() || !parsed.ok());
  FUZZ_CHECK(parsed.ok() || !parsed.status.message().empty());
  for (const JsonWebKey& key : read.value) CheckBounds(key);
  if (!parsed.ok()) return;
  FUZZ_CHECK(realtime::KeyCount(*parsed.value) == read.value.size());
  TokenRules rules;
  rules.keys = parsed.value;
  for (const JsonWebKey& key : read.value) CheckForgery(key, rules);
}

void CheckRequired(std::string_view text) {
  realtime::Result<std::vector<realtime::RequiredClaim>> required = realtime::ParseRequiredClaims(text);
  if (!required.ok()) return;
  for (const realtime::RequiredClaim& claim : required.value) FUZZ_CHECK(realtime::json::Parse(claim.value).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 0) {
    CheckKeySet(rest);
  } else {
    CheckRequired(rest);
  }
  return 0;
}
