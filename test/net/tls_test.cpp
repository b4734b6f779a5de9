// The listener over TLS: real handshakes, certificates that change, slow readers, and whoever does not get to the handshake.
#include "net_fixture.h"

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "certificate.h"
#include "tls_session.h"

namespace realtime::test {
namespace {

class TlsTest : public NetTest {
 protected:
  Settings Encrypted(const Certificate& certificate) {
    Settings settings = TestSettings(port_);
    settings.ssl = true;
    settings.ssl_certificate = certificate.certificate;
    settings.ssl_key = certificate.key;
    return settings;
  }
  Settings Encrypted() { return Encrypted(MakeCertificate("first")); }

  static std::unique_ptr<Client> MakeClient(int newest_version = 0) {
    auto client = std::make_unique<Client>();
    client->SpeakTls(newest_version);
    return client;
  }

  std::unique_ptr<Client> Joined(const std::string& topic, int receive_buffer = 0) {
    auto client = MakeClient();
    EXPECT_TRUE(client->Join(port_, topic, receive_buffer)) << topic;
    return client;
  }

  // The name that a new client finds in the certificate.
  std::string NameOf() {
    auto client = MakeClient();
    return client->Connect(port_) ? client->tls().PeerName() : "";
  }

  std::string Ask(const std::string& request) {
    auto client = MakeClient();
    EXPECT_TRUE(client->Connect(port_));
    client->SendRaw(request);
    std::string response = client->ReadResponse();
    EXPECT_TRUE(client->WaitForEnd(5000)) << request;
    EXPECT_TRUE(client->tls().complete()) << "an answer could have been cut off unnoticed";
    return response;
  }

  static bool IsAlive(Client* client) { return client->SendText(kHeartbeat) && client->ReadUntil(kHeartbeatReply); }

  static bool JoinRoom(Client* client, const std::string& topic) {
    return client->SendText("[\"1\",\"1\",\"realtime:" + topic + "\",\"phx_join\",{\"config\":{}}]") &&
           client->ReadUntil("\"status\":\"ok\"");
  }

