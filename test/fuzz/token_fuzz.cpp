// The first byte chooses: the rest is a token, which must never verify under a secret nobody signed with; or it is a
// claims text that we sign, where the outcome must be one of the claims'.
#include "core/token.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <string>

#include "check.h"
#include "core/json.h"

namespace {

using realtime::Token;
using realtime::TokenError;

constexpr int64_t kNowMs = 1700000000000;
const char* const kSecret = "only this target knows and never prints it";

std::string Base64Url(std::string_view bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    size_t taken = std::min<size_t>(3, bytes.size() - i);
    for (size_t j = 0; j < 3; j++) bits = (bits << 8) | (j < taken ? static_cast<uint8_t>(bytes[i + j]) : 0);
    for (size_t j = 0; j <= taken; j++) text.push_back(kDigits[(bits >> (18 - 6 * j)) & 63]);
  }
  return text;
}

std::string Sign(std::string_view claims) {
  std::string text = Base64Url("{\"alg\":\"HS256\"}") + "." + Base64Url(claims);
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  std::string_view secret = kSecret;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), mac, &size);
  return text + "." + Base64Url(std::string_view(reinterpret_cast<char*>(mac), size));
}

void CheckTexts(const Token& token) {
  FUZZ_CHECK(token.ok() == realtime::HandshakeErrorText(token).empty());
  FUZZ_CHECK(token.ok() == realtime::JoinErrorText(token).empty());
  FUZZ_CHECK(token.ok() == realtime::SystemErrorText(token).empty());
  FUZZ_CHECK(token.ok() || (token.role.empty() && token.claims.empty() && token.sub.empty()));
}

void CheckForeign(std::string_view text) {
  Token token = realtime::VerifyToken(text, {kSecret, ""}, kNowMs);
  FUZZ_CHECK(token.error == TokenError::kMalformed || token.error == TokenError::kNoSigner ||
             token.error == TokenError::kBadSignature);
  FUZZ_CHECK(realtime::VerifyToken(text, {}, kNowMs).error != TokenError::kBadSignature);
  CheckTexts(token);
}

void CheckSigned(std::string_view claims) {
  Token token = realtime::VerifyToken(Sign(claims), {"another", kSecret}, kNowMs);
  FUZZ_CHECK(token.error != TokenError::kNoSigner && token.error != TokenError::kBadSignature);
  CheckTexts(token);
  if (token.error == TokenError::kExpired) FUZZ_CHECK(token.expired_for_s >= 0 && token.exp_s <= kNowMs / 1000);
  if (!token.ok()) return;
  FUZZ_CHECK(token.claims == claims && !token.role.empty() && token.exp_s > kNowMs / 1000);
  FUZZ_CHECK(realtime::json::Parse(token.claims).value.Find("role")->string == token.role);
  FUZZ_CHECK(realtime::VerifyToken(Sign(claims), {"another"}, kNowMs).error == TokenError::kBadSignature);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 0) {
    CheckForeign(rest);
  } else {
    CheckSigned(rest);
  }
  return 0;
}
