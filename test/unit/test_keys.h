// Key pairs for tests, made with libcrypto: their public side as a JSON Web Key, and tokens signed with their private side.
#ifndef REALTIME_TEST_UNIT_TEST_KEYS_H_
#define REALTIME_TEST_UNIT_TEST_KEYS_H_

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "test_token.h"

namespace realtime {

class TestKey {
 public:
  static TestKey Rsa(unsigned bits) { return TestKey(EVP_RSA_gen(bits), 0); }
  // "P-256", "P-384", "P-521".
  static TestKey Ec(const char* curve) {
    size_t bytes = curve[2] == '2' ? 32 : curve[2] == '3' ? 48 : 66;
    return TestKey(EVP_EC_gen(curve), bytes, curve);
  }
  // "ED25519", "ED448".
  static TestKey Ed(const char* name) { return TestKey(EVP_PKEY_Q_keygen(nullptr, nullptr, name), 0, name); }

  // A signature as tokens carry it. A null digest: the algorithm has its own.
  std::string Sign(std::string_view text, const EVP_MD* digest) const {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    std::string signature(1024, '\0');
    size_t size = signature.size();
    bool done = EVP_DigestSignInit(context, nullptr, digest, nullptr, key_.get()) == 1 &&
                EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size,
                               reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1;
    EVP_MD_CTX_free(context);
    signature.resize(done ? size : 0);
    return coordinate_bytes_ > 0 ? RawOf(signature) : signature;
  }

  std::string Token(std::string_view header, std::string_view claims, const EVP_MD* digest) const {
    std::string text = Base64Url(header) + "." + Base64Url(claims);
    return text + "." + Base64Url(Sign(text, digest));
  }

  // A number of the public key, big-endian, at least `size` bytes.
  std::string Number(const char* name, size_t size = 0) const {
    BIGNUM* number = nullptr;
    if (EVP_PKEY_get_bn_param(key_.get(), name, &number) != 1) return {};
    size_t length = std::max(size, static_cast<size_t>(BN_num_bytes(number)));
    std::string bytes(length, '\0');
    BN_bn2binpad(number, reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(length));
    BN_free(number);
    return bytes;
  }

  std::string RawPublic() const {
    std::string bytes(64, '\0');
    size_t size = bytes.size();
    EVP_PKEY_get_raw_public_key(key_.get(), reinterpret_cast<unsigned char*>(bytes.data()), &size);
    bytes.resize(size);
    return bytes;
  }

  // `more` is further members, each with a leading comma.
  std::string Jwk(std::string_view kid, std::string_view more = "") const {
    std::string text = "{\"kid\":\"" + std::string(kid) + "\"," + PublicMembers() + std::string(more);
    return text + "}";
  }

 private:
  TestKey(EVP_PKEY* key, size_t coordinate_bytes, std::string name = "")
      : key_(key, EVP_PKEY_free), coordinate_bytes_(coordinate_bytes), name_(std::move(name)) {}

  std::string PublicMembers() const {
    if (coordinate_bytes_ > 0) {
      return "\"kty\":\"EC\",\"crv\":\"" + name_ + "\",\"x\":\"" + Base64Url(Number(OSSL_PKEY_PARAM_EC_PUB_X, coordinate_bytes_)) +
             "\",\"y\":\"" + Base64Url(Number(OSSL_PKEY_PARAM_EC_PUB_Y, coordinate_bytes_)) + "\"";
    }
    if (!name_.empty()) {
      return std::string("\"kty\":\"OKP\",\"crv\":\"") + (name_ == "ED448" ? "Ed448" : "Ed25519") + "\",\"x\":\"" +
             Base64Url(RawPublic()) + "\"";
    }
    return "\"kty\":\"RSA\",\"n\":\"" + Base64Url(Number(OSSL_PKEY_PARAM_RSA_N)) + "\",\"e\":\"" +
           Base64Url(Number(OSSL_PKEY_PARAM_RSA_E)) + "\"";
  }

  // r and s side by side, each as long as the curve's field.
  std::string RawOf(const std::string& der) const {
    const auto* begin = reinterpret_cast<const unsigned char*>(der.data());
    ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &begin, static_cast<long>(der.size()));
    if (signature == nullptr) return {};
    std::string raw(2 * coordinate_bytes_, '\0');
    auto* bytes = reinterpret_cast<unsigned char*>(raw.data());
    int size = static_cast<int>(coordinate_bytes_);
    BN_bn2binpad(ECDSA_SIG_get0_r(signature), bytes, size);
    BN_bn2binpad(ECDSA_SIG_get0_s(signature), bytes + size, size);
    ECDSA_SIG_free(signature);
    return raw;
  }

  std::shared_ptr<EVP_PKEY> key_;
  size_t coordinate_bytes_ = 0;  // of an elliptic curve's keys
  std::string name_;
};

inline std::string JwksOf(std::initializer_list<std::string> keys) {
  std::string text = "{\"keys\":[";
  for (const std::string& key : keys) text += (text.back() == '[' ? "" : ",") + key;
  return text + "]}";
}

}  // namespace realtime

#endif  // REALTIME_TEST_UNIT_TEST_KEYS_H_
