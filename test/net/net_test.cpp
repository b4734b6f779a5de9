// The network thread with the real engine over real sockets: what every client may rely on, and what no client can do.
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "client.h"
#include "fake_database.h"

namespace realtime::test {
namespace {

constexpr char kHeartbeat[] = R"([null,"7","phoenix","heartbeat",{}])";
constexpr char kHeartbeatReply[] = R"("7","phoenix","phx_reply")";

int64_t NowMs() {
  auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

std::string Change(int i, size_t bytes) {
  return "{\"number\":" + std::to_string(i) + ",\"x\":\"" + std::string(bytes, 'x') + "\"}";
}

class NetTest : public testing::Test {
 protected:
  void StartServer(Settings settings) {
    database_ = std::make_unique<FakeDatabase>(std::move(settings));
    Status status = database_->Start();
    ASSERT_TRUE(status.ok()) << status.message();
    // The thread binds before Start returns, but a port that was in use is tried again later.
    ASSERT_TRUE(database_->WaitForLog("listening"));
  }
  void StartServer() { StartServer(TestSettings(port_)); }

  // A handshake on a connection of its own.
  std::string Answer(const std::string& query, const std::string& headers = "",
                     const std::string& path = "/realtime/v1/websocket") {
    Client client;
    EXPECT_TRUE(client.Connect(port_));
    return client.Upgrade(query, headers, path);
  }

  bool Serves() {
    Client client;
    if (!client.Connect(port_)) return false;
    if (StatusOf(client.Upgrade("apikey=" + ValidToken() + "&vsn=2.0.0")) != 101) return false;
    return client.SendText(kHeartbeat) && client.ReadUntil(kHeartbeatReply);
  }

  int port_ = FreePort();
  std::unique_ptr<FakeDatabase> database_;
};

TEST_F(NetTest, HandshakeSucceedsOnBothPathsAndSendsNothingByItself) {
  StartServer();
  for (std::string path : {"/realtime/v1/websocket", "/socket/websocket"}) {
    Client client;
    ASSERT_TRUE(client.Connect(port_));
    std::string response = client.Upgrade("apikey=" + ValidToken() + "&vsn=2.0.0", "", path);
    EXPECT_EQ(StatusOf(response), 101) << response;
    EXPECT_NE(response.find("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), std::string::npos);
    client.SendText(kHeartbeat);
    Frame first = client.ReadFrame();
    EXPECT_NE(first.payload.find(kHeartbeatReply), std::string::npos) << first.payload;
  }
}

TEST_F(NetTest, HandshakeErrorsHaveTheReferencesStatusAndBody) {
  StartServer();
  std::string missing = Answer("vsn=2.0.0");
  EXPECT_EQ(StatusOf(missing), 401);
  EXPECT_EQ(BodyOf(missing), R"({"error":"API key is missing"})");
  EXPECT_NE(missing.find("content-type: application/json; charset=utf-8\r\n"), std::string::npos);

  EXPECT_EQ(BodyOf(Answer("apikey=nonsense")), R"({"error":"The token provided is not a valid JWT"})");
  std::string expired = Answer("apikey=" + SignToken(R"({"role":"anon","exp":1000})"));
  EXPECT_EQ(StatusOf(expired), 401);
  EXPECT_EQ(BodyOf(expired), R"({"error":"Token has expired"})");
  std::string forged = Answer("apikey=" + SignToken(R"({"role":"anon","exp":4102444800})", "another secret"));
  EXPECT_EQ(BodyOf(forged), R"({"error":"Failed to validate JWT signature"})");
  EXPECT_EQ(BodyOf(Answer("apikey=" + SignToken(R"({"role":"anon"})"))),
            "{\"error\":\"Fields `role` and `exp` are required in JWT\"}");

  std::string vsn = Answer("apikey=" + ValidToken() + "&vsn=3.0.0");
  EXPECT_EQ(StatusOf(vsn), 403);
  EXPECT_EQ(BodyOf(vsn), "");
}

TEST_F(NetTest, HeaderWinsOverQueryAndLongTokensFitEitherWay) {
  StartServer();
  EXPECT_EQ(StatusOf(Answer("apikey=nonsense", "X-API-Key: " + ValidToken() + "\r\n")), 101);
  EXPECT_EQ(StatusOf(Answer("apikey=" + ValidToken(), "x-api-key: nonsense\r\n")), 401);
  std::string claims = R"({"role":"anon","exp":4102444800,"fill":")" + std::string(11000, 'f') + "\"}";
  std::string token = SignToken(claims);
  ASSERT_GT(token.size(), 14000u);
  EXPECT_EQ(StatusOf(Answer("vsn=2.0.0&apikey=" + token)), 101);
  EXPECT_EQ(StatusOf(Answer("vsn=2.0.0", "x-api-key: " + token + "\r\n")), 101);
  EXPECT_EQ(StatusOf(Answer("apikey=" + token, "x-api-key: " + token + "\r\n")), 101);
}

TEST_F(NetTest, QueryIsUrlDecoded) {
  StartServer();
  std::string token = ValidToken(), encoded;
  for (char c : token) encoded += c == '.' ? std::string("%2E") : c == '-' ? std::string("%2d") : std::string(1, c);
  EXPECT_EQ(StatusOf(Answer("log_level=info&apikey=" + encoded + "&vsn=2%2E0.0")), 101);
}

TEST_F(NetTest, OfferedSubprotocolsAreIgnoredAndNotEchoed) {
  StartServer();
  for (std::string offer : {"realtime", "phoenix, base64url.bearer.phx.abc", "x"}) {
    std::string response = Answer("apikey=" + ValidToken(), "Sec-WebSocket-Protocol: " + offer + "\r\n");
    EXPECT_EQ(StatusOf(response), 101) << offer;
    EXPECT_EQ(response.find("rotocol:"), std::string::npos) << response;
  }
  EXPECT_EQ(StatusOf(Answer("apikey=" + ValidToken(), "Sec-WebSocket-Protocol: " + std::string(500, 'p') + "\r\n")), 400);
  EXPECT_TRUE(Serves());
}

TEST_F(NetTest, CompressionIsNotNegotiated) {
  StartServer();
  std::string response = Answer("apikey=" + ValidToken(), "Sec-WebSocket-Extensions: permessage-deflate\r\n");
  EXPECT_EQ(StatusOf(response), 101);
  EXPECT_EQ(response.find("xtensions"), std::string::npos) << response;
}

TEST_F(NetTest, PlainHttpIsAnswered) {
  StartServer();
  auto ask = [&](const std::string& request) {
    Client client;
    EXPECT_TRUE(client.Connect(port_));
    client.SendRaw(request);
    std::string response = client.ReadResponse();
    EXPECT_TRUE(client.WaitForEnd(5000)) << request;
    return response;
  };
  std::string health = ask("GET /healthcheck HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(StatusOf(health), 200);
  EXPECT_EQ(BodyOf(health), "ok");
  EXPECT_EQ(StatusOf(ask("GET /realtime/v1/websocket HTTP/1.1\r\nHost: x\r\n\r\n")), 426);
  std::string post = ask("POST /realtime/v1/websocket HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi");
  EXPECT_EQ(StatusOf(post), 400);
  EXPECT_EQ(BodyOf(post), "");
  std::string other = ask("GET /other HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(StatusOf(other), 404);
  EXPECT_EQ(BodyOf(other), R"({"error":"Not Found"})");
  EXPECT_EQ(StatusOf(ask("GET /other HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")), 404);
  EXPECT_EQ(StatusOf(ask("GET /realtime/v1/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, "
                         "HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")), 400);
  EXPECT_EQ(StatusOf(ask("GET /realtime/v1/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: "
                         "Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n")), 400);
}

TEST_F(NetTest, FragmentsBecomeOneMessageWithControlFramesBetween) {
  StartServer();
  Client client;
  ASSERT_TRUE(client.Connect(port_));
  ASSERT_EQ(StatusOf(client.Upgrade("apikey=" + ValidToken() + "&vsn=2.0.0")), 101);
  std::string message = kHeartbeat;
  client.SendFrame(1, message.substr(0, 9), false);
  client.SendFrame(9, "between");
  client.SendFrame(0, "", false);
  client.SendFrame(0, message.substr(9), true);
  bool pong = false, reply = false;
  for (int i = 0; i < 2; ++i) {
    Frame frame = client.ReadFrame();
    pong = pong || (frame.opcode == 10 && frame.payload == "between");
    reply = reply || frame.payload.find(kHeartbeatReply) != std::string::npos;
  }
  EXPECT_TRUE(pong);
  EXPECT_TRUE(reply);
  // Byte by byte, over many segments.
  for (char c : message) client.SendFrame(c == '[' ? 1 : 0, std::string(1, c), c == ']');
  EXPECT_TRUE(client.ReadUntil(kHeartbeatReply));
}

TEST_F(NetTest, LargeMessagesAreReceivedWhole) {
  StartServer();
  Client client;
  ASSERT_TRUE(client.Connect(port_));
  ASSERT_EQ(StatusOf(client.Upgrade("apikey=" + ValidToken() + "&vsn=2.0.0")), 101);
  std::string message = R"([null,"7","phoenix","heartbeat",{"x":")" + std::string(4900000, 'x') + "\"}]";
  client.SendText(message);
  EXPECT_TRUE(client.ReadUntil(kHeartbeatReply));
}

TEST_F(NetTest, CloseIsEchoed) {
  StartServer();
  Client client;
  ASSERT_TRUE(client.Join(port_, "a"));
  client.SendFrame(8, std::string("\x03\xe8") + "bye");
  Frame frame = client.ReadFrame();
  EXPECT_EQ(frame.opcode, 8);
  EXPECT_EQ(frame.close_code(), 1000);
  EXPECT_TRUE(client.WaitForEnd(5000));
  EXPECT_TRUE(database_->WaitForChannels(0));
}

TEST_F(NetTest, VanishedClientLeavesItsChannels) {
  StartServer();
  Client client;
  ASSERT_TRUE(client.Join(port_, "a"));
  ASSERT_TRUE(database_->WaitForChannels(1));
  client.Disconnect();
  EXPECT_TRUE(database_->WaitForChannels(0));
}

TEST_F(NetTest, OversizeMessageCloses1009) {
  Settings settings = TestSettings(port_);
  settings.max_message_size = 10000;
  StartServer(settings);
  Client client;
  ASSERT_TRUE(client.Join(port_, "a"));
  client.SendFrame(1, std::string(9000, ' '), false);
  client.SendFrame(0, std::string(1001, ' '), false);
  Frame frame = client.ReadFrame();
  EXPECT_EQ(frame.close_code(), 1009);
  EXPECT_TRUE(database_->WaitForChannels(0));
  // Exactly the limit is fine.
  Client other;
  ASSERT_TRUE(other.Join(port_, "b"));
  std::string message = R"([null,"7","phoenix","heartbeat",{"x":")";
  message += std::string(10000 - message.size() - 3, 'x') + "\"}]";
  ASSERT_EQ(message.size(), 10000u);
  other.SendText(message);
  EXPECT_TRUE(other.ReadUntil(kHeartbeatReply));
}

TEST_F(NetTest, GarbageEndsOnlyItsOwnConnection) {
  StartServer();
  Client good;
  ASSERT_TRUE(good.Join(port_, "good"));
  unsigned seed = 1;
  for (int round = 0; round < 60; ++round) {
    Client bad;
    ASSERT_TRUE(bad.Connect(port_));
    if (round % 2 == 0) {
      ASSERT_EQ(StatusOf(bad.Upgrade("apikey=" + ValidToken())), 101);
    }
    std::string bytes(3000, '\0');
    for (char& c : bytes) c = static_cast<char>((seed = seed * 1664525u + 1013904223u) >> 24);
    bad.SendRaw(bytes);
  }
  Client preface;
  ASSERT_TRUE(preface.Connect(port_));
  preface.SendRaw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  for (std::string_view bytes : {std::string_view("\xf1\x80\0\0\0\0", 6),      // reserved bits
                                 std::string_view("\x83\x80\0\0\0\0", 6),      // reserved opcode
                                 std::string_view("\x89\xfe\x01\0\0\0\0\0", 8),  // ping of 256 bytes
                                 std::string_view("\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14)}) {
    Client bad;
    ASSERT_TRUE(bad.Connect(port_));
    ASSERT_EQ(StatusOf(bad.Upgrade("apikey=" + ValidToken())), 101);
    bad.SendRaw(bytes);
  }
  ASSERT_TRUE(database_->Deliver(Change(1, 10)));
  EXPECT_TRUE(good.ReadUntil("\"number\":1,"));
}

TEST_F(NetTest, UnmaskedFramesHarmNobody) {
  StartServer();
  Client bad;
  ASSERT_TRUE(bad.Connect(port_));
  ASSERT_EQ(StatusOf(bad.Upgrade("apikey=" + ValidToken() + "&vsn=2.0.0")), 101);
  bad.SendFrame(1, kHeartbeat, true, false);
  Frame frame = bad.ReadFrame();
  // libwebsockets 4.1 reads them; a refusal would be as good.
  EXPECT_TRUE(frame.opcode == 8 || frame.opcode == -2 || frame.payload.find(kHeartbeatReply) != std::string::npos);
  EXPECT_TRUE(Serves());
}

TEST_F(NetTest, UnfinishedHandshakesAreEnded) {
  StartServer();
  Client silent, slow;
  ASSERT_TRUE(silent.Connect(port_));
  ASSERT_TRUE(slow.Connect(port_));
  slow.SendRaw("GET /realtime/v1/websocket HTTP/1.1\r\nHost: x\r\n");
  int64_t start = NowMs();
  bool slow_ended = false;
  while (!slow_ended && NowMs() - start < 20000) {
    slow.SendRaw("x-slow: 1\r\n");
    slow_ended = slow.WaitForEnd(500);
  }
  EXPECT_TRUE(slow_ended);
  EXPECT_TRUE(silent.WaitForEnd(10000));
  EXPECT_GT(NowMs() - start, 8000);
}

TEST_F(NetTest, SilentReaderIsCutWhileOthersKeepReceiving) {
  Settings settings = TestSettings(port_);
  settings.max_client_queue = 1 << 20;
  settings.slow_client_grace_ms = 500;
  StartServer(settings);
  Client slow, live;
  ASSERT_TRUE(slow.Join(port_, "slow", 4096));
  ASSERT_TRUE(live.Join(port_, "live"));
  ASSERT_TRUE(database_->WaitForChannels(2));
  constexpr int kChanges = 2000;
  std::thread producer([&] {
    for (int i = 0; i < kChanges; ++i) database_->Deliver(Change(i, 4000));
  });
  int received = 0;
  while (received < kChanges && live.ReadUntil("\"number\":" + std::to_string(received) + ",", 15000)) ++received;
  producer.join();
  EXPECT_EQ(received, kChanges);
  EXPECT_TRUE(slow.WaitForEnd(10000));
  EXPECT_TRUE(database_->WaitForLog("were queued"));
  EXPECT_TRUE(database_->WaitForChannels(1));
  EXPECT_TRUE(database_->WaitForRoom(0, 5000));
}

TEST_F(NetTest, ReaderThatPausesBrieflyGetsEverythingInOrder) {
  Settings settings = TestSettings(port_);
  settings.max_client_queue = 1 << 20;
  settings.slow_client_grace_ms = 3000;
  StartServer(settings);
  Client client;
  ASSERT_TRUE(client.Join(port_, "a", 16384));
  ASSERT_TRUE(database_->WaitForChannels(1));
  constexpr int kChanges = 5000;
  for (int i = 0; i < kChanges; ++i) ASSERT_TRUE(database_->Deliver(Change(i, 4000)));
  // Held back: far more than the queue and the kernel's buffers can take is waiting in the mailbox.
  EXPECT_FALSE(database_->WaitForRoom(8 << 20, 700));
  for (int i = 0; i < kChanges; ++i) {
    Frame frame = client.ReadFrame();
    ASSERT_NE(frame.payload.find("\"number\":" + std::to_string(i) + ","), std::string::npos) << i << " " << frame.opcode;
  }
  EXPECT_EQ(database_->CountLog("were queued"), 0u);
  EXPECT_TRUE(database_->WaitForRoom(0, 5000));
}

TEST_F(NetTest, HeldStreamLeavesHeartbeatsAlone) {
  Settings settings = TestSettings(port_);
  settings.max_client_queue = 1 << 20;
  settings.slow_client_grace_ms = 4000;
  StartServer(settings);
  Client holder, other;
  ASSERT_TRUE(holder.Join(port_, "a", 16384));
  ASSERT_TRUE(database_->WaitForChannels(1));
  for (int i = 0; i < 3000; ++i) ASSERT_TRUE(database_->Deliver(Change(i, 4000)));
  EXPECT_FALSE(database_->WaitForRoom(4 << 20, 300));
  ASSERT_TRUE(other.Connect(port_));
  ASSERT_EQ(StatusOf(other.Upgrade("apikey=" + ValidToken() + "&vsn=2.0.0")), 101);
  int64_t start = NowMs();
  other.SendText(kHeartbeat);
  EXPECT_TRUE(other.ReadUntil(kHeartbeatReply, 2000));
  EXPECT_LT(NowMs() - start, 1000);
  EXPECT_GT(database_->mailbox_bytes(), 4u << 20);
  // A drain does not wait for the holder either.
  start = NowMs();
  EXPECT_TRUE(database_->Drain(5000));
  EXPECT_LT(NowMs() - start, 3000);
}

TEST_F(NetTest, LargeFramesArriveWholeBetweenPongs) {
  StartServer();
  Client client;
  ASSERT_TRUE(client.Join(port_, "a", 8192));
  ASSERT_TRUE(database_->WaitForChannels(1));
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(database_->Deliver(Change(i, 700000)));
    ASSERT_TRUE(client.SendFrame(9, "ping" + std::to_string(i)));
  }
  int changes = 0, pongs = 0;
  while (changes < 5) {
    Frame frame = client.ReadFrame();
    ASSERT_GE(frame.opcode, 0);
    if (frame.opcode == 10) {
      ++pongs;
      continue;
    }
    ASSERT_EQ(frame.opcode, 1);
    ASSERT_NE(frame.payload.find("\"number\":" + std::to_string(changes) + ","), std::string::npos);
    ASSERT_GT(frame.payload.size(), 700000u);
    ++changes;
  }
  if (pongs == 0) {
    EXPECT_EQ(client.ReadFrame().opcode, 10);
  }
}

TEST_F(NetTest, PortInUseIsLoggedOnceAndPickedUpWhenFree) {
  int holder = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port_));
  ASSERT_EQ(bind(holder, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(holder, 1), 0);

  Settings settings = TestSettings(port_);
  settings.listen_addresses = {"127.0.0.1", "127.0.0.2"};
  StartServer(settings);
  EXPECT_TRUE(database_->WaitForLog("cannot listen on 127.0.0.1:" + std::to_string(port_)));
  EXPECT_TRUE(database_->WaitForLog("realtime.port"));
  Client second;
  EXPECT_TRUE(second.Connect(port_, "127.0.0.2"));  // the address that works is served meanwhile
  EXPECT_EQ(StatusOf(second.Upgrade("apikey=" + ValidToken())), 101);
  close(holder);
  EXPECT_TRUE(database_->WaitForLog("listening for Realtime clients on 127.0.0.1:"));
  EXPECT_TRUE(Serves());
  EXPECT_EQ(database_->CountLog("cannot listen"), 1u);
}

TEST_F(NetTest, LocalhostListensOnBothFamilies) {
  Settings settings = TestSettings(port_);
  settings.listen_addresses = {"localhost"};
  StartServer(settings);
  EXPECT_TRUE(Serves());
  int probe = socket(AF_INET6, SOCK_STREAM, 0);
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  any.sin6_addr = in6addr_loopback;
  bool has_v6 = probe >= 0 && bind(probe, reinterpret_cast<sockaddr*>(&any), sizeof(any)) == 0;
  close(probe);
  if (!has_v6) GTEST_SKIP() << "no IPv6 loopback here";
  Client client;
  ASSERT_TRUE(client.Connect(port_, "::1"));
  EXPECT_EQ(StatusOf(client.Upgrade("apikey=" + ValidToken())), 101);
}

TEST_F(NetTest, ReloadMovesThePortAndKeepsClients) {
  StartServer();
  Client client;
  ASSERT_TRUE(client.Join(port_, "a"));
  int old_port = port_;
  port_ = FreePort();
  database_->Reload(TestSettings(port_));
  EXPECT_TRUE(database_->WaitForLog(":" + std::to_string(port_)));
  EXPECT_TRUE(Serves());
  Client late;
  EXPECT_FALSE(late.Connect(old_port));
  ASSERT_TRUE(database_->Deliver(Change(1, 10)));
  EXPECT_TRUE(client.ReadUntil("\"number\":1,"));
}

TEST_F(NetTest, NotServingClosesClientsAndComesBack) {
  StartServer();
  Client client;
  ASSERT_TRUE(client.Join(port_, "a"));
  Settings settings = TestSettings(port_);
  settings.serving = false;
  database_->Reload(settings);
  EXPECT_TRUE(client.ReadUntil("Server requested disconnect"));
  Frame frame = client.ReadFrame();
  while (frame.opcode >= 0 && frame.opcode != 8) frame = client.ReadFrame();
  EXPECT_EQ(frame.close_code(), 1012);
  EXPECT_TRUE(database_->WaitForChannels(0));
  Client refused;
  EXPECT_FALSE(refused.Connect(port_));
  int old_port = port_;
  port_ = FreePort();  // a port of its own, so that the log line tells this start from the first
  ASSERT_NE(port_, old_port);
  database_->Reload(TestSettings(port_));
  EXPECT_TRUE(database_->WaitForLog(":" + std::to_string(port_)));
  EXPECT_TRUE(Serves());
}

TEST_F(NetTest, DrainSaysGoodbyeAndEndsTheThread) {
  StartServer();
  Client client, deaf;
  ASSERT_TRUE(client.Join(port_, "a"));
  ASSERT_TRUE(deaf.Join(port_, "b"));
  int64_t start = NowMs();
  std::thread reader([&] {
    EXPECT_TRUE(client.ReadUntil("Server requested disconnect"));
    Frame frame = client.ReadFrame();
    while (frame.opcode >= 0 && frame.opcode != 8) frame = client.ReadFrame();
    EXPECT_EQ(frame.close_code(), 1012);
    client.SendFrame(8, "\x03\xf4");
    EXPECT_TRUE(client.WaitForEnd(5000));
  });
  EXPECT_TRUE(database_->Drain(5000));
  EXPECT_LT(NowMs() - start, 4000);
  reader.join();
  EXPECT_TRUE(deaf.WaitForEnd(1000));
}

TEST_F(NetTest, ThreadCanBeStartedAgainInTheSameProcess) {
  for (int i = 0; i < 3; ++i) {
    StartServer();
    EXPECT_TRUE(Serves());
    ASSERT_TRUE(database_->Drain(5000));
    database_.reset();
  }
}

TEST_F(NetTest, TooManyClientsAreRefusedWith429) {
  Settings settings = TestSettings(port_);
  settings.max_connections = 3;
  StartServer(settings);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<Client>());
    ASSERT_TRUE(clients.back()->Connect(port_));
    ASSERT_EQ(StatusOf(clients.back()->Upgrade("apikey=" + ValidToken())), 101);
  }
  std::string response = Answer("apikey=" + ValidToken());
  EXPECT_EQ(StatusOf(response), 429);
  EXPECT_EQ(BodyOf(response), R"({"error":"Too many connected users"})");
}

TEST_F(NetTest, TwoHundredClientsGetEveryChangeInOrder) {
  StartServer();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(std::make_unique<Client>());
    ASSERT_TRUE(clients.back()->Join(port_, "room")) << i;
  }
  ASSERT_TRUE(database_->WaitForChannels(200));
  constexpr int kChanges = 100;
  for (int i = 0; i < kChanges; ++i) ASSERT_TRUE(database_->Deliver(Change(i, 150)));
  for (auto& client : clients) {
    for (int i = 0; i < kChanges; ++i) {
      Frame frame = client->ReadFrame();
      ASSERT_NE(frame.payload.find("\"number\":" + std::to_string(i) + ","), std::string::npos) << frame.payload;
    }
  }
}

}  // namespace
}  // namespace realtime::test
