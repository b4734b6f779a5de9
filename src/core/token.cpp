#include "core/token.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "core/ascii.h"
#include "core/base64url.h"
#include "core/claims.h"
#include "core/json.h"
#include "core/jwks.h"

namespace realtime {

template <auto kFree>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using EvpKey = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;

// The keys of type oct have no EVP_PKEY, the others no secret bytes: neither can be taken for the other.
class KeySet {
 public:
  struct Key {
    JsonWebKey json;
    EvpKey evp;
  };
  std::vector<Key> keys;
};

namespace {

using BigNumber = std::unique_ptr<BIGNUM, Freer<BN_free>>;
using EvpContext = std::unique_ptr<EVP_PKEY_CTX, Freer<EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;
using EcdsaSignature = std::unique_ptr<ECDSA_SIG, Freer<ECDSA_SIG_free>>;
using ParamBuilder = std::unique_ptr<OSSL_PARAM_BLD, Freer<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Freer<OSSL_PARAM_free>>;

// Far above any token in use; blanks in a token do not count for its signature, so a length must.
constexpr size_t kMaxTokenBytes = 16 * 1024;
constexpr size_t kMaxKidShown = 64;

const unsigned char* Bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

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

// What an allowed `alg` asks of its key. The type of a key decides what is done with it, never the token alone.
struct Algorithm {
  std::string_view name;
  KeyType type;
  Curve curve;              // kNone: any of the type's
  const EVP_MD* (*digest)();  // null: the algorithm has its own
};

constexpr Algorithm kAlgorithms[] = {
    {"HS256", KeyType::kOct, Curve::kNone, EVP_sha256}, {"HS384", KeyType::kOct, Curve::kNone, EVP_sha384},
    {"HS512", KeyType::kOct, Curve::kNone, EVP_sha512}, {"RS256", KeyType::kRsa, Curve::kNone, EVP_sha256},
    {"RS384", KeyType::kRsa, Curve::kNone, EVP_sha384}, {"RS512", KeyType::kRsa, Curve::kNone, EVP_sha512},
    {"ES256", KeyType::kEc, Curve::kP256, EVP_sha256},  {"ES384", KeyType::kEc, Curve::kP384, EVP_sha384},
    {"ES512", KeyType::kEc, Curve::kP521, EVP_sha512},  {"EdDSA", KeyType::kOkp, Curve::kNone, nullptr},
    {"Ed25519", KeyType::kOkp, Curve::kEd25519, nullptr}, {"Ed448", KeyType::kOkp, Curve::kEd448, nullptr},
};

const Algorithm* AlgorithmOf(std::string_view name) {
  for (const Algorithm& algorithm : kAlgorithms) {
    if (algorithm.name == name) return &algorithm;
  }
  return nullptr;
}

// A key that names its algorithm serves that one only; the names of EdDSA differ by nothing but the curve they tell.
bool Fits(const JsonWebKey& key, const Algorithm& algorithm) {
  if (key.type != algorithm.type) return false;
  if (algorithm.curve != Curve::kNone && algorithm.curve != key.curve) return false;
  if (key.alg.empty() || key.alg == algorithm.name) return true;
  const Algorithm* own = AlgorithmOf(key.alg);
  return key.type == KeyType::kOkp && own != nullptr && own->type == KeyType::kOkp &&
         (own->curve == Curve::kNone || own->curve == key.curve);
}

EvpKey MakeFromParams(const char* type, OSSL_PARAM* params) {
  EvpContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!context || params == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1) return nullptr;
  if (EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params) != 1) return nullptr;
  return EvpKey(key);
}

BigNumber NumberOf(std::string_view bytes) {
  return BigNumber(BN_bin2bn(Bytes(bytes), static_cast<int>(bytes.size()), nullptr));
}

EvpKey MakeRsa(const JsonWebKey& json) {
  BigNumber n = NumberOf(json.n);
  BigNumber e = NumberOf(json.e);
  ParamBuilder builder(OSSL_PARAM_BLD_new());
  if (!n || !e || !builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
    return nullptr;
  }
  Params params(OSSL_PARAM_BLD_to_param(builder.get()));
  return MakeFromParams("RSA", params.get());
}

