// What waits for all sockets together stays within its budget, and those who hold most of it pay.
#include "net_fixture.h"

#include <algorithm>
#include <thread>
#include <vector>

#include "core/frame.h"

namespace realtime::test {
namespace {

constexpr size_t kBudget = 16u << 20;
constexpr int kTiny = 4096;  // receive buffer of those who do not read

class QueueBudgetTest : public NetTest {
 protected:
  Settings Small(int64_t grace_ms) {
    Settings settings = TestSettings(port_);
    settings.max_queue_memory = kBudget;
    settings.max_client_queue = 4 * kBudget;
    settings.slow_client_grace_ms = grace_ms;
    return settings;
  }

  void JoinAll(const std::string& name, int count, int receive_buffer, std::vector<std::unique_ptr<Client>>* clients) {
    for (int i = 0; i < count; ++i) {
      clients->push_back(std::make_unique<Client>());
      ASSERT_TRUE(clients->back()->Join(port_, name + std::to_string(i), receive_buffer)) << name << i;
    }
  }

  bool JoinRoom(Client* client, const std::string& topic) {
    return client->SendText("[\"1\",\"1\",\"realtime:" + topic + "\",\"phx_join\",{\"config\":{}}]") &&
           client->ReadUntil("\"status\":\"ok\"");
  }

  bool Broadcast(Client* client, const std::string& topic, size_t bytes) {
    return client->SendText("[\"1\",\"2\",\"realtime:" + topic + "\",\"broadcast\",{\"type\":\"broadcast\",\"event\":\"e\","
                            "\"payload\":{\"x\":\"" + std::string(bytes, 'x') + "\"}}]");
  }

  // Without a channel.
  bool Open(Client* client) {
    return client->Connect(port_) && StatusOf(client->Upgrade("apikey=" + ValidToken() + "&vsn=2.0.0")) == 101 && IsAlive(client);
  }

