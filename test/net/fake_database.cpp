#include "fake_database.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

#include "unit/test_token.h"

namespace realtime::test {
namespace {

constexpr size_t kMaxLog = 100000;  // lines kept: the fuzz target runs for hours

}  // namespace

int FreePort() {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  bind(fd, reinterpret_cast<sockaddr*>(&address), length);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  close(fd);
  return ntohs(address.sin_port);
}

std::string SignToken(const std::string& claims, const std::string& secret) {
  return realtime::SignToken(claims, secret);
}

std::string ValidToken() { return SignToken(R"({"role":"anon","exp":4102444800})"); }

Settings TestSettings(int port) {
  Settings settings;
  settings.serving = true;
  settings.listen_addresses = {"127.0.0.1"};
  settings.port = port;
  settings.tokens.secrets = {kSecret};
  settings.max_connections = 1000;
  return settings;
}

FakeDatabase::FakeDatabase(Settings settings)
    : network_(std::make_shared<const Settings>(std::move(settings)), &inbox_, &outbox_) {
  outbox_.OnWake([this] {
    std::lock_guard<std::mutex> lock(mutex_);
    woken_ = true;
    changed_.notify_all();
  });
  inbox_.OnDrained(1 << 20, [this] {
    std::lock_guard<std::mutex> lock(mutex_);
    ++room_;
    changed_.notify_all();
  });
}

FakeDatabase::~FakeDatabase() {
  if (started_ && !joined_) Drain(10000);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

Status FakeDatabase::Start() {
  thread_ = std::thread([this] { Serve(); });
  started_ = true;
  return network_.Start();
}

void FakeDatabase::Push(ToNetwork message) {
  size_t size = SizeOf(message);
  inbox_.Push(std::move(message), size);
}

void FakeDatabase::Reload(Settings settings) {
  Push(realtime::Reload{std::make_shared<const Settings>(std::move(settings))});
}

bool FakeDatabase::Drain(int timeout_ms) {
  Push(realtime::Drain{});
  joined_ = network_.Join(timeout_ms);
  return joined_;
}

bool FakeDatabase::Deliver(const std::string& data) {
  auto targets = std::make_shared<std::vector<Target>>();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [channel, bindings] : channels_) {
      for (uint32_t binding : bindings) targets->push_back({channel, binding});
    }
  }
  if (targets->empty()) return false;
  Push(Delivery{std::make_shared<const std::string>(data), ChangeKind::kInsert, {targets}});
  return true;
}

void FakeDatabase::Serve() {
  std::vector<DatabaseMailbox::Entry> batch;
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stop_) {
    changed_.wait(lock, [this] { return (woken_ && !held_) || stop_; });
    woken_ = false;
    lock.unlock();
    outbox_.Take(&batch);
    lock.lock();
    for (auto& entry : batch) {
      Handle(&entry.message);
      outbox_.Done(entry.bytes);
    }
    batch.clear();
    changed_.notify_all();
  }
}

void FakeDatabase::Handle(ToDatabase* message) {
  if (auto* subscribe = std::get_if<Subscribe>(message)) {
    auto& bindings = channels_[subscribe->channel];
    bindings.clear();
    for (const Binding& binding : subscribe->bindings) bindings.push_back(binding.id);
    Push(SubscribeResult{subscribe->channel, subscribe->sequence, SubscribeResult::Outcome::kLive, ""});
  } else if (auto* unsubscribe = std::get_if<Unsubscribe>(message)) {
    channels_.erase(unsubscribe->channel);
  } else if (auto* check = std::get_if<CheckRights>(message)) {
    RightsResult result;
    result.channel = check->channel;
    result.sequence = check->sequence;
    for (const std::string& topic : check->topics) {
      result.granted.push_back(topic.starts_with("denied") ? Rights() : Rights::All());
    }
    Push(std::move(result));
  } else if (auto* store = std::get_if<Store>(message)) {
    auto stored = std::make_shared<Broadcast>(*store->message);
    if (store->store) stored->id = "00000000-0000-4000-8000-000000000001";
    Push(Stored{store->channel, std::move(stored), store->ref, "", false, store->needs_right});
  } else if (auto* line = std::get_if<LogLine>(message); line != nullptr && log_.size() < kMaxLog) {
    log_.push_back(line->message + (line->hint.empty() ? "" : " HINT: " + line->hint));
  }
}

void FakeDatabase::Hold(bool held) {
  std::lock_guard<std::mutex> lock(mutex_);
  held_ = held;
  changed_.notify_all();
}

bool FakeDatabase::WaitFor(const std::function<bool()>& condition) {
  std::unique_lock<std::mutex> lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(20), condition);
}

bool FakeDatabase::WaitForLog(const std::string& part) {
  return WaitFor([&] {
    for (const std::string& line : log_) {
      if (line.find(part) != std::string::npos) return true;
    }
    return false;
  });
}

size_t FakeDatabase::CountLog(const std::string& part) {
  std::lock_guard<std::mutex> lock(mutex_);
  size_t count = 0;
  for (const std::string& line : log_) count += line.find(part) != std::string::npos;
  return count;
}

bool FakeDatabase::WaitForChannels(size_t count) {
  return WaitFor([&] { return channels_.size() == count; });
}

bool FakeDatabase::WaitForRoom(size_t bytes, int timeout_ms) {
  std::unique_lock<std::mutex> lock(mutex_);
  return changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [&] { return inbox_.bytes() <= bytes; });
}

}  // namespace realtime::test
