#include "bench/heartbeats.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <string_view>

#include "bench/measure.h"
#include "bench/ws_client.h"

namespace realtime::bench {
namespace {

constexpr int64_t kEveryUs = 1000000 / kHeartbeatsPerSecond;
constexpr int64_t kPatienceUs = 30000000;

struct Beat {
  int64_t sent_us = 0;
  int64_t delay_us = 0;
};

void WriteAll(int fd, const void* data, size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    ssize_t wrote = write(fd, at, size);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) Die("heartbeats: the result could not be handed over");
    at += wrote;
    size -= static_cast<size_t>(wrote);
  }
}

bool ReadAll(int fd, void* data, size_t size) {
  char* at = static_cast<char*>(data);
  while (size > 0) {
    ssize_t got = read(fd, at, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

// The child's life: beats until stop_fd ends, then waits for the answers that are missing.
class Beater {
 public:
  Beater(int fd, int stop_fd, int result_fd) : fd_(fd), stop_fd_(stop_fd), result_fd_(result_fd) {}

  void Run() {
    due_us_ = NowMicros();
    while (!stopped_ || answered_ < beats_.size()) {
      int64_t now = NowMicros();
      if (answered_ < beats_.size() && now - beats_[answered_].sent_us > kPatienceUs) Die("a heartbeat was not answered");
      if (!stopped_ && now >= due_us_) Send(now);
      Wait(now);
    }
    size_t count = beats_.size();
    WriteAll(result_fd_, &count, sizeof(count));
    WriteAll(result_fd_, beats_.data(), count * sizeof(Beat));
  }

 private:
  static std::string Start(size_t number) { return "[null,\"" + std::to_string(number) + "\",\"phoenix\","; }

  void Send(int64_t now) {
    std::string frame = ClientFrame(kText, Start(beats_.size()) + "\"heartbeat\",{}]");
    if (send(fd_, frame.data(), frame.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(frame.size())) Die("heartbeat: send");
    beats_.push_back({now, 0});
    due_us_ = std::max(due_us_ + kEveryUs, now);
  }

  void Wait(int64_t now) {
    pollfd waiting[] = {{fd_, POLLIN, 0}, {stop_fd_, POLLIN, 0}};
    int64_t left_us = stopped_ ? kPatienceUs : std::max<int64_t>(due_us_ - now, 0);
    timespec timeout{left_us / 1000000, left_us % 1000000 * 1000};
    if (ppoll(waiting, stopped_ ? 1 : 2, &timeout, nullptr) <= 0) return;
    if (waiting[0].revents != 0) Receive();
    if (!stopped_ && waiting[1].revents != 0) stopped_ = true;
  }

  void Receive() {
    char bytes[4096];
    ssize_t got = recv(fd_, bytes, sizeof(bytes), 0);
    if (got <= 0) Die("heartbeats: the server closed the connection");
    int64_t now = NowMicros();
    in_.append(bytes, static_cast<size_t>(got));
    FrameHeader header;
    for (;;) {
      Parsed parsed = ParseHeader(in_, &header);
      if (parsed == Parsed::kInvalid) Die("heartbeats: a frame that is split, masked or too long");
      if (parsed == Parsed::kIncomplete || in_.size() - header.bytes < header.length) return;
      Handle(header.opcode, std::string_view(in_).substr(header.bytes, header.length), now);
      in_.erase(0, header.bytes + header.length);
    }
  }

  void Handle(uint8_t opcode, std::string_view content, int64_t now) {
    if (opcode == kPing) {
      std::string pong = ClientFrame(kPong, content);
      if (send(fd_, pong.data(), pong.size(), MSG_NOSIGNAL) < 0) Die("heartbeats: pong");
      return;
    }
    if (answered_ >= beats_.size() || !content.starts_with(Start(answered_))) Die("heartbeats: " + std::string(content));
    beats_[answered_].delay_us = now - beats_[answered_].sent_us;
    if (answered_++ == 0) WriteAll(result_fd_, "", 1);
  }

  int fd_;
  int stop_fd_;
  int result_fd_;
  bool stopped_ = false;
  int64_t due_us_ = 0;
  size_t answered_ = 0;
  std::vector<Beat> beats_;
  std::string in_;
};

}  // namespace

Heartbeats::Heartbeats(int port, const std::string& api_key) {
  int stop[2], result[2];
  if (pipe(stop) != 0 || pipe(result) != 0) Die("pipe");
  std::fflush(stdout);  // or the child would say it again
  child_ = fork();
  if (child_ < 0) Die("fork");
  if (child_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(stop[1]);
    close(result[0]);
    RealtimeClient client;
    if (!client.Connect(port, api_key)) Die("heartbeats: " + client.error());
    Beater(client.Release(), stop[0], result[1]).Run();
    _exit(0);
  }
  close(stop[0]);
  close(result[1]);
  stop_fd_ = stop[1];
  result_fd_ = result[0];
  char ready;
  if (!ReadAll(result_fd_, &ready, 1)) Die("no heartbeat was answered");
}

Heartbeats::~Heartbeats() {
  if (child_ < 0) return;
  kill(child_, SIGKILL);
  close(stop_fd_);
  close(result_fd_);
  waitpid(child_, nullptr, 0);
}

std::vector<int64_t> Heartbeats::Stop(int64_t from_us) {
  close(stop_fd_);
  size_t count = 0;
  std::vector<Beat> beats;
  bool whole = ReadAll(result_fd_, &count, sizeof(count));
  beats.resize(count);
  whole = whole && ReadAll(result_fd_, beats.data(), count * sizeof(Beat));
  close(result_fd_);
  waitpid(child_, nullptr, 0);
  child_ = -1;
  if (!whole) Die("the heartbeats ended early");
  std::vector<int64_t> delays_us;
  for (const Beat& beat : beats) {
    if (beat.sent_us >= from_us) delays_us.push_back(beat.delay_us);
  }
  if (delays_us.empty()) Die("no heartbeat was measured");
  return delays_us;
}

}  // namespace realtime::bench
