#include "pg/stream_requirements.h"

#include <pwd.h>
#include <unistd.h>

#include <string_view>

#include "pg/guard.h"
#include "pg/message_upkeep.h"

#include "pg/pg.h"

extern "C" {
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_publication.h"
#include "commands/dbcommands.h"
#include "postmaster/postmaster.h"
#include "replication/slot.h"
#include "replication/walsender.h"
#include "utils/lsyscache.h"
}

namespace realtime {

namespace {

// The first element of a comma-separated setting, without blanks and quotes.
std::string FirstOf(const char* list) {
  std::string_view text(list == nullptr ? "" : list);
  text = text.substr(0, text.find(','));
  constexpr std::string_view kAround = " \t\"";
  size_t first = text.find_first_not_of(kAround);
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(kAround) - first + 1));
}

// libpq takes a name without a leading slash for a host; the server takes it relative to its data directory.
std::string SocketDirectory() {
  std::string directory = FirstOf(Unix_socket_directories);
  if (directory.empty() || directory[0] == '/' || directory[0] == '@') return directory;
  return std::string(DataDir) + "/" + directory;
}

// Numeric, so that no name is ever resolved.
std::string TcpAddress() {
  std::string address = FirstOf(ListenAddresses);
  if (address == "*" || address == "0.0.0.0" || address == "localhost" || address.empty()) return "127.0.0.1";
  if (address == "::") return "::1";
  return address;
}

bool LookUpNames(std::string* user, std::string* database) {
  char user_name[NAMEDATALEN] = "";
  char database_name[NAMEDATALEN] = "";
  bool found = InTransaction(
      [&] {
        strlcpy(user_name, GetUserNameFromId(BOOTSTRAP_SUPERUSERID, false), NAMEDATALEN);
        const char* name = get_database_name(MyDatabaseId);
        if (name != nullptr) strlcpy(database_name, name, NAMEDATALEN);
      },
      nullptr);
  *user = user_name;
  *database = database_name;
  return found && database_name[0] != '\0';
}

// The line that lets the worker in. `peer` works only where the operating system's user is called like the role.
std::string HbaHint() {
  std::string user, database;
  if (!LookUpNames(&user, &database)) return {};
  const struct passwd* os_user = getpwuid(geteuid());
  const bool same_name = os_user != nullptr && user == os_user->pw_name;
  const std::string who = "\"" + database + "\" \"" + user + "\" ";
  if (SocketDirectory().empty()) {
    return "Add this line to pg_hba.conf, above the one that refuses, and reload: host " + who + TcpAddress() +
           (TcpAddress().find(':') == std::string::npos ? "/32" : "/128") +
           " scram-sha-256 (with the password in realtime.conninfo).";
  }
  std::string hint = "Add this line to pg_hba.conf, above the one that refuses, and reload: local " + who +
                     (same_name ? "peer" : "peer map=realtime");
  if (!same_name && os_user != nullptr) {
    hint += " - and this one to pg_ident.conf: realtime \"" + std::string(os_user->pw_name) + "\" \"" + user + "\"";
  }
  return hint + ". Or set realtime.conninfo.";
}

bool Contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

bool LookAtPublications(const std::string& publication, StreamPublications* existing) {
  const char* name = publication.c_str();
  StreamPublications found;
  PgError error;
  bool done = InTransaction(
      [&] {
        found.changes = OidIsValid(get_publication_oid(name, true));
        found.messages = OidIsValid(get_publication_oid(kMessagesPublication, true));
      },
      &error);
  if (done) *existing = found;
  return done || !error.Is(kLockNotAvailable);
}

StreamRequirement MissingPublication(const std::string& publication) {
  return {"publication \"" + publication + "\" does not exist",
          "Create it, for example with realtime.publish('schema.table'), or set realtime.publication.", true};
}

StreamRequirement FirstMissingRequirement(const std::string& publication, StreamPublications* existing) {
  if (wal_level < WAL_LEVEL_LOGICAL) {
    return {"wal_level is not logical", "Set wal_level = logical and restart the server."};
  }
  if (max_replication_slots == 0) {
    return {"max_replication_slots is 0", "Raise max_replication_slots and restart the server."};
  }
  if (max_wal_senders == 0) return {"max_wal_senders is 0", "Raise max_wal_senders and restart the server."};
  if (!LookAtPublications(publication, existing)) {
    StreamRequirement locked{"the catalog of publications is locked", "Look into pg_locks; it is tried again."};
    locked.is_lock = true;
    return locked;
  }
  return existing->any() ? StreamRequirement() : MissingPublication(publication);
}

bool FindWalsender(const std::string& conninfo, WalsenderAddress* address) {
  *address = {};
  address->conninfo = conninfo;
  std::string user;
  if (!LookUpNames(&user, &address->database)) return false;
  if (!conninfo.empty()) return true;
  address->user = user;
  address->port = std::to_string(PostPortNumber);
  address->host = SocketDirectory();
  if (address->host.empty()) address->hostaddr = TcpAddress();
  return true;
}

// Parameter and file names are the same in every language the server speaks.
std::string HintForStreamError(const std::string& error, const std::string& conninfo) {
  if (!conninfo.empty() && Contains(error, "connection to server")) return "Check realtime.conninfo.";
  const bool refused = Contains(error, "pg_hba.conf") || Contains(error, "eer authentication") ||
                       Contains(error, "no password supplied") || Contains(error, "password authentication");
  if (refused) return HbaHint();
  if (Contains(error, "max_wal_senders")) return "Raise max_wal_senders and restart the server.";
  if (Contains(error, "replication slots are in use")) {
    return "Drop a slot that nobody uses, or raise max_replication_slots and restart the server.";
  }
  return {};
}

}  // namespace realtime
