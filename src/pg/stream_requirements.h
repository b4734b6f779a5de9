// What the server must offer before a stream can start, and how to say it when it does not. Database thread only; nothing
// here raises.
#ifndef REALTIME_PG_STREAM_REQUIREMENTS_H_
#define REALTIME_PG_STREAM_REQUIREMENTS_H_

#include <string>

#include "pg/walsender_link.h"

namespace realtime {

struct StreamRequirement {
  std::string reason;  // empty: nothing is missing
  std::string hint;
  bool is_publication = false;  // mended by a statement; the others need a restart of the server
  bool is_lock = false;         // nothing is known about the publications: look again soon
};

// What a stream carries, one publication each: the changes that clients subscribe to, and the rows of realtime.messages.
struct StreamPublications {
  bool changes = false;
  bool messages = false;

  bool any() const { return changes || messages; }
  bool Includes(const StreamPublications& other) const {
    return (changes || !other.changes) && (messages || !other.messages);
  }
  StreamPublications Without(const StreamPublications& other) const {
    return {changes && !other.changes, messages && !other.messages};
  }
  StreamPublications InCommonWith(const StreamPublications& other) const {
    return {changes && other.changes, messages && other.messages};
  }
};

// Which of the two exist, `publication` being the one of the changes. Opens a transaction of its own; *existing stays as it
// was when the catalogs cannot be read. False: because they are locked.
bool LookAtPublications(const std::string& publication, StreamPublications* existing);
StreamRequirement MissingPublication(const std::string& publication);

// Opens a transaction of its own. One of the publications is enough; *existing as above.
StreamRequirement FirstMissingRequirement(const std::string& publication, StreamPublications* existing);

// Where the walsender of this database is reached: `conninfo`, else the first Unix socket, else the first TCP address, as
// the bootstrap superuser. False when the catalogs could not be read.
bool FindWalsender(const std::string& conninfo, WalsenderAddress* address);

// What a DBA can do about a failure of the connection; may be empty.
std::string HintForStreamError(const std::string& error, const std::string& conninfo);

}  // namespace realtime

#endif  // REALTIME_PG_STREAM_REQUIREMENTS_H_
