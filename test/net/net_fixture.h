// A network thread with the real engine, a stand-in for the database, and raw clients.
#ifndef REALTIME_TEST_NET_NET_FIXTURE_H_
#define REALTIME_TEST_NET_NET_FIXTURE_H_

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "client.h"
#include "fake_database.h"

namespace realtime::test {

inline constexpr char kHeartbeat[] = R"([null,"7","phoenix","heartbeat",{}])";
inline constexpr char kHeartbeatReply[] = R"("7","phoenix","phx_reply")";

inline int64_t NowMs() {
  auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

inline std::string Change(int i, size_t bytes) {
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

}  // namespace realtime::test

#endif  // REALTIME_TEST_NET_NET_FIXTURE_H_