  bool IsAlive(Client* client) { return client->SendText(kHeartbeat) && client->ReadUntil(kHeartbeatReply); }
};

TEST_F(QueueBudgetTest, ManyThatDoNotReadCostNoMoreThanTheBudgetAndOthersGetEverything) {
  StartServer(Small(300));
  constexpr int kSilent = 40, kChanges = 150;
  std::vector<std::unique_ptr<Client>> silent, live;
  JoinAll("silent", kSilent, kTiny, &silent);
  JoinAll("live", 2, 0, &live);
  ASSERT_TRUE(database_->WaitForChannels(kSilent + 2));
  // Each has a topic of its own, so nothing is shared: 42 frames a change.
  std::thread producer([&] {
    for (int i = 0; i < kChanges; ++i) database_->Deliver(Change(i, 100000));
  });
  size_t most = 0;
  std::vector<int> received(live.size());
  for (int i = 0; i < kChanges && !HasFailure(); ++i) {
    for (auto& client : live) {
      EXPECT_TRUE(client->ReadUntil("\"number\":" + std::to_string(i) + ",", 15000)) << i;
      most = std::max(most, FrameMemory());
    }
  }
  producer.join();
  EXPECT_GT(most, kBudget / 2);  // or it has tested nothing
  EXPECT_LE(most, kBudget);
  EXPECT_GT(database_->CountLog("were queued and the client took none"), 0u);
  EXPECT_GT(database_->CountLog("realtime.max_queue_memory"), 0u);
  EXPECT_EQ(database_->CountLog("closed the slow client") > 15, false) << "thousands at once must not flood the log";
  for (auto& client : live) EXPECT_TRUE(IsAlive(client.get()));
}

TEST_F(QueueBudgetTest, StreamWaitsForThoseWhoPauseBriefly) {
  StartServer(Small(4000));
  std::vector<std::unique_ptr<Client>> clients;
  JoinAll("topic", 4, 16384, &clients);
  ASSERT_TRUE(database_->WaitForChannels(4));
  constexpr int kChanges = 400;
  for (int i = 0; i < kChanges; ++i) ASSERT_TRUE(database_->Deliver(Change(i, 50000)));  // 80 MB in all
  EXPECT_FALSE(database_->WaitForRoom(1 << 20, 500));
  EXPECT_LE(FrameMemory(), kBudget);
  std::vector<std::thread> readers;
  std::vector<int> received(clients.size());
  for (size_t c = 0; c < clients.size(); ++c) {
    readers.emplace_back([&, c] {
      while (received[c] < kChanges && clients[c]->ReadUntil("\"number\":" + std::to_string(received[c]) + ",")) ++received[c];
    });
  }
  for (std::thread& reader : readers) reader.join();
  for (int count : received) EXPECT_EQ(count, kChanges);
  EXPECT_EQ(database_->CountLog("were queued"), 0u);
}

TEST_F(QueueBudgetTest, BroadcastsCutThoseWhoHoldMostAndNobodyElse) {
  StartServer(Small(60000));
  constexpr int kEach = 4;
  std::vector<std::unique_ptr<Client>> large, small;
  JoinAll("large", kEach, kTiny, &large);
  JoinAll("small", kEach, kTiny, &small);
  Client sender;
  ASSERT_TRUE(sender.Join(port_, "sender"));
  for (int i = 0; i < kEach; ++i) {
    ASSERT_TRUE(JoinRoom(&sender, "large" + std::to_string(i)));
    ASSERT_TRUE(JoinRoom(&sender, "small" + std::to_string(i)));
  }
  size_t most = 0;
  for (int round = 0; round < 60 && database_->CountLog("closed the slow client") == 0; ++round) {
    for (int i = 0; i < kEach; ++i) {
      ASSERT_TRUE(Broadcast(&sender, "small" + std::to_string(i), 20000));
      ASSERT_TRUE(Broadcast(&sender, "large" + std::to_string(i), 500000));
    }
    ASSERT_TRUE(IsAlive(&sender));
    most = std::max(most, FrameMemory());
  }
  ASSERT_TRUE(database_->WaitForLog("closed the slow client"));
  EXPECT_LE(most, kBudget);
  for (auto& client : small) EXPECT_TRUE(IsAlive(client.get()));
  bool cut = false;
  for (auto& client : large) cut = client->WaitForEnd(2000) || cut;
  EXPECT_TRUE(cut);
}

TEST_F(QueueBudgetTest, MessagesThatNeverEndCountToo) {
  StartServer(Small(60000));
  constexpr int kClients = 12;
  std::vector<std::unique_ptr<Client>> clients;
  JoinAll("upload", kClients, 0, &clients);
  Client other;
  ASSERT_TRUE(other.Join(port_, "other"));
  for (auto& client : clients) client->SendFrame(1, std::string(2000000, 'x'), false);
  EXPECT_TRUE(database_->WaitForLog("closed the slow client"));
  EXPECT_TRUE(IsAlive(&other));
}

TEST_F(QueueBudgetTest, WhoeverHoldsNothingIsNotCutHoweverLongHeHasBeenQuiet) {
  constexpr int64_t kGraceMs = 4000;
  StartServer(Small(kGraceMs));
  std::vector<std::unique_ptr<Client>> quiet(8), large;
  for (auto& client : quiet) {
    client = std::make_unique<Client>();
    ASSERT_TRUE(Open(client.get()));
  }
  JoinAll("large", 4, kTiny, &large);
  Client other;
  ASSERT_TRUE(Open(&other));
  ASSERT_TRUE(database_->WaitForChannels(4));
  const int64_t quiet_since = NowMs();
  while (NowMs() - quiet_since <= kGraceMs) ASSERT_TRUE(IsAlive(&other));
  // All of it within the grace of those who do not read: the stream up to its mark, then what does not wait for anybody.
  const int64_t began = NowMs();
  for (int i = 0; i < 14; ++i) ASSERT_TRUE(database_->Deliver(Change(i, 200000)));
  for (int i = 0; i < 3; ++i) database_->Push(SystemNotice{true, std::string(600000, 'x'), 0});
  ASSERT_TRUE(database_->WaitForLog("closed the slow client"));
  EXPECT_LT(NowMs() - began, kGraceMs) << "too slow to have tested anything";
  for (auto& client : quiet) EXPECT_TRUE(IsAlive(client.get()));
}

TEST_F(QueueBudgetTest, MessagesThatNeverEndDoNotHoldUpTheStream) {
  StartServer(Small(60000));
  constexpr int kChanges = 200;
  std::vector<std::unique_ptr<Client>> clients;
  JoinAll("upload", 80, 0, &clients);
  Client live;
  ASSERT_TRUE(live.Join(port_, "live"));
  ASSERT_TRUE(database_->WaitForChannels(clients.size() + 1));
  for (auto& client : clients) {
    // A few more or less than three quarters of the budget, whatever a string's growth adds.
    client->SendFrame(1, std::string(250000, 'x'), false);
    ASSERT_TRUE(IsAlive(&live));
  }
  for (auto& client : clients) {
    if (database_->CountLog("closed the slow client") > 0) break;
    client->SendFrame(0, std::string(50000, 'x'), false);
    ASSERT_TRUE(IsAlive(&live));
  }
  EXPECT_TRUE(database_->WaitForLog("was not complete"));
  const int64_t began = NowMs();
  for (int i = 0; i < kChanges; ++i) ASSERT_TRUE(database_->Deliver(Change(i, 100)));
  for (int i = 0; i < kChanges; ++i) ASSERT_TRUE(live.ReadUntil("\"number\":" + std::to_string(i) + ",")) << i;
  EXPECT_LT(NowMs() - began, 5000) << "a pause of 100 ms for every few changes";
}

TEST_F(QueueBudgetTest, LargeMessageIsSentInFragments) {
  StartServer();
  Client client;
  ASSERT_TRUE(client.Join(port_, "a"));
  ASSERT_TRUE(database_->WaitForChannels(1));
  // Around the size of one write, and several times as much.
  for (size_t bytes : {65000u, 65300u, 65400u, 65450u, 65500u, 65536u, 65600u, 131000u, 131100u, 1000000u}) {
    const std::string change = Change(1, bytes);
    ASSERT_TRUE(database_->Deliver(change));
    Frame frame = client.ReadFrame();
    EXPECT_EQ(frame.opcode, 1);
    EXPECT_NE(frame.payload.find(change), std::string::npos) << bytes;
  }
}

}  // namespace
}  // namespace realtime::test
