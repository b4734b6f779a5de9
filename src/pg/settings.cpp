#include "pg/settings.h"

#include <climits>
#include <cstring>
#include <string_view>
#include <utility>

#include "pg/guard.h"
#include "pg/log.h"

#include "pg/pg.h"

extern "C" {
#include "storage/fd.h"
#include "utils/guc.h"
}

namespace realtime::guc {

namespace {

char* database;
char* conninfo;
char* slot_name;
char* publication;
char* listen_addresses;
char* jwt_secret;
char* jwt_secret_next;
char* jwt_secret_file;
char* topic;
int port;
int max_slot_lag_mb;
int max_slot_age_ms;
int max_connections;
int max_channels_per_client;
int max_message_size;
int max_json_depth;
int max_client_queue_kb;
int max_mailbox_kb;
int idle_timeout_ms;
int slow_client_grace_ms;
int policy_timeout_ms;
int drain_timeout_ms;

// A secret is short; a larger file is the wrong file.
constexpr size_t kMaxSecretFile = 64 * 1024;

// GUC_SUPERUSER_ONLY lets members of pg_read_all_settings read; a signing key is more than a setting.
const char* ShowSecret(const char* value) {
  if (value == nullptr || value[0] == '\0') return "";
  return IsTransactionState() && superuser() ? value : "********";
}
const char* ShowJwtSecret() { return ShowSecret(jwt_secret); }
const char* ShowJwtSecretNext() { return ShowSecret(jwt_secret_next); }
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
    {"realtime.jwt_secret", "Key that signs the clients' tokens (HS256).", &jwt_secret, "", PGC_SIGHUP, kSecret, nullptr,
     ShowJwtSecret},
    {"realtime.jwt_secret_next", "Second key that is accepted too, for rotation.", &jwt_secret_next, "", PGC_SIGHUP,
     kSecret, nullptr, ShowJwtSecretNext},
    {"realtime.jwt_secret_file", "File that holds a key, relative to the data directory; an alternative to jwt_secret.",
     &jwt_secret_file, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, nullptr, nullptr},
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

constexpr int kMaxMilliseconds = 24 * 60 * 60 * 1000;

// Upper limits keep sums of sizes far from overflow; lower limits keep the worker able to serve one client.
const IntSetting kInts[] = {
    {"realtime.port", "TCP port of the WebSocket listener.", &port, 4000, 1, 65535, 0},
    {"realtime.max_slot_lag", "Unread WAL at which the slot is given up and made anew; clients are told.",
     &max_slot_lag_mb, 1024, 16, INT_MAX, GUC_UNIT_MB},
    {"realtime.max_slot_age", "Time without progress at which the slot is given up and made anew; clients are told; 0: never.",
     &max_slot_age_ms, 10 * 60 * 1000, 0, kMaxMilliseconds, GUC_UNIT_MS},
    {"realtime.max_connections", "Most client connections; capped by the file descriptors.", &max_connections, 10000, 1,
     1000000, 0},
    {"realtime.max_channels_per_client", "Most channels joined on one connection.", &max_channels_per_client, 100, 1,
     100000, 0},
    {"realtime.max_message_size", "Largest message accepted from a client.", &max_message_size, 5000000, 1024,
     256 * 1024 * 1024, GUC_UNIT_BYTE},
    {"realtime.max_json_depth", "Deepest nesting accepted in a client's message.", &max_json_depth, 64, 8, 1000, 0},
    {"realtime.max_client_queue", "Bytes waiting for one client at which it counts as slow.", &max_client_queue_kb, 16384,
     64, 1024 * 1024, GUC_UNIT_KB},
    {"realtime.max_mailbox", "Bytes waiting for the network thread at which the change stream pauses.", &max_mailbox_kb,
     32768, 256, 1024 * 1024, GUC_UNIT_KB},
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
}

void DefineInt(const IntSetting& s) {
  DefineCustomIntVariable(s.name, s.help, nullptr, s.variable, s.initial, s.lowest, s.highest, PGC_SIGHUP, s.flags, nullptr,
                          nullptr, nullptr);
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::vector<std::string> SplitList(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    size_t comma = text.find(',');
    std::string_view part = Trim(text.substr(0, comma));
    if (part.size() >= 2 && part.front() == '"' && part.back() == '"') part = part.substr(1, part.size() - 2);
    if (!part.empty()) parts.emplace_back(part);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return parts;
}

// *length stays -1 when the file cannot be read or fills the whole buffer; *reason, an errno, says why.
void ReadSecretFile(const char* path, char* buffer, size_t size, int* length, int* reason) {
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

std::string SecretFromFile(const char* path) {
  static Condition* unreadable = new Condition;  // for life: no destructor at exit
  std::string buffer(kMaxSecretFile, '\0');
  char* bytes = buffer.data();
  int length = -1;
  int reason = 0;
  PgError error;
  bool done = PgTry([&] { ReadSecretFile(path, bytes, kMaxSecretFile, &length, &reason); }, &error);
  if (length < 0) {
    unreadable->Set(std::string("could not read realtime.jwt_secret_file \"") + path +
                    "\": " + (done ? strerror(reason) : error.Text()));
    return {};
  }
  unreadable->Clear();
  buffer.resize(static_cast<size_t>(length));
  return std::string(Trim(buffer));
}

std::vector<std::string> Secrets() {
  std::vector<std::string> secrets;
  for (const char* secret : {jwt_secret, jwt_secret_next}) {
    if (secret != nullptr && secret[0] != '\0') secrets.emplace_back(secret);
  }
  if (jwt_secret_file != nullptr && jwt_secret_file[0] != '\0') {
    std::string secret = SecretFromFile(jwt_secret_file);
    if (!secret.empty()) secrets.push_back(std::move(secret));
  }
  return secrets;
}

constexpr size_t kKilobyte = 1024;

}  // namespace

void Define() {
  for (const StringSetting& setting : kStrings) DefineString(setting);
  for (const IntSetting& setting : kInts) DefineInt(setting);
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

SettingsPtr ForNetwork(bool serving) {
  auto settings = std::make_shared<Settings>();
  settings->serving = serving;
  settings->listen_addresses = SplitList(listen_addresses ? listen_addresses : "");
  settings->port = port;
  settings->jwt_secrets = Secrets();
  settings->max_connections = max_connections;
  settings->max_channels_per_client = max_channels_per_client;
  settings->max_message_size = static_cast<size_t>(max_message_size);
  settings->max_json_depth = max_json_depth;
  settings->max_client_queue = static_cast<size_t>(max_client_queue_kb) * kKilobyte;
  settings->max_mailbox = static_cast<size_t>(max_mailbox_kb) * kKilobyte;
  settings->idle_timeout_ms = idle_timeout_ms;
  settings->slow_client_grace_ms = slow_client_grace_ms;
  settings->drain_timeout_ms = drain_timeout_ms;
  return settings;
}

}  // namespace realtime::guc
