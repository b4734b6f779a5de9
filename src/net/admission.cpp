#include "net/admission.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

namespace realtime {
namespace {

constexpr size_t kMaxUnfinishedOfAddress = Admission::kMaxUnfinished / 2;
// Connections of an address at its limit that are read, so that they can be told (429). More are closed.
constexpr size_t kToldOfAddress = 16;
constexpr int64_t kLineMs = 60000;

}  // namespace

Guest::Guest(Admission* owner, int tcp_fd, std::string peer) : admission(owner), fd(tcp_fd), address(std::move(peer)) {}

Guest::~Guest() { admission->Leave(this); }

void Admission::SetSettings(SettingsPtr settings) {
  bool changed = settings_ == nullptr || settings_->trusted_proxies != settings->trusted_proxies;
  settings_ = std::move(settings);
  if (!changed) return;
  trusted_.clear();
  for (const std::string& text : settings_->trusted_proxies) {
    if (std::optional<AddressBlock> block = ParseAddressBlock(text)) {
      trusted_.push_back(*block);
    } else {
      log_({LogLevel::kWarning, "\"" + text + "\" in realtime.trusted_proxies is not an address, so it is not trusted",
            "Write addresses or blocks of them: '127.0.0.1, 10.0.0.0/8, 2001:db8::/32'."});
    }
  }
}

GuestPtr Admission::Arrive(int fd, std::string peer, Now now) {
  auto guest = std::make_unique<Guest>(this, fd, std::move(peer));
  guest->counted = CountedAddress(guest->address);
  guest->arrived_ms = now.mono_ms;
  Address& of = addresses_[guest->counted];
  // A proxy's connections are many people's.
  if (!Contains(trusted_, guest->address)) {
    size_t most = static_cast<size_t>(std::max(settings_->max_connections_per_address, 0));
    bool has_its_fill = most > 0 && of.entered >= most && of.unfinished.size() >= kToldOfAddress;
    bool dawdles = of.unfinished.size() >= kMaxUnfinishedOfAddress && !DropOldest(of.unfinished, now);
    if (has_its_fill || dawdles) {
      Refused(guest->address + (has_its_fill ? " has " + std::to_string(most) : " sends no requests"), now);
      return nullptr;
    }
  }
  guest->place = unfinished_.insert(unfinished_.end(), guest.get());
  guest->place_of_address = of.unfinished.insert(of.unfinished.end(), guest.get());
  guest->unfinished = true;
  return guest;
}

bool Admission::Enter(Guest* guest, std::string_view forwarded_for, Now now) {
  Finish(guest);
  if (guest->entered) return true;
  guest->address = ClientAddress(guest->address, forwarded_for, trusted_);
  AddressBytes counted = CountedAddress(guest->address);
  size_t most = static_cast<size_t>(std::max(settings_->max_connections_per_address, 0));
  Address& of = addresses_[counted];
  if (most > 0 && of.entered >= most && !Contains(trusted_, guest->address)) {
    Refused(guest->address + " has " + std::to_string(most), now);
    Forget(counted);
    return false;
  }
  ++of.entered;
  AddressBytes before = std::exchange(guest->counted, counted);
  guest->entered = true;
  Forget(before);
  return true;
}

void Admission::Finish(Guest* guest) {
  if (!std::exchange(guest->unfinished, false)) return;
  unfinished_.erase(guest->place);
  addresses_[guest->counted].unfinished.erase(guest->place_of_address);
}

void Admission::Leave(Guest* guest) {
  Finish(guest);
  if (guest->entered) --addresses_[guest->counted].entered;
  Forget(guest->counted);
}

void Admission::Forget(const AddressBytes& counted) {
  auto found = addresses_.find(counted);
  if (found != addresses_.end() && found->second.unfinished.empty() && found->second.entered == 0) addresses_.erase(found);
}

bool Admission::DropOldest(const std::list<Guest*>& guests, Now now) {
  if (guests.empty()) return false;
  Guest* oldest = guests.front();
  if (now.mono_ms - oldest->arrived_ms < kChanceMs) return false;
  // Whoever holds the connection sees its end, and closes it.
  shutdown(oldest->fd, SHUT_RDWR);
  Finish(oldest);
  return true;
}

bool Admission::MakeRoom(bool crowded, Now now) {
  bool full = unfinished_.size() >= kMaxUnfinished;
  if (full || crowded) {
    while (DropOldest(unfinished_, now)) continue;
    full = unfinished_.size() >= kMaxUnfinished;
  }
  bool wait = (full || crowded) && !unfinished_.empty();
  next_look_ms_ = wait ? unfinished_.front()->arrived_ms + kChanceMs : INT64_MAX;
  return !full && !crowded;
}

void Admission::Refused(const std::string& why, Now now) {
  ++unlogged_;
  if (now.mono_ms < next_line_ms_) return;
  next_line_ms_ = now.mono_ms + kLineMs;
  log_({LogLevel::kInfo, "ConnectionRateLimitReached: refused " + std::to_string(std::exchange(unlogged_, 0)) +
                             " connections of addresses that have too many (the last: " + why + ")",
        "\"realtime.max_connections_per_address\" is the limit; behind a reverse proxy set \"realtime.trusted_proxies\"."});
}

}  // namespace realtime
