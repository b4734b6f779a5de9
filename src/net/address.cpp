#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace realtime {
namespace {

constexpr int kMappedBits = 96;  // IPv4 within IPv6

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Proxies write "192.0.2.1:4711" and "[2001:db8::1]:4711" as well.
std::string_view WithoutPort(std::string_view text) {
  if (text.starts_with('[')) return text.substr(1, text.find(']') - 1);
  bool one_colon = std::count(text.begin(), text.end(), ':') == 1;
  return one_colon ? text.substr(0, text.find(':')) : text;
}

}  // namespace

std::optional<AddressBytes> ParseAddress(std::string_view text) {
  char buffer[INET6_ADDRSTRLEN + 1] = "";
  if (text.empty() || text.size() >= sizeof(buffer) || text.find('\0') != std::string_view::npos) return std::nullopt;
  memcpy(buffer, text.data(), text.size());
  AddressBytes bytes{};
  if (inet_pton(AF_INET6, buffer, bytes.data()) == 1) return bytes;
  if (inet_pton(AF_INET, buffer, bytes.data() + kMappedBits / 8) != 1) return std::nullopt;
  bytes[10] = bytes[11] = 0xff;
  return bytes;
}

bool AddressBlock::Contains(const AddressBytes& address) const {
  size_t whole = static_cast<size_t>(bits) / 8;
  if (!std::equal(first.begin(), first.begin() + static_cast<ptrdiff_t>(whole), address.begin())) return false;
  int rest = bits % 8;
  if (rest == 0) return true;
  int mask = 0xff00 >> rest & 0xff;
  return (first[whole] & mask) == (address[whole] & mask);
}

std::optional<AddressBlock> ParseAddressBlock(std::string_view text) {
  text = Trim(text);
  size_t slash = text.find('/');
  std::optional<AddressBytes> address = ParseAddress(text.substr(0, slash));
  if (!address) return std::nullopt;
  AddressBlock block{*address, 128};
  if (slash == std::string_view::npos) return block;
  std::string_view digits = text.substr(slash + 1);
  bool v4 = text.substr(0, slash).find(':') == std::string_view::npos;
  int bits = -1;
  auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  bool whole = parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size();
  if (!whole || bits < 0 || bits > (v4 ? 32 : 128)) return std::nullopt;
  block.bits = v4 ? kMappedBits + bits : bits;
  return block;
}

bool Contains(const AddressBlocks& blocks, std::string_view address) {
  if (blocks.empty()) return false;
  std::optional<AddressBytes> bytes = ParseAddress(address);
  return bytes && std::any_of(blocks.begin(), blocks.end(), [&](const AddressBlock& b) { return b.Contains(*bytes); });
}

AddressBytes CountedAddress(std::string_view text) {
  static constexpr AddressBytes kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  AddressBytes bytes = ParseAddress(text).value_or(AddressBytes{});
  bool v4 = AddressBlock{kMapped, kMappedBits}.Contains(bytes);
  if (!v4) std::fill(bytes.begin() + 8, bytes.end(), uint8_t{0});
  return bytes;
}

std::string ClientAddress(const std::string& peer, std::string_view forwarded_for, const AddressBlocks& trusted) {
  std::string_view client = peer;
  while (Contains(trusted, client) && !forwarded_for.empty()) {
    size_t comma = forwarded_for.rfind(',');
    std::string_view last = WithoutPort(Trim(forwarded_for.substr(comma == std::string_view::npos ? 0 : comma + 1)));
    if (!ParseAddress(last)) break;
    client = last;
    forwarded_for = comma == std::string_view::npos ? std::string_view() : forwarded_for.substr(0, comma);
  }
  return std::string(client);
}

}  // namespace realtime
