// Many clients in one thread that do the same thing at the same moment. Commands come on stdin, one a line; each is answered
// with one line when all have done it:
//   herd PORT API_KEY TABLE
//   join COUNT   connect at once, join a channel of their own topic with changes of public.TABLE; who is turned away because
//                there are too many tries again after seconds, as clients do: "joined COUNT MS RETRIES"
//   drop         hang up, with a reset: "dropped"
//   stop         read no more: "stopped"
//   rows N       until each has got N rows since it joined: "rows N"
// What fails is said in a line that starts with "failed", and ends the program.
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/ws_client.h"

namespace realtime::bench {
namespace {

constexpr int64_t kPatienceUs = 120 * 1000000LL;
constexpr int64_t kRetryUs = 2 * 1000000LL;
constexpr int64_t kHeartbeatUs = 20 * 1000000LL;
constexpr int kReceiveBytes = 64 << 10;  // what thousands that do not read leave in the kernel
constexpr std::string_view kRow = "\"record\":{";
constexpr std::string_view kSubscribed = "Subscribed to PostgreSQL";

enum class Step : uint8_t { kConnecting, kUpgrading, kJoining, kJoined };

struct Member {
  int fd = -1;
  Step step = Step::kConnecting;
  std::string tail;  // what has come and may be the beginning of what is looked for
  uint32_t rows = 0;
};

[[noreturn]] void Fail(const std::string& why) {
  std::cout << "failed: " << why << std::endl;
  exit(1);
}

class Herd {
 public:
  Herd(int port, std::string key, std::string table) : port_(port), key_(std::move(key)), table_(std::move(table)) {}

  void Join(size_t count);
  void Drop();
  void Stop();
  void AwaitRows(uint32_t count);
  void Poll(int timeout_ms);

 private:
  void Dial(size_t index);
  void Send(Member* member, const std::string& bytes);
  void OnWritable(Member* member, size_t index);
  void OnReadable(Member* member, size_t index);
  void Take(Member* member, size_t index);
  void SendJoin(size_t index);
  void JoinLater(Member* member, size_t index);
  void DialLater(Member* member, size_t index);
  void Watch(const Member& member, size_t index, uint32_t events, int action);

  const int port_;
  const std::string key_;
  const std::string table_;
  int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  std::vector<Member> members_;
  size_t joined_ = 0;
  size_t retries_ = 0;
  bool stopped_ = false;
  int64_t heartbeat_us_ = 0;
  std::deque<std::pair<int64_t, size_t>> refused_;  // when to try again, who
};

void Herd::Watch(const Member& member, size_t index, uint32_t events, int action) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = index;
  if (epoll_ctl(epoll_, action, member.fd, &event) != 0) Fail(strerror(errno));
}

void Herd::Dial(size_t index) {
  Member* member = &members_[index];
  *member = Member{};
  member->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (member->fd < 0) Fail(strerror(errno));
  setsockopt(member->fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBytes, sizeof(kReceiveBytes));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port_));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(member->fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 && errno != EINPROGRESS) {
    Fail(strerror(errno));
  }
  Watch(*member, index, EPOLLOUT, EPOLL_CTL_ADD);
}

void Herd::Join(size_t count) {
  const int64_t start_us = NowMicros();
  heartbeat_us_ = start_us;
  members_.resize(count);
  joined_ = retries_ = 0;
  for (size_t i = 0; i < count; i++) Dial(i);
  while (joined_ < count) {
    Poll(100);
    if (NowMicros() - start_us > kPatienceUs) Fail("only " + std::to_string(joined_) + " have joined");
  }
  std::cout << "joined " << count << " " << (NowMicros() - start_us) / 1000 << " " << retries_ << std::endl;
}

void Herd::Drop() {
  for (Member& member : members_) HangUp(member.fd);
  members_.clear();
  std::cout << "dropped" << std::endl;
}

void Herd::Stop() {
  stopped_ = true;
  std::cout << "stopped" << std::endl;
}

void Herd::AwaitRows(uint32_t count) {
  const int64_t start_us = NowMicros();
  for (size_t i = 0; i < members_.size();) {
    if (members_[i].rows >= count) {
      i++;
      continue;
    }
    Poll(100);
    if (NowMicros() - start_us > kPatienceUs) Fail("one has only " + std::to_string(members_[i].rows) + " rows");
  }
  std::cout << "rows " << count << std::endl;
}