  static std::string Hello() {
    TlsSession session;
    session.Advance();
    return session.TakeOutput();
  }
};

TEST_F(TlsTest, BothVersionsServeWebSocketsAndHttp) {
  StartServer(Encrypted());
  for (auto [version, name] : {std::pair(TLS1_2_VERSION, "TLSv1.2"), std::pair(TLS1_3_VERSION, "TLSv1.3")}) {
    auto client = MakeClient(version);
    ASSERT_TRUE(client->Join(port_, "a")) << name;
    EXPECT_EQ(client->tls().Version(), name);
    EXPECT_EQ(client->tls().PeerName(), "first");
    EXPECT_TRUE(IsAlive(client.get()));
    ASSERT_TRUE(database_->WaitForChannels(1));
    ASSERT_TRUE(database_->Deliver(Change(1, 100000)));
    EXPECT_TRUE(client->ReadUntil(Change(1, 100000)));

    std::string health = Ask("GET /healthcheck HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(StatusOf(health), 200) << health;
    std::string rest = Ask("POST /api/broadcast/a%2F..%2Fb/events/e HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                           "Authorization: Bearer " + ValidToken() + "\r\nContent-Length: 7\r\n\r\n{\"n\":1}");
    EXPECT_EQ(StatusOf(rest), 202) << rest;
    client->Disconnect();
    EXPECT_TRUE(database_->WaitForChannels(0));
  }
  auto old = MakeClient(TLS1_1_VERSION);
  EXPECT_FALSE(old->Connect(port_));
}

TEST_F(TlsTest, EverythingMayComeByteByByte) {
  StartServer(Encrypted());
  Client wire;
  ASSERT_TRUE(wire.Connect(port_));
  TlsSession session;
  auto trickle = [&](const std::string& bytes) {
    for (char c : bytes) EXPECT_TRUE(wire.SendRaw({&c, 1}));
  };
  while (session.Advance() && !session.ready()) {
    trickle(session.TakeOutput());
    session.Receive(wire.ReadSome());
  }
  ASSERT_TRUE(session.ready());
  trickle(session.TakeOutput());
  trickle(session.Encrypt("GET /healthcheck HTTP/1.1\r\n"));
  trickle(session.Encrypt("Host: x\r\n\r\n"));
  std::string answer;
  for (session.Receive(wire.ReadSome()); session.Decrypt(&answer);) session.Receive(wire.ReadSome());
  EXPECT_EQ(StatusOf(answer), 200) << answer;
  EXPECT_TRUE(session.complete());
}

TEST_F(TlsTest, NewCertificateIsForNewClientsAndABrokenOneForNobody) {
  StartServer(Encrypted());
  auto client = Joined("a");
  ASSERT_TRUE(database_->WaitForChannels(1));

  Certificate second = MakeCertificate("second");
  database_->Reload(Encrypted(second));
  // Between two heartbeats of a client everything before the second has been dealt with.
  ASSERT_TRUE(IsAlive(client.get()) && IsAlive(client.get()));
  EXPECT_EQ(NameOf(), "second");
  EXPECT_EQ(client->tls().PeerName(), "first");

  Settings mismatch = Encrypted(MakeCertificate("third"));
  mismatch.ssl_key = second.key;
  database_->Reload(mismatch);
  EXPECT_TRUE(database_->WaitForLog("key values mismatch; the certificate before it stays in use"));
  Settings garbage = Encrypted();
  garbage.ssl_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  database_->Reload(garbage);
  EXPECT_TRUE(database_->WaitForLog("holds no certificate"));
  EXPECT_EQ(NameOf(), "second");

  ASSERT_TRUE(database_->Deliver(Change(1, 10)));
  EXPECT_TRUE(client->ReadUntil("\"number\":1,"));
}

TEST_F(TlsTest, TurnedOffAndOnAgainItKeepsWhoIsConnected) {
  StartServer(Encrypted());
  auto encrypted = Joined("a");
  database_->Reload(TestSettings(port_));
  ASSERT_TRUE(IsAlive(encrypted.get()) && IsAlive(encrypted.get()));
  EXPECT_TRUE(Serves());  // in plain text
  Client plain;
  ASSERT_TRUE(plain.Join(port_, "b"));
  database_->Reload(Encrypted(MakeCertificate("again")));
  EXPECT_TRUE(IsAlive(&plain) && IsAlive(&plain));
  EXPECT_EQ(NameOf(), "again");
  ASSERT_TRUE(database_->WaitForChannels(2));
  ASSERT_TRUE(database_->Deliver(Change(1, 10)));
  EXPECT_TRUE(encrypted->ReadUntil("\"number\":1,"));
  EXPECT_TRUE(plain.ReadUntil("\"number\":1,"));
}

TEST_F(TlsTest, ReaderThatPausesBrieflyGetsEverythingInOrder) {
  Settings settings = Encrypted();
  settings.max_client_queue = 1 << 20;
  settings.slow_client_grace_ms = 4000;
  StartServer(settings);
  auto slow = Joined("a", 16384);
  auto other = MakeClient();
  ASSERT_TRUE(other->Connect(port_));
  ASSERT_EQ(StatusOf(other->Upgrade("apikey=" + ValidToken() + "&vsn=2.0.0")), 101);
  ASSERT_TRUE(database_->WaitForChannels(1));
  constexpr int kChanges = 2000;
  for (int i = 0; i < kChanges; ++i) ASSERT_TRUE(database_->Deliver(Change(i, 4000)));
  EXPECT_FALSE(database_->WaitForRoom(1 << 20, 300)) << "the client's slowness has to reach the stream";
  EXPECT_TRUE(IsAlive(other.get()));
  for (int i = 0; i < kChanges; ++i) {
    Frame frame = slow->ReadFrame();
    ASSERT_NE(frame.payload.find("\"number\":" + std::to_string(i) + ","), std::string::npos) << i << " " << frame.opcode;
  }
  EXPECT_EQ(database_->CountLog("were queued"), 0u);
  EXPECT_TRUE(database_->WaitForRoom(0, 5000));
}

TEST_F(TlsTest, SilentReaderIsCutWhileOthersKeepReceiving) {
  Settings settings = Encrypted();
  settings.max_client_queue = 1 << 20;
  settings.slow_client_grace_ms = 300;
  StartServer(settings);
  auto silent = Joined("silent", 4096);
  auto live = Joined("live");
  ASSERT_TRUE(database_->WaitForChannels(2));
  constexpr int kChanges = 1000;
  std::thread producer([&] {
    for (int i = 0; i < kChanges; ++i) database_->Deliver(Change(i, 4000));
  });
  int received = 0;
  while (received < kChanges && live->ReadUntil("\"number\":" + std::to_string(received) + ",", 15000)) ++received;
  producer.join();
  EXPECT_EQ(received, kChanges);
  EXPECT_TRUE(database_->WaitForLog("were queued"));
  EXPECT_TRUE(database_->WaitForChannels(1));
  EXPECT_TRUE(silent->WaitForEnd(10000));
  EXPECT_TRUE(IsAlive(live.get()));
}

TEST_F(TlsTest, OneLargeBroadcastArrivesWholeWhileAnotherClientDoesNotRead) {
  constexpr size_t kBytes = 16u << 20;
  Settings settings = Encrypted();
  settings.max_message_size = settings.max_payload_size = kBytes + (1 << 20);
  settings.max_client_queue = 2 * kBytes;
  StartServer(settings);
  std::vector<std::unique_ptr<Client>> clients;
  for (int receive_buffer : {0, 0, 65536}) {
    clients.push_back(MakeClient());
    ASSERT_TRUE(clients.back()->Connect(port_, "127.0.0.1", receive_buffer));
    ASSERT_EQ(StatusOf(clients.back()->Upgrade("apikey=" + ValidToken() + "&vsn=2.0.0")), 101);
    ASSERT_TRUE(JoinRoom(clients.back().get(), "large"));
  }
  Client &sender = *clients[0], &reader = *clients[1], &silent = *clients[2];
  std::string payload;
  for (int i = 0; payload.size() < kBytes; ++i) payload += std::to_string(i) + std::string(1000, 'x');
  const std::string body = "{\"x\":\"" + payload + "\"}";
  ASSERT_TRUE(sender.SendText("[\"1\",\"2\",\"realtime:large\",\"broadcast\",{\"type\":\"broadcast\",\"event\":\"e\","
                              "\"payload\":" + body + "}]"));
  Frame frame = reader.ReadFrame(60000);
  EXPECT_EQ(frame.opcode, 1);
  EXPECT_TRUE(frame.payload.find(body) != std::string::npos) << frame.payload.size();
  EXPECT_TRUE(IsAlive(&sender));
  EXPECT_TRUE(IsAlive(&reader));
  // What has not read until now finds it all there.
  frame = silent.ReadFrame(60000);
  EXPECT_TRUE(frame.payload.find(body) != std::string::npos) << frame.payload.size();
  EXPECT_TRUE(IsAlive(&silent));
}

TEST_F(TlsTest, WhatIsNoHandshakeEndsOnlyItsOwnConnection) {
  StartServer(Encrypted());
  auto good = Joined("good");
  const std::string hello = Hello();
  ASSERT_GT(hello.size(), 100u);
  Client plain;
  ASSERT_TRUE(plain.Connect(port_));
  plain.SendRaw("GET /healthcheck HTTP/1.1\r\nHost: x\r\n\r\n");
  std::string refusal = plain.ReadResponse();
  EXPECT_EQ(StatusOf(refusal), 400);
  EXPECT_EQ(BodyOf(refusal), R"({"error":"this port speaks TLS: use https or wss"})");
  EXPECT_TRUE(plain.WaitForEnd(5000));

  unsigned seed = 1;
  auto random = [&] { return static_cast<char>((seed = seed * 1664525u + 1013904223u) >> 24); };
  for (int round = 0; round < 60; ++round) {
    Client bad;
    ASSERT_TRUE(bad.Connect(port_));
    std::string bytes(3000, '\0');
    for (char& c : bytes) c = random();
    if (round % 3 == 0) bytes[0] = 0x16;  // looks like a handshake
    if (round % 3 == 1) bytes = std::string("\x16\x03\x01\x40\x00", 5) + bytes + std::string(16384, 'x');
    if (round % 3 == 2) {  // is one, but for a byte
      bytes = hello;
      bytes[static_cast<size_t>(round) % bytes.size()] ^= 0x55;
      bytes += std::string(1000, '\x17');
    }
    bad.SendRaw(bytes);
    EXPECT_TRUE(bad.WaitForEnd(5000)) << round;
  }
  // In the encrypted stream: not HTTP, and not a record.
  auto binary = MakeClient();
  ASSERT_TRUE(binary->Connect(port_));
  binary->SendRaw(std::string(100000, '\xff'));
  EXPECT_TRUE(binary->WaitForEnd(5000));
  auto broken = Joined("broken");
  ASSERT_TRUE(database_->WaitForChannels(2));
  broken->SendUnencrypted(std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x'));
  EXPECT_TRUE(broken->WaitForEnd(5000));
  EXPECT_TRUE(database_->WaitForChannels(1));
  EXPECT_TRUE(IsAlive(good.get()));
}

TEST_F(TlsTest, ClientsThatHangUpInTheHandshakeLeaveNothingBehind) {
  Settings settings = Encrypted();
  settings.max_connections = 1;  // with 64 in their handshake beside them
  StartServer(settings);
  const std::string hello = Hello();
  for (int round = 0; round < 200; ++round) {
    Client client;
    ASSERT_TRUE(client.Connect(port_));
    // Nothing, half of it, all of it, and all of it with the answer left unread.
    if (round % 4 != 0) client.SendRaw(round % 4 == 1 ? hello.substr(0, hello.size() / 2) : hello);
    if (round % 4 == 2) {
      EXPECT_NE(client.ReadSome(), "");
    }
    if (round % 8 == 3) client.EndSending();
  }
  auto client = Joined("a");
  EXPECT_TRUE(IsAlive(client.get()));
  // After the handshake, in the middle of the request.
  for (int round = 0; round < 20; ++round) {
    auto half = MakeClient();
    ASSERT_TRUE(half->Connect(port_));
    half->SendRaw("GET /realtime/v1/websocket HT");
  }
  EXPECT_TRUE(IsAlive(client.get()));
}

TEST_F(TlsTest, DrainEndsReadersSilentOnesAndThoseInTheirHandshake) {
  Settings settings = Encrypted();
  settings.max_client_queue = 32u << 20;
  StartServer(settings);
  const std::string hello = Hello();
  auto client = Joined("a"), deaf = Joined("b", 4096), opened = MakeClient();
  Client half, answered, mute;
  ASSERT_TRUE(half.Connect(port_) && answered.Connect(port_) && mute.Connect(port_));
  half.SendRaw(hello.substr(0, hello.size() / 2));
  answered.SendRaw(hello);
  ASSERT_NE(answered.ReadSome(), "");
  ASSERT_TRUE(opened->Connect(port_));
  ASSERT_TRUE(database_->WaitForChannels(2));
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(database_->Deliver(Change(i, 4000)));
  ASSERT_TRUE(client->ReadUntil("\"number\":999,"));

  int64_t start = NowMs();
  std::thread reader([&] {
    EXPECT_TRUE(client->ReadUntil("Server requested disconnect"));
    Frame frame = client->ReadFrame();
    while (frame.opcode >= 0 && frame.opcode != 8) frame = client->ReadFrame();
    EXPECT_EQ(frame.close_code(), 1012);
    client->SendFrame(8, "\x03\xf4");
    EXPECT_TRUE(client->WaitForEnd(5000));
  });
  EXPECT_TRUE(database_->Drain(5000));
  EXPECT_LT(NowMs() - start, 4000);
  reader.join();
  for (Client* other : {deaf.get(), opened.get(), &half, &answered, &mute}) EXPECT_TRUE(other->WaitForEnd(1000));
}

}  // namespace
}  // namespace realtime::test
