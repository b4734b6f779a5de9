// Internet addresses as values: whom a connection counts for, and whose word is believed about that.
#ifndef REALTIME_NET_ADDRESS_H_
#define REALTIME_NET_ADDRESS_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace realtime {

// IPv4 addresses are those of ::ffff:0:0/96.
using AddressBytes = std::array<uint8_t, 16>;

// Numeric IPv4 or IPv6, without port, brackets or zone.
std::optional<AddressBytes> ParseAddress(std::string_view text);

struct AddressBlock {
  AddressBytes first{};
  int bits = 128;

  bool Contains(const AddressBytes& address) const;
};
// "10.0.0.0/8", "2001:db8::/32", or one address.
std::optional<AddressBlock> ParseAddressBlock(std::string_view text);

using AddressBlocks = std::vector<AddressBlock>;
bool Contains(const AddressBlocks& blocks, std::string_view address);

// What limits per address count by: an IPv4 address, or the /64 of an IPv6 address, which one host has as a rule. A text
// that is no address counts as one of its own kind.
AddressBytes CountedAddress(std::string_view text);

// The client's address behind trusted proxies: the last of x-forwarded-for that is not a trusted proxy's. What stands before
// it was written by somebody who is not trusted. `peer` itself when it is not trusted or nothing usable is said.
std::string ClientAddress(const std::string& peer, std::string_view forwarded_for, const AddressBlocks& trusted);

}  // namespace realtime

#endif  // REALTIME_NET_ADDRESS_H_
