// A network thread with a stand-in for the database thread: answers Subscribe, CheckRights and Store, keeps the log, makes
// deliveries. Everything is allowed on private topics but on those whose names begin with "denied".
#ifndef REALTIME_TEST_NET_FAKE_DATABASE_H_
#define REALTIME_TEST_NET_FAKE_DATABASE_H_

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "net/network_thread.h"

namespace realtime::test {

inline constexpr char kSecret[] = "a secret of at least thirty-two bytes, for tests";

// A free port of 127.0.0.1.
int FreePort();
// HS256 with kSecret; `claims` is the JSON text.
std::string SignToken(const std::string& claims, const std::string& secret = kSecret);
std::string ValidToken();

Settings TestSettings(int port);

class FakeDatabase {
 public:
  explicit FakeDatabase(Settings settings);
  ~FakeDatabase();  // drains

  Status Start();
  void Reload(Settings settings);
  void Push(ToNetwork message);
  // One delivery to all live channels; false when there is none.
  bool Deliver(const std::string& data);
  // Waits (up to 20 s) for a condition on the log or the channels; it is checked at every message from the network thread.
  bool WaitForLog(const std::string& part);
  bool WaitForChannels(size_t count);
  size_t CountLog(const std::string& part);

  // While held, nothing that the network thread sends is looked at.
  void Hold(bool held);
  size_t waiting_bytes() const { return outbox_.bytes(); }

  // Blocks while the network thread has more than `bytes` in its mailbox. False after timeout_ms.
  bool WaitForRoom(size_t bytes, int timeout_ms);
  size_t mailbox_bytes() const { return inbox_.bytes(); }
  bool Drain(int timeout_ms);

 private:
  void Serve();
  void Handle(ToDatabase* message);
  bool WaitFor(const std::function<bool()>& condition);

  NetworkMailbox inbox_;
  DatabaseMailbox outbox_;
  NetworkThread network_;
  std::thread thread_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
  bool held_ = false;
  bool stop_ = false;
  bool joined_ = false;
  bool started_ = false;
  uint64_t room_ = 0;
  std::vector<std::string> log_;
  std::map<ChannelId, std::vector<uint32_t>> channels_;
};

}  // namespace realtime::test

#endif  // REALTIME_TEST_NET_FAKE_DATABASE_H_