// Null when the point is not on the curve.
EvpKey MakeEc(const JsonWebKey& json) {
  std::string group = json.curve == Curve::kP256 ? "P-256" : json.curve == Curve::kP384 ? "P-384" : "P-521";
  std::string point = "\x04" + json.x + json.y;
  OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), 0),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()),
      OSSL_PARAM_construct_end(),
  };
  return MakeFromParams("EC", params);
}

EvpKey MakeKey(const JsonWebKey& json) {
  switch (json.type) {
    case KeyType::kOct: break;
    case KeyType::kRsa: return MakeRsa(json);
    case KeyType::kEc: return MakeEc(json);
    case KeyType::kOkp: {
      int id = json.curve == Curve::kEd25519 ? EVP_PKEY_ED25519 : EVP_PKEY_ED448;
      return EvpKey(EVP_PKEY_new_raw_public_key(id, nullptr, Bytes(json.x), json.x.size()));
    }
  }
  return nullptr;
}

bool VerifyHmac(const std::string& secret, const Algorithm& algorithm, const Parts& parts) {
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (secret.size() > static_cast<size_t>(std::numeric_limits<int>::max())) return false;
  if (HMAC(algorithm.digest(), secret.data(), static_cast<int>(secret.size()), Bytes(parts.signed_text),
           parts.signed_text.size(), mac, &size) == nullptr) {
    return false;
  }
  return parts.signature.size() == size && CRYPTO_memcmp(mac, parts.signature.data(), size) == 0;
}

// A token's signature by a curve is r and s side by side, libcrypto's is their DER. Nothing when the length is wrong.
std::optional<std::string> EcdsaToDer(std::string_view raw, size_t coordinate_bytes) {
  if (raw.size() != 2 * coordinate_bytes) return std::nullopt;
  BigNumber r = NumberOf(raw.substr(0, coordinate_bytes));
  BigNumber s = NumberOf(raw.substr(coordinate_bytes));
  EcdsaSignature signature(ECDSA_SIG_new());
  if (!r || !s || !signature || ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1) return std::nullopt;
  (void)r.release();  // the signature's now
  (void)s.release();
  int size = i2d_ECDSA_SIG(signature.get(), nullptr);
  if (size <= 0) return std::nullopt;
  std::string der(static_cast<size_t>(size), '\0');
  auto* end = reinterpret_cast<unsigned char*>(der.data());
  if (i2d_ECDSA_SIG(signature.get(), &end) != size) return std::nullopt;
  return der;
}

bool VerifyEvp(const KeySet::Key& key, const Algorithm& algorithm, const Parts& parts) {
  std::optional<std::string> signature = parts.signature;
  if (key.json.type == KeyType::kEc) signature = EcdsaToDer(parts.signature, key.json.x.size());
  DigestContext context(EVP_MD_CTX_new());
  if (!signature || !context) return false;
  const EVP_MD* digest = algorithm.digest ? algorithm.digest() : nullptr;
  bool good = EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key.evp.get()) == 1 &&
              EVP_DigestVerify(context.get(), Bytes(*signature), signature->size(), Bytes(parts.signed_text),
                               parts.signed_text.size()) == 1;
  ERR_clear_error();  // the thread's queue is shared with others, who would take our refusals for theirs
  return good;
}

bool VerifyWith(const KeySet::Key& key, const Algorithm& algorithm, const Parts& parts) {
  bool is_shared = key.json.type == KeyType::kOct;
  return is_shared ? VerifyHmac(key.json.k, algorithm, parts) : VerifyEvp(key, algorithm, parts);
}

const KeySet::Key* FindKey(const KeySetPtr& keys, const std::string& kid, const Algorithm& algorithm) {
  if (!keys || kid.empty()) return nullptr;
  auto it = std::find_if(keys->keys.begin(), keys->keys.end(), [&](const KeySet::Key& key) {
    return key.json.kid == kid && Fits(key.json, algorithm);
  });
  return it == keys->keys.end() ? nullptr : &*it;
}

