#include "pg/settings.h"

#include <climits>
#include <cstring>
#include <string_view>

#include "pg/key_files.h"
#include "pg/secret_log.h"

#include "pg/pg.h"

extern "C" {
#include "utils/guc.h"
}

namespace realtime::guc {

namespace {

char* database;
char* conninfo;
char* slot_name;
char* publication;
char* listen_addresses;
char* ssl_cert_file;
char* ssl_key_file;
char* trusted_proxies;
char* allowed_origins;
char* jwt_secret;
char* metrics_token;
char* jwt_secret_next;
char* jwt_secret_file;
char* jwks;
char* jwt_claim_validators;
char* publishable_key;
char* publishable_role;
char* secret_key;
char* secret_role;
char* topic;
bool ssl;
bool private_only;
bool inspector;
int port;
int max_slot_lag_mb;
int max_slot_age_ms;
int max_connections;
int max_connections_per_address;
int max_channels_per_client;
int max_message_size;
int max_json_depth;
int max_payload_size;
int max_rest_body;
int max_record_bytes;
int history_size_kb;
int max_parked_size_kb;
int max_joins_per_second;
int max_events_per_second;
int max_presence_events_per_second;
int client_presence_max_calls;
int client_presence_window_ms;
int authorization_ttl_ms;
int no_channel_timeout_ms;
int message_retention_minutes;
int max_client_queue_kb;
int max_queue_memory_kb;
int max_mailbox_kb;
int idle_timeout_ms;
int slow_client_grace_ms;
int policy_timeout_ms;
int drain_timeout_ms;

// GUC_SUPERUSER_ONLY lets members of pg_read_all_settings read; a signing key is more than a setting.
const char* ShowSecret(const char* value) {
  if (value == nullptr || value[0] == '\0') return "";
  return IsTransactionState() && superuser() ? value : "********";
}
const char* ShowMetricsToken() { return ShowSecret(metrics_token); }
const char* ShowJwtSecret() { return ShowSecret(jwt_secret); }
const char* ShowJwtSecretNext() { return ShowSecret(jwt_secret_next); }
const char* ShowJwks() { return ShowSecret(jwks); }
const char* ShowSecretKey() { return ShowSecret(secret_key); }
const char* ShowConninfo() { return ShowSecret(conninfo); }

bool CheckSlotName(char** newval, void** /*extra*/, GucSource /*source*/) {
  const char* name = *newval ? *newval : "";
  size_t length = strlen(name);
  bool valid = length > 0 && length < NAMEDATALEN && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == length;
  if (!valid) {
    GUC_check_errdetail("A slot name has 1 to %d characters: lower case letters, digits and underscore.", NAMEDATALEN - 1);
  }
  return valid;
}

bool CheckName(char** newval, void** /*extra*/, GucSource /*source*/) {
  size_t length = *newval ? strlen(*newval) : 0;
  if (length > 0 && length < NAMEDATALEN) return true;
  GUC_check_errdetail("A name has 1 to %d bytes.", NAMEDATALEN - 1);
  return false;
}

// Keys come in URLs, where blanks are dropped and escapes decoded: a key with such could not be presented. A short one could
// be guessed.
bool CheckOpaqueKey(char** newval, void** /*extra*/, GucSource /*source*/) {
  constexpr size_t kShortest = 16;
  constexpr size_t kLongest = 1024;
  std::string_view key = *newval ? *newval : "";
  if (key.empty()) return true;
  bool printable = key.find('%') == std::string_view::npos;
  for (char c : key) printable = printable && c > ' ' && c < '\x7f';
  if (printable && key.size() >= kShortest && key.size() <= kLongest) return true;
  GUC_check_errdetail("A key has %zu to %zu printable ASCII characters and neither blanks nor percent signs.", kShortest,
                      kLongest);
  return false;
}

// The usual message would show the value.
bool CheckSecret(const char* setting, char** newval) {
  if (CheckOpaqueKey(newval, nullptr, PGC_S_FILE)) return true;
  GUC_check_errmsg("invalid value for parameter \"%s\"", setting);
  return false;
}
bool CheckSecretKey(char** newval, void** /*extra*/, GucSource /*source*/) { return CheckSecret("realtime.secret_key", newval); }
bool CheckMetricsToken(char** newval, void** /*extra*/, GucSource /*source*/) {
  return CheckSecret("realtime.metrics_token", newval);
}

struct StringSetting {
  const char* name;
  const char* help;
  char** variable;
  const char* initial;
  GucContext context;
  int flags;
  GucStringCheckHook check;
  GucShowHook show;
};

constexpr int kSecret = GUC_SUPERUSER_ONLY | GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE;

const StringSetting kStrings[] = {
    {"realtime.database", "Database whose changes are served; a change restarts the worker.", &database, "postgres",
     PGC_SIGHUP, 0, CheckName, nullptr},
    {"realtime.conninfo", "Overrides the replication connection's parameters; empty: the server's first Unix socket.",
     &conninfo, "", PGC_SIGHUP, kSecret, nullptr, ShowConninfo},
    {"realtime.slot_name", "Replication slot of the worker; it exists only while somebody subscribes.", &slot_name,
     "realtime", PGC_SIGHUP, 0, CheckSlotName, nullptr},
    {"realtime.publication", "Publication whose changes are served.", &publication, "supabase_realtime", PGC_SIGHUP, 0,
     CheckName, nullptr},
    {"realtime.listen_addresses", "Numeric addresses to listen on, \"localhost\" or \"*\"; empty: none.",
     &listen_addresses, "localhost", PGC_SIGHUP, GUC_LIST_INPUT, nullptr, nullptr},
    {"realtime.ssl_cert_file", "File with the certificate for realtime.ssl, relative to the data directory.", &ssl_cert_file,
     "server.crt", PGC_SIGHUP, 0, nullptr, nullptr},
    {"realtime.ssl_key_file", "File with the certificate's private key, relative to the data directory.", &ssl_key_file,
     "server.key", PGC_SIGHUP, 0, nullptr, nullptr},
    {"realtime.trusted_proxies", "Addresses and blocks of reverse proxies whose X-Forwarded-For is believed.",
     &trusted_proxies, "", PGC_SIGHUP, GUC_LIST_INPUT, nullptr, nullptr},
    {"realtime.allowed_origins", "Origins whose pages may connect; empty: all.", &allowed_origins, "", PGC_SIGHUP,
     GUC_LIST_INPUT, nullptr, nullptr},
    {"realtime.jwt_secret", "Key that signs the clients' tokens (HS256).", &jwt_secret, "", PGC_SIGHUP, kSecret, nullptr,
     ShowJwtSecret},
    {"realtime.jwt_secret_next", "Second key that is accepted too, for rotation.", &jwt_secret_next, "", PGC_SIGHUP,
     kSecret, nullptr, ShowJwtSecretNext},
    {"realtime.jwt_secret_file", "File that holds a key, relative to the data directory; an alternative to jwt_secret.",
     &jwt_secret_file, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, nullptr, nullptr},
    {"realtime.jwks", "Key set (JWKS) for tokens with a kid: JSON, or a file relative to the data directory.", &jwks, "",
     PGC_SIGHUP, kSecret, nullptr, ShowJwks},
    {"realtime.jwt_claim_validators", "Claims that every token must carry with these values, as a JSON object.",
     &jwt_claim_validators, "", PGC_SIGHUP, 0, nullptr, nullptr},
    {"realtime.publishable_key", "Opaque API key (sb_publishable_...) that stands for publishable_role.", &publishable_key,
     "", PGC_SIGHUP, 0, CheckOpaqueKey, nullptr},
    {"realtime.publishable_role", "Role of who presents publishable_key.", &publishable_role, "anon", PGC_SIGHUP, 0,
     CheckName, nullptr},
    {"realtime.secret_key", "Opaque API key (sb_secret_...) that stands for secret_role.", &secret_key, "", PGC_SIGHUP,
     kSecret, CheckSecretKey, ShowSecretKey},
    {"realtime.secret_role", "Role of who presents secret_key.", &secret_role, "service_role", PGC_SIGHUP, 0, CheckName,
     nullptr},
    {"realtime.metrics_token", "Bearer token for GET /metrics; empty: there is no such page.", &metrics_token, "", PGC_SIGHUP,
     kSecret, CheckMetricsToken, ShowMetricsToken},
    {"realtime.topic", "Topic that is being authorized; set by the worker for policies.", &topic, "", PGC_USERSET,
     GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE, nullptr, nullptr},
};

struct IntSetting {
  const char* name;
  const char* help;
  int* variable;
  int initial;
  int lowest;
  int highest;
  int flags;
};

struct BoolSetting {
  const char* name;
  const char* help;
  bool* variable;
  bool initial;
};

const BoolSetting kBools[] = {
    {"realtime.ssl", "Serve over TLS (https, wss) only.", &ssl, false},
    {"realtime.private_only", "Refuse public channels.", &private_only, false},
    {"realtime.inspector", "Serve a page for developers at /inspector.", &inspector, false},
};

constexpr int kMaxMilliseconds = 24 * 60 * 60 * 1000;
constexpr int kMaxRate = 1000 * 1000;
constexpr int kMinutesPerDay = 24 * 60;

// Upper limits keep sums of sizes far from overflow; lower limits keep the worker able to serve one client.
const IntSetting kInts[] = {
    {"realtime.port", "TCP port of the WebSocket listener.", &port, 4000, 1, 65535, 0},
    {"realtime.max_slot_lag", "Unread WAL at which the slot is given up and made anew; clients are told.",
     &max_slot_lag_mb, 1024, 16, INT_MAX, GUC_UNIT_MB},
    {"realtime.max_slot_age", "Time without progress at which the slot is given up and made anew; clients are told; 0: never.",
     &max_slot_age_ms, 10 * 60 * 1000, 0, kMaxMilliseconds, GUC_UNIT_MS},
    {"realtime.max_connections", "Most client connections; capped by the file descriptors.", &max_connections, 10000, 1,
     1000000, 0},
    {"realtime.max_connections_per_address", "Most client connections of one address (IPv6: of one /64); 0: no limit.",
     &max_connections_per_address, 0, 0, 1000000, 0},
    {"realtime.max_channels_per_client", "Most channels joined on one connection.", &max_channels_per_client, 100, 1,
     100000, 0},
    {"realtime.max_message_size", "Largest message accepted from a client.", &max_message_size, 5000000, 1024,
     256 * 1024 * 1024, GUC_UNIT_BYTE},
    {"realtime.max_json_depth", "Deepest nesting accepted in a client's message.", &max_json_depth, 64, 8, 1000, 0},
    {"realtime.max_payload_size", "Largest payload of one broadcast or presence message.", &max_payload_size, 3000 * 1000,
     1024, 256 * 1024 * 1024, GUC_UNIT_BYTE},
    {"realtime.max_rest_body", "Largest body of one REST request.", &max_rest_body, 8 * 1024 * 1024, 1024,
     256 * 1024 * 1024, GUC_UNIT_BYTE},
    {"realtime.max_record_bytes", "Largest change sent whole; a larger one is an event with an error and its small values.",
     &max_record_bytes, 1024 * 1024, 1024, 64 * 1024 * 1024, GUC_UNIT_BYTE},
    {"realtime.history_size", "Memory for changes that returning clients may have missed; 0: none.", &history_size_kb, 16384,
     0, 1024 * 1024, GUC_UNIT_KB},
    {"realtime.max_parked_size", "Memory for changes that cannot be judged yet; when it is full the change stream waits too.",
     &max_parked_size_kb, 65536, 64, 1024 * 1024, GUC_UNIT_KB},
    {"realtime.max_joins_per_second", "Joins per second of all clients together; 0: no limit.", &max_joins_per_second, 1000,
     0, kMaxRate, 0},
    {"realtime.max_events_per_second", "Broadcasts per second of one connection, or of one caller over REST; 0: no limit.",
     &max_events_per_second, 1000, 0, kMaxRate, 0},
    {"realtime.max_presence_events_per_second", "Presence events per second of all clients together; 0: no limit.",
     &max_presence_events_per_second, 1000, 0, kMaxRate, 0},
    {"realtime.client_presence_max_calls", "Presence calls of one channel per client_presence_window; 0: no limit.",
     &client_presence_max_calls, 5, 0, kMaxRate, 0},
    {"realtime.client_presence_window", "Time for which client_presence_max_calls counts.", &client_presence_window_ms,
     30 * 1000, 100, kMaxMilliseconds, GUC_UNIT_MS},
    {"realtime.authorization_ttl", "Age at which the policies are asked again whether a client may use a private channel.",
     &authorization_ttl_ms, 60 * 1000, 1000, kMaxMilliseconds, GUC_UNIT_MS},
    {"realtime.no_channel_timeout", "Time without a channel after which a client that had one is disconnected; 0: never.",
     &no_channel_timeout_ms, 10 * 60 * 1000, 0, kMaxMilliseconds, GUC_UNIT_MS},
    {"realtime.message_retention", "Age at which rows of realtime.messages are removed.", &message_retention_minutes,
     3 * kMinutesPerDay, 60, 365 * kMinutesPerDay, GUC_UNIT_MIN},
    {"realtime.max_client_queue", "Bytes waiting for one client at which it counts as slow.", &max_client_queue_kb, 16384,
     64, 1024 * 1024, GUC_UNIT_KB},
    {"realtime.max_queue_memory", "Memory for what waits for all clients; those that hold most without taking any are disconnected.",
     &max_queue_memory_kb, 262144, 16384, 16 * 1024 * 1024, GUC_UNIT_KB},
    {"realtime.max_mailbox", "Bytes waiting for the network thread at which the change stream pauses.", &max_mailbox_kb,
     16384, 256, 1024 * 1024, GUC_UNIT_KB},
    {"realtime.idle_timeout", "Silence after which a client is disconnected.", &idle_timeout_ms, 60000, 1000,
     kMaxMilliseconds, GUC_UNIT_MS},
    {"realtime.slow_client_grace", "Time without progress at its queue's cap after which a slow client is disconnected.",
     &slow_client_grace_ms, 2000, 10, kMaxMilliseconds, GUC_UNIT_MS},
    {"realtime.policy_timeout", "Longest evaluation of one policy or filter.", &policy_timeout_ms, 1000, 1, 60 * 1000,
     GUC_UNIT_MS},
    {"realtime.drain_timeout", "Time to say goodbye to clients at shutdown.", &drain_timeout_ms, 500, 0, 60 * 1000,
     GUC_UNIT_MS},
};

void DefineString(const StringSetting& s) {
  DefineCustomStringVariable(s.name, s.help, nullptr, s.variable, s.initial, s.context, s.flags, s.check, nullptr, s.show);
  if ((s.flags & kSecret) == kSecret) secret_log::Hide(s.name);
}

void DefineBool(const BoolSetting& s) {
  DefineCustomBoolVariable(s.name, s.help, nullptr, s.variable, s.initial, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
}

void DefineInt(const IntSetting& s) {
  DefineCustomIntVariable(s.name, s.help, nullptr, s.variable, s.initial, s.lowest, s.highest, PGC_SIGHUP, s.flags, nullptr,
                          nullptr, nullptr);
}

std::vector<std::string> SplitList(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    size_t comma = text.find(',');
    std::string_view part = TrimBlanks(text.substr(0, comma));
    if (part.size() >= 2 && part.front() == '"' && part.back() == '"') part = part.substr(1, part.size() - 2);
    if (!part.empty()) parts.emplace_back(part);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return parts;
}

// A burst of ten seconds' worth is not held back.
Rate PerSecond(int amount) {
  double rate = amount;
  return Rate{rate, 1000, 10 * rate};
}

Rate PresenceCalls() {
  double calls = client_presence_max_calls;
  return Rate{calls, static_cast<double>(client_presence_window_ms), calls};
}

const char* Text(const char* value) { return value ? value : ""; }

TokenRules ReadTokens() {
  KeySettings keys;
  keys.jwt_secret = Text(jwt_secret);
  keys.jwt_secret_next = Text(jwt_secret_next);
  keys.jwt_secret_file = Text(jwt_secret_file);
  keys.jwks = Text(jwks);
  keys.jwt_claim_validators = Text(jwt_claim_validators);
  keys.publishable_key = Text(publishable_key);
  keys.publishable_role = Text(publishable_role);
  keys.secret_key = Text(secret_key);
  keys.secret_role = Text(secret_role);
  return ReadTokenRules(keys);
}

constexpr size_t kKilobyte = 1024;

void SetLimits(Settings* settings) {
  settings->max_connections = max_connections;
  settings->max_connections_per_address = max_connections_per_address;
  settings->max_channels_per_client = max_channels_per_client;
  settings->max_message_size = static_cast<size_t>(max_message_size);
  settings->max_json_depth = max_json_depth;
  settings->max_payload_size = static_cast<size_t>(max_payload_size);
  settings->max_rest_body = static_cast<size_t>(max_rest_body);
  settings->joins = PerSecond(max_joins_per_second);
  settings->events = PerSecond(max_events_per_second);
  settings->presence_events = PerSecond(max_presence_events_per_second);
  settings->presence_calls = PresenceCalls();
  settings->max_client_queue = static_cast<size_t>(max_client_queue_kb) * kKilobyte;
  settings->max_queue_memory = static_cast<size_t>(max_queue_memory_kb) * kKilobyte;
  settings->max_mailbox = static_cast<size_t>(max_mailbox_kb) * kKilobyte;
}

}  // namespace

void Define() {
  for (const StringSetting& setting : kStrings) DefineString(setting);
  for (const IntSetting& setting : kInts) DefineInt(setting);
  for (const BoolSetting& setting : kBools) DefineBool(setting);
  MarkGUCPrefixReserved("realtime");
}

const char* Database() { return database; }
const char* Conninfo() { return conninfo ? conninfo : ""; }
const char* SlotName() { return slot_name; }
const char* Publication() { return publication; }
int PolicyTimeoutMs() { return policy_timeout_ms; }
int MaxSlotLagMb() { return max_slot_lag_mb; }
int MaxSlotAgeMs() { return max_slot_age_ms; }
int DrainTimeoutMs() { return drain_timeout_ms; }
size_t MaxPayloadSize() { return static_cast<size_t>(max_payload_size); }
size_t MaxRecordBytes() { return static_cast<size_t>(max_record_bytes); }
size_t HistoryBytes() { return static_cast<size_t>(history_size_kb) * kKilobyte; }
size_t MaxParkedBytes() { return static_cast<size_t>(max_parked_size_kb) * kKilobyte; }
int MessageRetentionMinutes() { return message_retention_minutes; }

SettingsPtr ForNetwork(bool serving) {
  auto settings = std::make_shared<Settings>();
  settings->serving = serving;
  settings->listen_addresses = SplitList(Text(listen_addresses));
  settings->port = port;
  settings->ssl = ssl;
  if (ssl) ReadTlsFiles(Text(ssl_cert_file), Text(ssl_key_file), &settings->ssl_certificate, &settings->ssl_key);
  settings->trusted_proxies = SplitList(Text(trusted_proxies));
  settings->allowed_origins = SplitList(Text(allowed_origins));
  settings->tokens = ReadTokens();
  settings->metrics_token = Text(metrics_token);
  settings->private_only = private_only;
  settings->inspector = inspector;
  SetLimits(settings.get());
  settings->authorization_ttl_ms = authorization_ttl_ms;
  settings->no_channel_timeout_ms = no_channel_timeout_ms;
  settings->idle_timeout_ms = idle_timeout_ms;
  settings->slow_client_grace_ms = slow_client_grace_ms;
  settings->drain_timeout_ms = drain_timeout_ms;
  return settings;
}

}  // namespace realtime::guc