// What is sent is small, and the buffer of the socket empty.
void Herd::Send(Member* member, const std::string& bytes) {
  // A connection that is gone is noticed when it is read.
  [[maybe_unused]] ssize_t sent = send(member->fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

void Herd::OnWritable(Member* member, size_t index) {
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(member->fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return DialLater(member, index);
  Send(member, "GET /realtime/v1/websocket?apikey=" + key_ +
                   "&vsn=2.0.0 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  member->step = Step::kUpgrading;
  Watch(*member, index, EPOLLIN, EPOLL_CTL_MOD);
}

void Herd::OnReadable(Member* member, size_t index) {
  static char buffer[65536];
  const ssize_t got = recv(member->fd, buffer, sizeof(buffer), 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0 && member->step == Step::kJoined) Fail("a client was disconnected: " + member->tail.substr(0, 200));
  if (got <= 0) return DialLater(member, index);
  member->tail.append(buffer, static_cast<size_t>(got));
  Take(member, index);
}

void Herd::SendJoin(size_t index) {
  const std::string join = R"(["1","1","realtime:herd-)" + std::to_string(index) +
                           R"(","phx_join",{"config":{"postgres_changes":[{"event":"*","schema":"public","table":")" +
                           table_ + R"("}]}}])";
  Send(&members_[index], ClientFrame(kText, join));
}

void Herd::JoinLater(Member* member, size_t index) {
  if (member->tail.find("oo many joins") == std::string::npos) Fail("join: " + member->tail);
  member->tail.clear();
  retries_++;
  refused_.emplace_back(NowMicros() + kRetryUs, index);
}

void Herd::DialLater(Member* member, size_t index) {
  HangUp(member->fd);
  member->fd = -1;
  retries_++;
  refused_.emplace_back(NowMicros() + kRetryUs, index);
}

void Herd::Take(Member* member, size_t index) {
  if (member->step == Step::kUpgrading) {
    const size_t end = member->tail.find("\r\n\r\n");
    if (end == std::string::npos) return;
    if (member->tail.find(" 429 ") < 12) return DialLater(member, index);
    if (member->tail.find(" 101 ") > 12) Fail("handshake: " + member->tail.substr(0, 60));
    member->tail.erase(0, end + 4);
    member->step = Step::kJoining;
    SendJoin(index);
  }
  if (member->step == Step::kJoining) {
    const size_t at = member->tail.find(kSubscribed);
    if (at == std::string::npos) {
      if (member->tail.find("\"status\":\"error\"") != std::string::npos) JoinLater(member, index);
      return;
    }
    member->tail.erase(0, at + kSubscribed.size());
    member->step = Step::kJoined;
    joined_++;
  }
  size_t at = 0;
  for (size_t next; (next = member->tail.find(kRow, at)) != std::string::npos; at = next + kRow.size()) member->rows++;
  const size_t keep = kRow.size() - 1;
  member->tail.erase(0, std::max(at, member->tail.size() > keep ? member->tail.size() - keep : 0));
}

void Herd::Poll(int timeout_ms) {
  if (stopped_) {
    poll(nullptr, 0, timeout_ms);
    return;
  }
  if (!members_.empty() && NowMicros() - heartbeat_us_ > kHeartbeatUs) {
    heartbeat_us_ = NowMicros();
    for (Member& member : members_) {
      if (member.step == Step::kJoined) Send(&member, ClientFrame(kText, kHeartbeat));
    }
  }
  while (!refused_.empty() && refused_.front().first <= NowMicros()) {
    const size_t index = refused_.front().second;
    refused_.pop_front();
    if (members_[index].fd < 0) {
      Dial(index);
    } else {
      SendJoin(index);
    }
  }
  epoll_event events[512];
  const int count = epoll_wait(epoll_, events, 512, timeout_ms);
  for (int i = 0; i < count; i++) {
    const size_t index = events[i].data.u64;
    Member* member = &members_[index];
    if (member->fd < 0) continue;
    if (member->step == Step::kConnecting) {
      OnWritable(member, index);
    } else {
      OnReadable(member, index);
    }
  }
}

bool CommandWaits() {
  if (std::cin.rdbuf()->in_avail() > 0) return true;
  pollfd input{STDIN_FILENO, POLLIN, 0};
  return poll(&input, 1, 0) > 0;
}

int Main(int count, char** arguments) {
  if (count != 4) Fail("usage: herd PORT API_KEY TABLE");
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  Herd herd(atoi(arguments[1]), arguments[2], arguments[3]);
  std::string word;
  for (;;) {
    if (!CommandWaits()) {
      herd.Poll(20);
      continue;
    }
    if (!(std::cin >> word)) return 0;
    size_t number = 0;
    if (word == "join" && std::cin >> number) {
      herd.Join(number);
    } else if (word == "drop") {
      herd.Drop();
    } else if (word == "stop") {
      herd.Stop();
    } else if (word == "rows" && std::cin >> number) {
      herd.AwaitRows(static_cast<uint32_t>(number));
    } else {
      Fail("unknown command " + word);
    }
  }
}

}  // namespace
}  // namespace realtime::bench

int main(int count, char** arguments) { return realtime::bench::Main(count, arguments); }
