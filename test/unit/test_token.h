// Signs JSON Web Tokens for tests, with libcrypto and none of the code under test.
#ifndef REALTIME_TEST_UNIT_TEST_TOKEN_H_
#define REALTIME_TEST_UNIT_TEST_TOKEN_H_

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace realtime {

inline constexpr std::string_view kTestSecret = "a-secret-of-the-tests-with-32-bytes-or-more";

inline std::string Base64Url(std::string_view bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                             reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(size));
  while (!text.empty() && text.back() == '=') text.pop_back();
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

inline std::string SignToken(std::string_view claims, std::string_view secret = kTestSecret) {
  std::string text = Base64Url(R"({"alg":"HS256","typ":"JWT"})") + "." + Base64Url(claims);
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, &size);
  return text + "." + Base64Url(std::string_view(reinterpret_cast<char*>(mac), size));
}

inline std::string TokenFor(std::string_view role, int64_t exp_s, std::string_view sub = "") {
  std::string claims = R"({"role":")" + std::string(role) + R"(","exp":)" + std::to_string(exp_s);
  if (!sub.empty()) claims += R"(,"sub":")" + std::string(sub) + "\"";
  return SignToken(claims + "}");
}

}  // namespace realtime

#endif  // REALTIME_TEST_UNIT_TEST_TOKEN_H_
