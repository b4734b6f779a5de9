// How much clients may ask of the database. Every join and leave becomes a message in the database's mailbox, whose reader
// may be busy for seconds: whoever goes on asking is not read from until it has caught up. And clients that send faster than
// they may (the engine says who, and for how long) wait as well: their own TCP holds them back, and nothing is lost.
#ifndef REALTIME_NET_INTAKE_H_
#define REALTIME_NET_INTAKE_H_

#include <cstdint>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/clock.h"
#include "core/door.h"
#include "core/settings.h"

namespace realtime {

struct Socket;

// The marks are shares of settings.max_mailbox, because it bounds the same kind of memory:
//   above 1/8   a socket whose message made work for the database is paused; the others, and their heartbeats, go on
//   above 1/4   no connection is accepted either: clients that join and hang up in a loop are new sockets each time
//   below 1/16  everybody is read from again
// So the mailbox holds at most the quarter, one message of each socket, and the Unsubscribes of those that close.
class Intake {
 public:
  explicit Intake(const DatabaseMailbox* outbox) : outbox_(outbox) {}

  // Around the engine's dealing with a message of this socket, in the callback in which libwebsockets hands it out.
  void BeforeMessage() { made_work_ = false; }
  void NoteWork() { made_work_ = true; }
  void AfterMessage(Socket* socket, const Settings& settings);
  // Not read from until then (mono ms), or longer if that was said before.
  void SlowDown(Socket* socket, int64_t until_ms);
  // Reads on, because the socket is closing and what comes no longer matters but its end does.
  void Release(Socket* socket);
  // The connection is gone.
  void Forget(Socket* socket);

  bool IsPaused(Socket* socket) const { return paused_.contains(socket) || slowed_.contains(socket); }
  bool MayAccept(const Settings& settings) const;

  // Call at every turn of the loop, and at NextLook (mono ms; INT64_MAX for never) at the latest.
  void Tick(const Settings& settings, Now now);
  int64_t NextLook(const Settings& settings, Now now) const;

 private:
  void ReadOn(Socket* socket);

  const DatabaseMailbox* const outbox_;
  std::unordered_set<Socket*> paused_;              // for the database
  std::unordered_map<Socket*, int64_t> slowed_;     // until when
  std::set<std::pair<int64_t, Socket*>> slow_ends_; // the same by time
  bool made_work_ = false;
};

}  // namespace realtime

#endif  // REALTIME_NET_INTAKE_H_
