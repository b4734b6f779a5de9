// Clients that ask more of the database than it does: what waits for it stays bounded, and the others do not notice.
#include "net_fixture.h"

#include <string>
#include <thread>

namespace realtime::test {
namespace {

constexpr size_t kMailbox = 256 << 10;
constexpr size_t kPauseMark = kMailbox / 8;
constexpr size_t kAcceptMark = kMailbox / 4;
constexpr size_t kOneMessage = 2048;  // more than any join here comes to

std::string JoinText(const std::string& topic, int ref, size_t padding = 0) {
  std::string number = "\"" + std::to_string(ref) + "\"";
  return "[" + number + "," + number + ",\"realtime:" + topic + "\",\"phx_join\",{\"config\":{\"postgres_changes\":"
         "[{\"event\":\"*\",\"schema\":\"public\",\"table\":\"t\"}]},\"padding\":\"" + std::string(padding, 'p') + "\"}]";
}

std::string LeaveText(const std::string& topic, int ref) {
  std::string number = "\"" + std::to_string(ref) + "\"";
  return "[" + number + "," + number + ",\"realtime:" + topic + "\",\"phx_leave\",{}]";
}

class OverloadTest : public NetTest {
 protected:
  Settings Small() {
    Settings settings = TestSettings(port_);
    settings.max_mailbox = kMailbox;
    return settings;
  }

  bool Open(Client* client) {
    return client->Connect(port_) && StatusOf(client->Upgrade("apikey=" + ValidToken() + "&vsn=2.0.0")) == 101;
  }

  bool HeartbeatIsAnswered(Client* client) {
    return client->SendText(kHeartbeat) && client->ReadUntil(kHeartbeatReply, 2000);
  }
};

TEST_F(OverloadTest, JoinsInALoopWaitInTheirSocketWhileTheDatabaseIsBusy) {
  Settings settings = Small();
  settings.idle_timeout_ms = 800;  // shorter than the flood is held: what waits unread is no silence
  StartServer(settings);
  Client other, flood;
  ASSERT_TRUE(Open(&other));
  ASSERT_TRUE(Open(&flood));
  database_->Hold(true);
  constexpr int kRounds = 5000;
  std::thread sender([&] {
    for (int i = 0; i < kRounds; ++i) {
      // Some are longer than what is read at once.
      if (!flood.SendText(JoinText("loop", i, i % 50 == 0 ? 9000 : 0)) || !flood.SendText(LeaveText("loop", i))) break;
    }
    flood.SendText(JoinText("last", kRounds));
  });
  int64_t start = NowMs();
  bool answered = true;
  while (answered && NowMs() - start < 1500) answered = HeartbeatIsAnswered(&other);
  EXPECT_TRUE(answered);
  EXPECT_GT(database_->waiting_bytes(), kPauseMark);
  EXPECT_LT(database_->waiting_bytes(), kPauseMark + kOneMessage);

  // Leaves are answered without the database: each answer is a message that was read. All come, in their order.
  database_->Hold(false);
  database_->Reload(Small());
  for (int i = 0; i < kRounds && !HasFailure(); ++i) {
    std::string number = "\"" + std::to_string(i) + "\"";
    Frame reply = flood.ReadFrame();
    while (reply.payload.find("\"phx_reply\",{\"status\":\"ok\",\"response\":{}") == std::string::npos && reply.opcode == 1) {
      reply = flood.ReadFrame();
    }
    EXPECT_EQ(reply.payload.find("[" + number + "," + number), 0u) << i << " " << reply.opcode << reply.payload;
  }
  EXPECT_TRUE(flood.ReadUntil("\"realtime:last\",\"system\""));
  sender.join();
  EXPECT_TRUE(database_->WaitForChannels(1));
  EXPECT_TRUE(HeartbeatIsAnswered(&other));
  EXPECT_TRUE(database_->Deliver(Change(1, 10)));
  EXPECT_TRUE(flood.ReadUntil("\"number\":1,"));
}

TEST_F(OverloadTest, ClientsThatJoinAndHangUpAreNotAcceptedWhileTheDatabaseIsBusy) {
  StartServer(Small());
  Client other;
  ASSERT_TRUE(Open(&other));
  database_->Hold(true);
  int opened = 0;
  for (; database_->waiting_bytes() <= kAcceptMark && opened < 1000; ++opened) {
    Client client;
    ASSERT_TRUE(Open(&client));
    size_t before = database_->waiting_bytes();
    client.SendText(JoinText("short", 1));
    int64_t start = NowMs();
    while (database_->waiting_bytes() == before && NowMs() - start < 5000) ASSERT_TRUE(HeartbeatIsAnswered(&other));
  }
  ASSERT_LT(opened, 1000);
  ASSERT_TRUE(HeartbeatIsAnswered(&other));  // a turn of the loop
  Client late;
  ASSERT_TRUE(late.Connect(port_));
  ASSERT_TRUE(late.SendUpgrade("apikey=" + ValidToken() + "&vsn=2.0.0"));
  EXPECT_EQ(late.ReadResponse(500), "");
  EXPECT_LT(database_->waiting_bytes(), kAcceptMark + 2 * kOneMessage);
  EXPECT_TRUE(HeartbeatIsAnswered(&other));

  database_->Hold(false);
  EXPECT_EQ(StatusOf(late.ReadResponse()), 101);
  EXPECT_TRUE(HeartbeatIsAnswered(&late));
  EXPECT_TRUE(database_->WaitForChannels(0));  // the ends of the paused sockets are noticed now
}

TEST_F(OverloadTest, PausedClientsCanBeClosed) {
  StartServer(Small());
  Client flood, other;
  ASSERT_TRUE(Open(&flood));
  ASSERT_TRUE(Open(&other));
  database_->Hold(true);
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(flood.SendText(JoinText("loop", i)) && flood.SendText(LeaveText("loop", i)));
  while (database_->waiting_bytes() <= kPauseMark) ASSERT_TRUE(HeartbeatIsAnswered(&other));
  Settings settings = Small();
  settings.serving = false;
  database_->Reload(settings);
  Frame frame = flood.ReadFrame();
  while (frame.opcode == 1) frame = flood.ReadFrame();
  EXPECT_EQ(frame.close_code(), 1012);
  flood.SendFrame(8, "\x03\xf4");
  EXPECT_TRUE(flood.WaitForEnd(2000));  // its answer is read, behind all that waited
}

}  // namespace
}  // namespace realtime::test
