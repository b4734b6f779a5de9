#include "pg/key_files.h"

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "core/json.h"
#include "core/jwks.h"
#include "pg/guard.h"
#include "pg/log.h"

#include "pg/pg.h"

extern "C" {
#include "storage/fd.h"

// From libpq/libpq.h, which needs the headers of Kerberos as well.
extern bool check_ssl_key_file_permissions(const char* ssl_key_file, bool isServerStart);
}

namespace realtime::guc {

namespace {

// A secret is short; a larger file is the wrong file.
constexpr size_t kMaxSecretFile = 64 * 1024;

// A chain of a few certificates.
constexpr size_t kMaxTlsFile = 256 * 1024;

constexpr char kJwksHint[] =
    "Set it to a JSON Web Key Set, {\"keys\":[...]}, or to the path of a file that holds one, relative to the data "
    "directory, and reload. Until then none of its keys is accepted.";

// What is wrong with the settings, for life: no destructor at exit.
struct Problems {
  Condition secret_file;
  Condition jwks;
  Condition validators;
  Condition roles;
  Condition certificate;
  Condition private_key;
};

Problems& TheProblems() {
  static Problems* problems = new Problems;
  return *problems;
}

// *length stays -1 when the file cannot be read or fills the whole buffer; *reason, an errno, says why.
void ReadInto(const char* path, char* buffer, size_t size, int* length, int* reason) {
  FILE* file = AllocateFile(path, "r");
  if (file == nullptr) {
    *reason = errno;
    return;
  }
  size_t got = fread(buffer, 1, size, file);
  if (ferror(file)) {
    *reason = errno;
  } else if (got == size) {
    *reason = EFBIG;
  } else {
    *length = static_cast<int>(got);
  }
  FreeFile(file);
}

// Less than max_bytes, or the reason in *problem.
std::optional<std::string> ReadWhole(const char* path, size_t max_bytes, std::string* problem) {
  std::string buffer(max_bytes, '\0');
  char* bytes = buffer.data();
  int length = -1;
  int reason = 0;
  PgError error;
  bool done = PgTry([&] { ReadInto(path, bytes, max_bytes, &length, &reason); }, &error);
  if (length < 0) {
    *problem = done ? strerror(reason) : error.Text();
    return std::nullopt;
  }
  buffer.resize(static_cast<size_t>(length));
  return buffer;
}

std::string ReadTlsFile(const char* path, const char* setting, Condition* condition) {
  std::string problem;
  std::optional<std::string> text = ReadWhole(path, kMaxTlsFile, &problem);
  if (!text) {
    condition->Set(std::string("could not read realtime.") + setting + " \"" + path + "\": " + problem);
    return {};
  }
  condition->Clear(std::string("realtime.") + setting + " can be read");
  return std::move(*text);
}

std::string SecretFromFile(const char* path) {
  Condition& condition = TheProblems().secret_file;
  std::string problem;
  std::optional<std::string> text = ReadWhole(path, kMaxSecretFile, &problem);
  if (text) {
    condition.Clear("realtime.jwt_secret_file can be read");
    return std::string(TrimBlanks(*text));
  }
  condition.Set(std::string("could not read realtime.jwt_secret_file \"") + path + "\": " + problem);
  return {};
}

std::vector<std::string> Secrets(const KeySettings& settings) {
  std::vector<std::string> secrets;
  for (const char* secret : {settings.jwt_secret, settings.jwt_secret_next}) {
    if (secret[0] != '\0') secrets.emplace_back(secret);
  }
  if (settings.jwt_secret_file[0] == '\0') {
    TheProblems().secret_file.Clear();
    return secrets;
  }
  std::string secret = SecretFromFile(settings.jwt_secret_file);
  if (!secret.empty()) secrets.push_back(std::move(secret));
  return secrets;
}

// Null when there is none that could be used.
KeySetPtr KeysOf(std::string_view json) {
  Condition& condition = TheProblems().jwks;
  Result<KeySetPtr> parsed = ParseJwks(json);
  if (!parsed.ok()) {
    condition.Set("realtime.jwks is not usable: " + parsed.status.message(), kJwksHint);
    return nullptr;
  }
  if (KeyCount(*parsed.value) == 0) {
    condition.Set("realtime.jwks holds no key that can be used",
                  "A key needs a \"kid\", and \"kty\" RSA, EC (P-256, P-384, P-521), OKP (Ed25519, Ed448) or oct.");
    return nullptr;
  }
  condition.Clear("realtime.jwks is usable");
  return parsed.value;
}

KeySetPtr ReadKeys(const char* setting) {
  std::string_view value = TrimBlanks(setting);
  if (value.empty()) {
    TheProblems().jwks.Clear("realtime.jwks is no longer set");
    return nullptr;
  }
  // Quotes: rather a key set that was cut at its begin than a path. A path is logged, which keys must not be.
  if (value.front() == '{' || value.front() == '[' || value.find('"') != value.npos) return KeysOf(value);
  std::string problem;
  std::optional<std::string> text = ReadWhole(setting, kMaxJwksBytes + 1, &problem);
  if (text) return KeysOf(*text);
  TheProblems().jwks.Set(std::string("could not read the file \"") + setting + "\" of realtime.jwks: " + problem, kJwksHint);
  return nullptr;
}

// False when they are set and cannot be understood.
bool ReadRequired(const char* setting, std::vector<RequiredClaim>* required) {
  Condition& condition = TheProblems().validators;
  std::string_view text = TrimBlanks(setting);
  if (text.empty()) {
    condition.Clear("realtime.jwt_claim_validators is no longer set");
    return true;
  }
  Result<std::vector<RequiredClaim>> parsed = ParseRequiredClaims(text);
  if (!parsed.ok()) {
    condition.Set("realtime.jwt_claim_validators is not usable, so no token is accepted: " + parsed.status.message(),
                  "Set it to a JSON object such as {\"iss\": \"https://example.com\"}, or to an empty string, and reload.");
    return false;
  }
  condition.Clear("realtime.jwt_claim_validators is usable");
  *required = std::move(parsed.value);
  return true;
}

// When both keys are the same text, the one with fewer rights counts.
std::vector<OpaqueKey> OpaqueKeys(const KeySettings& settings) {
  std::vector<OpaqueKey> keys;
  std::string problem;
  auto add = [&](const char* key, const char* role, const char* role_name) {
    if (key[0] == '\0') return;
    if (json::IsValidUtf8(role)) {
      keys.push_back({key, role});
    } else {
      problem = std::string("realtime.") + role_name + " is not valid UTF-8, so its key is not accepted";
    }
  };
  add(settings.publishable_key, settings.publishable_role, "publishable_role");
  add(settings.secret_key, settings.secret_role, "secret_role");
  Condition& condition = TheProblems().roles;
  problem.empty() ? condition.Clear() : condition.Set(problem);
  return keys;
}

}  // namespace

std::string_view TrimBlanks(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

void ReadTlsFiles(const char* certificate_path, const char* key_path, std::string* certificate, std::string* key) {
  *certificate = ReadTlsFile(certificate_path, "ssl_cert_file", &TheProblems().certificate);
  // PostgreSQL's own check logs what is wrong.
  bool safe = false;
  PgError error;
  PgTry([&] { safe = check_ssl_key_file_permissions(key_path, false); }, &error);
  *key = safe ? ReadTlsFile(key_path, "ssl_key_file", &TheProblems().private_key) : std::string();
}

TokenRules ReadTokenRules(const KeySettings& settings) {
  TokenRules rules;
  rules.secrets = Secrets(settings);
  rules.keys = ReadKeys(settings.jwks);
  rules.opaque_keys = OpaqueKeys(settings);
  if (!ReadRequired(settings.jwt_claim_validators, &rules.required)) {
    rules.secrets.clear();
    rules.keys = nullptr;
  }
  return rules;
}

}  // namespace realtime::guc
