// From the settings that hold keys, or name files that do, to whom the worker believes. Database thread only.
#ifndef REALTIME_PG_KEY_FILES_H_
#define REALTIME_PG_KEY_FILES_H_

#include <string>
#include <string_view>

#include "core/token.h"

namespace realtime::guc {

// The text without blanks and line ends around it.
std::string_view TrimBlanks(std::string_view text);

// Never null; empty means unset.
struct KeySettings {
  const char* jwt_secret = "";
  const char* jwt_secret_next = "";
  const char* jwt_secret_file = "";
  const char* jwks = "";                  // JSON when it begins with a brace, else a file
  const char* jwt_claim_validators = "";  // JSON object
  const char* publishable_key = "";
  const char* publishable_role = "";
  const char* secret_key = "";
  const char* secret_role = "";
};

// Reads the files anew. What cannot be used is left out, so that nobody is believed for it, and the log says why, once: a key
// set that does not parse gives no keys; claim validators that do not parse leave no token to believe.
TokenRules ReadTokenRules(const KeySettings& settings);

// The PEM files of the TLS certificate and its private key, whose owner and permissions must be such as PostgreSQL asks for.
// A file that cannot be used leaves its text empty, and the log says why.
void ReadTlsFiles(const char* certificate_path, const char* key_path, std::string* certificate, std::string* key);

}  // namespace realtime::guc

#endif  // REALTIME_PG_KEY_FILES_H_