// Cut where a character ends.
std::string ShownKid(const std::string& kid) {
  if (kid.size() <= kMaxKidShown) return kid;
  size_t end = kMaxKidShown;
  while (end > 0 && (static_cast<uint8_t>(kid[end]) & 0xC0) == 0x80) end--;
  return kid.substr(0, end) + "...";
}

std::string TextOf(const json::Value& header, const char* name) {
  const json::Value* value = header.Find(name);
  return value != nullptr && value->IsString() ? value->string : std::string();
}

// An empty secret is no secret: anybody could sign with it. Extensions that a signer calls critical are not known here.
TokenError CheckSignature(const Parts& parts, const TokenRules& rules, std::string* kid_without_key) {
  const Algorithm* algorithm = AlgorithmOf(TextOf(parts.header, "alg"));
  if (algorithm == nullptr || parts.header.Find("crit") != nullptr) return TokenError::kNoSigner;
  std::string kid = TextOf(parts.header, "kid");
  if (const KeySet::Key* key = FindKey(rules.keys, kid, *algorithm)) {
    return VerifyWith(*key, *algorithm, parts) ? TokenError::kNone : TokenError::kBadSignature;
  }
  bool any_secret = false;
  for (const std::string& secret : rules.secrets) {
    if (algorithm->type != KeyType::kOct || secret.empty()) continue;
    if (VerifyHmac(secret, *algorithm, parts)) return TokenError::kNone;
    any_secret = true;
  }
  if (any_secret) return TokenError::kBadSignature;
  *kid_without_key = ShownKid(kid);
  return TokenError::kNoSigner;
}

// Looks at every key, whichever fits.
const OpaqueKey* FindOpaque(const std::vector<OpaqueKey>& keys, const std::string& token) {
  const OpaqueKey* found = nullptr;
  for (const OpaqueKey& key : keys) {
    bool same = !key.key.empty() && SameSecret(key.key, token);
    if (same && found == nullptr) found = &key;
  }
  return found;
}

Token TokenOf(const OpaqueKey& key) {
  Token token;
  token.exp_s = kFarFutureSeconds;
  token.role = key.role;
  token.claims = "{\"role\":" + json::Quote(key.role) + "}";
  return token;
}

Token Refused(TokenError error) {
  Token token;
  token.error = error;
  return token;
}

}  // namespace

Result<KeySetPtr> ParseJwks(std::string_view text) {
  Result<std::vector<JsonWebKey>> read = ReadJwks(text);
  if (!read.ok()) return read.status;
  auto set = std::make_shared<KeySet>();
  for (JsonWebKey& json : read.value) {
    EvpKey evp = MakeKey(json);
    ERR_clear_error();
    if (!evp && json.type != KeyType::kOct) {
      return Status(Code::kInvalid, "keys[" + std::to_string(json.index) + "]: its numbers are not those of a key");
    }
    set->keys.push_back({std::move(json), std::move(evp)});
  }
  return KeySetPtr(std::move(set));
}

size_t KeyCount(const KeySet& keys) { return keys.keys.size(); }

bool SameSecret(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Token VerifyToken(std::string_view text, const TokenRules& rules, int64_t now_unix_ms) {
  std::optional<std::string> clean;
  if (text.size() <= kMaxTokenBytes) clean = Clean(text);
  if (!clean) return Refused(TokenError::kMalformed);
  if (const OpaqueKey* key = FindOpaque(rules.opaque_keys, *clean)) return TokenOf(*key);
  Parts parts;
  if (!Split(*clean, &parts)) return Refused(TokenError::kMalformed);
  Token token;
  token.error = CheckSignature(parts, rules, &token.kid);
  if (!token.ok()) return token;
  CheckClaims(parts.claims, rules.required, now_unix_ms, &token);
  if (token.ok()) token.claims = parts.claims_text;
  return token;
}

}  // namespace realtime
