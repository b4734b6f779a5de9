// Messages, ends of connections, listening, reload and drain over real sockets.
#include "net_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "net/listener.h"

namespace realtime::test {
namespace {

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

TEST_F(NetTest, PingsKeepAClientThatIsOtherwiseSilent) {
  Settings settings = TestSettings(port_);
  settings.idle_timeout_ms = 600;
  StartServer(settings);
  Client pinging, silent;
  ASSERT_TRUE(pinging.Connect(port_));
  ASSERT_EQ(StatusOf(pinging.Upgrade("apikey=" + ValidToken() + "&vsn=2.0.0")), 101);
  ASSERT_TRUE(silent.Connect(port_));
  ASSERT_EQ(StatusOf(silent.Upgrade("apikey=" + ValidToken() + "&vsn=2.0.0")), 101);
  int64_t start = NowMs();
  while (NowMs() - start < 4 * settings.idle_timeout_ms) {
    ASSERT_TRUE(pinging.SendFrame(9, "here"));
    ASSERT_EQ(pinging.ReadFrame().opcode, 10);
    ASSERT_EQ(pinging.ReadFrame(100).opcode, -1);
  }
  EXPECT_EQ(silent.ReadFrame(0).close_code(), 1000);
  start = NowMs();
  EXPECT_EQ(pinging.ReadFrame().close_code(), 1000);
  EXPECT_GT(NowMs() - start, settings.idle_timeout_ms / 2);
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

// Clients that all come back in one moment would ask the next server for everything at once.
TEST_F(NetTest, ADrainIsSpreadOverItsTime) {
  constexpr int kClients = 120;
  Settings settings = TestSettings(port_);
  settings.drain_timeout_ms = 4000;
  StartServer(settings);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<Client>());
    ASSERT_TRUE(clients.back()->Join(port_, "a"));
  }
  int64_t start = NowMs();
  database_->Push(realtime::Drain{});
  std::vector<int64_t> told;  // ms after the start, in the order of the clients
  std::vector<std::thread> readers;
  told.resize(kClients);
  for (int i = 0; i < kClients; ++i) {
    readers.emplace_back([&, i] {
      Client& client = *clients[static_cast<size_t>(i)];
      EXPECT_TRUE(client.ReadUntil("Server requested disconnect"));
      told[static_cast<size_t>(i)] = NowMs() - start;
      Frame frame = client.ReadFrame();
      EXPECT_EQ(frame.opcode, 8);
      EXPECT_EQ(frame.close_code(), 1012);
      client.Disconnect();
    });
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_TRUE(database_->Drain(5000));
  EXPECT_LT(NowMs() - start, 4000) << "it ends with the last client";
  std::sort(told.begin(), told.end());
  EXPECT_LT(told[49], 1000) << "the first at once";
  EXPECT_GE(told[85], 700) << "half of the others, in half of their 2 s";
  EXPECT_LT(told[85], told[kClients - 1]);
  EXPECT_GE(told[kClients - 1], 1800);
}

TEST_F(NetTest, ThreadCanBeStartedAgainInTheSameProcess) {
  for (int i = 0; i < 3; ++i) {
    StartServer();
    EXPECT_TRUE(Serves());
    ASSERT_TRUE(database_->Drain(5000));
    database_.reset();
  }
}

TEST_F(NetTest, ConnectionsAreClampedByTheLimitOfOpenFiles) {
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  rlimit low{200, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  int descriptors = 0;
  EXPECT_EQ(ClampConnections(500, &descriptors), 500);  // the soft limit is raised as far as needed
  EXPECT_EQ(descriptors, 628);
  rlimit now{};
  getrlimit(RLIMIT_NOFILE, &now);
  EXPECT_EQ(now.rlim_cur, 628u);
  EXPECT_EQ(ClampConnections(100, &descriptors), 100);  // and never lowered below what it was
  EXPECT_EQ(descriptors, 628);
  EXPECT_EQ(ConnectionsWithin(628, 1000), 500);
  EXPECT_EQ(ConnectionsWithin(10, 1000), 1);
  setrlimit(RLIMIT_NOFILE, &old);
}

TEST_F(NetTest, OutOfDescriptorsIsLoggedAndPassedThrough) {
  StartServer();
  Client good;
  ASSERT_TRUE(good.Join(port_, "good"));
  Client waiting;
  ASSERT_TRUE(waiting.Prepare());
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  rlimit low{3, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  EXPECT_TRUE(waiting.Connect(port_));
  EXPECT_TRUE(database_->WaitForLog("cannot accept more Realtime clients"));
  ASSERT_TRUE(database_->Deliver(Change(1, 10)));
  EXPECT_TRUE(good.ReadUntil("\"number\":1,"));
  setrlimit(RLIMIT_NOFILE, &old);
  EXPECT_EQ(StatusOf(waiting.Upgrade("apikey=" + ValidToken())), 101);
  EXPECT_EQ(database_->CountLog("cannot accept more"), 1u);
}

}  // namespace
}  // namespace realtime::test
