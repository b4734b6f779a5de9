// Who may come in before anybody has shown a token: counts connections by address, and bounds those that have not said yet
// what they want.
#ifndef REALTIME_NET_ADMISSION_H_
#define REALTIME_NET_ADMISSION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "core/door.h"
#include "core/settings.h"
#include "net/address.h"

namespace realtime {

class Admission;

// One connection, from its acceptance to its end; goes with it from hand to hand. Destroyed not later than `fd` is closed.
struct Guest {
  Guest(Admission* owner, int tcp_fd, std::string peer);
  ~Guest();
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  Admission* const admission;
  const int fd;         // of the TCP connection; owned by others
  std::string address;  // of the peer, or of the client behind a trusted proxy once that is known

 private:
  friend class Admission;
  AddressBytes counted{};
  int64_t arrived_ms = 0;
  bool unfinished = false;
  bool entered = false;
  std::list<Guest*>::iterator place;             // in Admission's list while unfinished
  std::list<Guest*>::iterator place_of_address;  // the same in its address's
};
using GuestPtr = std::unique_ptr<Guest>;

//   arrived: unfinished ──(Enter: its request is read)──> entered ──> gone
//
// About kMaxUnfinished connections may be on their way through TLS handshake and request, half as many of one address. When
// there are more, the oldest go, if they have had their chance (kChanceMs); before that, whoever comes waits in the kernel, or
// is closed when it is its own address that has too many. So a flood of silent connections slows others down, but locks
// nobody out, and clients that all come back at once do not throw each other out. (All time limits of an unfinished
// connection are totals, whatever it sends meanwhile.)
class Admission {
 public:
  using Log = std::function<void(LogLine)>;
  explicit Admission(Log log) : log_(std::move(log)) {}
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

  static constexpr size_t kMaxUnfinished = 960;  // with the accepts of one turn less than there is room for headers
  static constexpr int64_t kChanceMs = 2000;

  void SetSettings(SettingsPtr settings);

  // Null: not now, close it.
  GuestPtr Arrive(int fd, std::string peer, Now now);
  // Its request is read. False: its address, or the client's that a trusted proxy names, has as many as it may have.
  bool Enter(Guest* guest, std::string_view forwarded_for, Now now);

  // May more be accepted now? `crowded`: there is no room for one more connection of any kind. Those that have had their
  // chance go then. Ask at every turn, and at NextLook (mono ms; INT64_MAX for never).
  bool MakeRoom(bool crowded, Now now);
  int64_t NextLook() const { return next_look_ms_; }

 private:
  friend struct Guest;
  struct Address {
    std::list<Guest*> unfinished;  // oldest first
    size_t entered = 0;
  };

  void Leave(Guest* guest);
  void Finish(Guest* guest);
  void Forget(const AddressBytes& counted);
  // False when there is none that has had its chance.
  bool DropOldest(const std::list<Guest*>& guests, Now now);
  void Refused(const std::string& why, Now now);

  const Log log_;
  SettingsPtr settings_;
  AddressBlocks trusted_;
  std::list<Guest*> unfinished_;  // oldest first
  std::map<AddressBytes, Address> addresses_;
  int64_t next_look_ms_ = INT64_MAX;
  int64_t next_line_ms_ = 0;
  size_t unlogged_ = 0;
};

}  // namespace realtime

#endif  // REALTIME_NET_ADMISSION_H_
