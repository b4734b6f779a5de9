// What a connection may send, through the real network thread with libwebsockets: HTTP upgrades, REST calls, WebSocket
// frames. The first byte is the size of the pieces in which the rest is sent (0: at once). In the rest, "$T" stands for
// a valid token and
// "$U" for a whole upgrade request, which mutations would hardly find. Whatever it was, the connection ends when its
// sender has nothing more to say, and the others are served as before.
#include <cstdint>
#include <string>
#include <string_view>

#include "check.h"
#include "net/client.h"
#include "net/fake_database.h"

namespace {

using realtime::test::Client;

constexpr int kPatienceMs = 9000;
constexpr int kInputsPerCheck = 32;
constexpr int kAddresses = 200;

// What a proxy says of its clients is read.
realtime::Settings SettingsFor(int port) {
  realtime::Settings settings = realtime::test::TestSettings(port);
  settings.trusted_proxies = {"127.0.0.0/8", "10.0.0.1"};
  return settings;
}

struct Target {
  int port = realtime::test::FreePort();
  realtime::test::FakeDatabase database{SettingsFor(port)};
  std::string token = realtime::test::ValidToken();
  int inputs = 0;
  int address = 0;  // the last part of that of the last connection

  Target() {
    FUZZ_CHECK(database.Start().ok());
    FUZZ_CHECK(database.WaitForLog("listening"));
  }
};

// Never destroyed: the fuzzer leaves by _exit or by a crash.
Target& TheTarget() {
  static Target* target = new Target();
  return *target;
}

std::string Replaced(std::string_view text, std::string_view token) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    std::string_view two = text.substr(i, 2);
    if (two == "$T") {
      out += token;
    } else if (two == "$U") {
      out.append("GET /realtime/v1/websocket?vsn=2.0.0&apikey=").append(token);
      out +=
          " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    } else {
      out.push_back(text[i]);
      continue;
    }
    ++i;
  }
  return out;
}

// A connection's port cannot be used for a minute after its end. With addresses in turn there are always some left.
void Connect(Target* target, Client* client) {
  target->address = target->address % kAddresses + 1;
  FUZZ_CHECK(client->PrepareFrom("127.0.0." + std::to_string(target->address)));
  FUZZ_CHECK(client->Connect(target->port));
}

void CheckThatItServes(Target* target) {
  Client client;
  Connect(target, &client);
  client.SendRaw("GET /healthcheck HTTP/1.1\r\nHost: x\r\n\r\n");
  FUZZ_CHECK(realtime::test::StatusOf(client.ReadResponse(kPatienceMs)) == 200);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  Target& target = TheTarget();
  std::string bytes = Replaced({reinterpret_cast<const char*>(data) + 1, size - 1}, target.token);
  // Never so small that a long input becomes thousands of packets.
  size_t piece = data[0] == 0 ? bytes.size() + 1 : data[0] + bytes.size() / 64;
  Client client;
  Connect(&target, &client);
  for (size_t at = 0; at < bytes.size() && client.SendRaw(std::string_view(bytes).substr(at, piece)); at += piece) {
  }
  client.EndSending();
  FUZZ_CHECK(client.WaitForEnd(kPatienceMs));
  if (++target.inputs % kInputsPerCheck == 0) CheckThatItServes(&target);
  return 0;
}
