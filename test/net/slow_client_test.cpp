// Fan-out, order, and what a slow client may and may not do to the others.
#include "net_fixture.h"

#include <thread>
#include <vector>

namespace realtime::test {
namespace {

using SlowClientTest = NetTest;

TEST_F(SlowClientTest, SilentReaderIsCutWhileOthersKeepReceiving) {
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

TEST_F(SlowClientTest, ReaderThatPausesBrieflyGetsEverythingInOrder) {
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

TEST_F(SlowClientTest, HeldStreamLeavesHeartbeatsAlone) {
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

TEST_F(SlowClientTest, LargeFramesArriveWholeBetweenPongs) {
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

TEST_F(SlowClientTest, TwoHundredClientsGetEveryChangeInOrder) {
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
