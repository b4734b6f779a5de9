#include "bench/fleet.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "bench/ws_client.h"

namespace realtime::bench {
namespace {

constexpr size_t kBufferBytes = 256 << 10;
constexpr size_t kHandshakeBufferBytes = 16 << 10;
constexpr int kJoinMs = 30000;
constexpr int kEvents = 512;
constexpr uint64_t kSenderTag = UINT64_MAX;
constexpr char kConfig[] = R"({"broadcast":{"ack":false,"self":false},"presence":{"key":""},"private":false})";

std::string Errno(const char* what) { return std::string(what) + ": " + std::strerror(errno); }

bool WouldBlock() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

Fleet::Fleet() : buffer_(kBufferBytes) {}

Fleet::~Fleet() {
  HangUp(sender_);
  for (const Receiver& receiver : receivers_) HangUp(receiver.fd);
  if (epoll_ >= 0) close(epoll_);
}

bool Fleet::Fail(const std::string& why) {
  if (error_.empty()) error_ = why;
  return false;
}

bool Fleet::JoinOne(int port, const std::string& api_key, int* fd) {
  RealtimeClient client(kHandshakeBufferBytes);
  if (!client.Connect(port, api_key) || !client.JoinRoom(kRoom, kConfig, kJoinMs)) return Fail(client.error());
  *fd = client.Release();
  return *fd >= 0 || Fail("something came right behind the reply to the join");
}

bool Fleet::Join(int port, const std::string& api_key, size_t count) {
  if (!JoinOne(port, api_key, &sender_)) return false;
  receivers_.resize(count);
  for (Receiver& receiver : receivers_) {
    if (!JoinOne(port, api_key, &receiver.fd)) return false;
  }
  return Watch() && Heartbeats();
}

bool Fleet::Dial(int port, size_t count) {
  sender_ = DialLocal(port);
  if (sender_ < 0) return Fail(Errno("connect"));
  receivers_.resize(count);
  for (Receiver& receiver : receivers_) {
    receiver.fd = DialLocal(port);
    if (receiver.fd < 0) return Fail(Errno("connect"));
  }
  char ready;
  if (recv(sender_, &ready, 1, 0) != 1) return Fail("the bare loop did not start");
  return Watch();
}

bool Fleet::Watch() {
  at_count_.assign(1, receivers_.size());
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  auto add = [this](int fd, uint32_t events, uint64_t tag) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = tag;
    int flags = fcntl(fd, F_GETFL);
    return fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 && epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
  };
  // The sender's edge tells that there is room to write again.
  bool added = add(sender_, EPOLLIN | EPOLLOUT | EPOLLET, kSenderTag);
  for (size_t i = 0; i < receivers_.size(); i++) added = added && add(receivers_[i].fd, EPOLLIN, i);
  return added || Fail(Errno("epoll"));
}

// To join thousands takes its time; the server's patience with the first of them starts anew.
bool Fleet::Heartbeats() {
  std::string frame = ClientFrame(kText, kHeartbeat);
  auto beat = [&](int fd) { return send(fd, frame.data(), frame.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(frame.size()); };
  bool all = beat(sender_);
  for (const Receiver& receiver : receivers_) all = all && beat(receiver.fd);
  return all || Fail(Errno("heartbeat"));
}

void Fleet::Send(int64_t now_us) {
  unsent_ += PushFrame({sent_++, now_us});
  at_count_.push_back(0);
}

bool Fleet::Flush() {
  while (!unsent_.empty()) {
    ssize_t wrote = send(sender_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (wrote < 0) return WouldBlock() || Fail(Errno("send"));
    unsent_.erase(0, static_cast<size_t>(wrote));
  }
  return true;
}

// Replies to heartbeats, which nobody needs; or the end.
bool Fleet::ReadSender() {
  ssize_t got;
  while ((got = recv(sender_, buffer_.data(), buffer_.size(), 0)) > 0) {
    std::string_view bytes(buffer_.data(), static_cast<size_t>(got));
    if (bytes.find("\"system\"") != std::string_view::npos) return Fail("to the sender: " + std::string(bytes));
  }
  if (got == 0) return Fail("the server closed the sender's connection");
  return WouldBlock() || Fail(Errno("recv"));
}

bool Fleet::Poll(int timeout_ms) {
  if (!Flush()) return false;
  epoll_event events[kEvents];
  int ready = epoll_wait(epoll_, events, kEvents, timeout_ms);
  if (ready < 0) return errno == EINTR || Fail(Errno("epoll_wait"));
  for (int i = 0; i < ready; i++) {
    uint64_t tag = events[i].data.u64;
    if (!(tag == kSenderTag ? ReadSender() : Read(&receivers_[tag]))) return false;
  }
  while (slowest_ < sent_ && at_count_[slowest_] == 0) ++slowest_;
  return Flush();
}

bool Fleet::Read(Receiver* receiver) {
  // The rest goes in front, so that frames are always handled in one piece.
  size_t kept = receiver->rest.size();
  if (buffer_.size() < kept + kBufferBytes) buffer_.resize(kept + kBufferBytes);
  std::memcpy(buffer_.data(), receiver->rest.data(), kept);
  ssize_t got = recv(receiver->fd, buffer_.data() + kept, kBufferBytes, 0);
  if (got < 0) return WouldBlock() || Fail(Errno("recv"));
  if (got == 0) return Fail("the server closed a receiver's connection");
  if (delays_us_ != nullptr) now_us_ = NowMicros();
  std::string_view bytes(buffer_.data(), kept + static_cast<size_t>(got));
  uint32_t before = receiver->got;
  size_t used = 0;
  if (!Handle(receiver, bytes, &used)) return false;
  receiver->rest.assign(bytes.substr(used));
  received_ += receiver->got - before;
  --at_count_[before];
  ++at_count_[receiver->got];
  return true;
}

bool Fleet::Handle(Receiver* receiver, std::string_view bytes, size_t* used) {
  FrameHeader header;
  for (;;) {
    std::string_view rest = bytes.substr(*used);
    Parsed parsed = ParseHeader(rest, &header);
    if (parsed == Parsed::kInvalid) return Fail("a frame that is split, masked or too long");
    if (parsed == Parsed::kIncomplete || rest.size() - header.bytes < header.length) return true;
    if (!HandleFrame(receiver, header.opcode, rest.substr(header.bytes, header.length))) return false;
    *used += header.bytes + header.length;
  }
}

bool Fleet::HandleFrame(Receiver* receiver, uint8_t opcode, std::string_view content) {
  RoomMessage message;
  if (opcode == kBinary && ReadDelivered(content, &message)) return Count(receiver, message);
  if (opcode == kText && content.find("\"phoenix\"") != std::string_view::npos) return true;
  if (opcode == kPing) {
    std::string pong = ClientFrame(kPong, content);
    return send(receiver->fd, pong.data(), pong.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(pong.size()) || Fail(Errno("pong"));
  }
  return Fail("to a receiver, opcode " + std::to_string(opcode) + ": " + std::string(content));
}

// Everybody was there before the first message: each must come, once and in order.
bool Fleet::Count(Receiver* receiver, const RoomMessage& message) {
  if (message.number != receiver->got || message.number >= sent_) {
    return Fail("message " + std::to_string(message.number) + " came instead of " + std::to_string(receiver->got));
  }
  ++receiver->got;
  if (delays_us_ != nullptr) delays_us_->push_back(now_us_ - message.sent_us);
  return true;
}

}  // namespace realtime::bench
