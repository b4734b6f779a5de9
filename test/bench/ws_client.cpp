#include "bench/ws_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>

namespace realtime::bench {
namespace {

constexpr int64_t kEpochDifferenceS = 946684800;  // 2000-01-01 in Unix time
constexpr int64_t kHeartbeatUs = 20000000;
constexpr int kHandshakeMs = 10000;
constexpr size_t kMaxFrameBytes = 64 << 20;

std::string Errno(const char* what) { return std::string(what) + ": " + std::strerror(errno); }

}  // namespace

int64_t NowMicros() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (now.tv_sec - kEpochDifferenceS) * 1000000 + now.tv_nsec / 1000;
}

std::string ClientFrame(uint8_t opcode, std::string_view payload) {
  std::string frame;
  if (payload.size() > 0xFFFF) return frame;
  frame.push_back(static_cast<char>(0x80 | opcode));
  if (payload.size() < 126) {
    frame.push_back(static_cast<char>(0x80 | payload.size()));
  } else {
    frame.push_back(static_cast<char>(0x80 | 126));
    frame.push_back(static_cast<char>(payload.size() >> 8));
    frame.push_back(static_cast<char>(payload.size() & 0xFF));
  }
  frame.append(4, '\0');
  frame.append(payload);
  return frame;
}

Parsed ParseHeader(std::string_view in, FrameHeader* header) {
  auto byte = [&](size_t i) { return static_cast<uint8_t>(in[i]); };
  if (in.size() < 2) return Parsed::kIncomplete;
  header->opcode = byte(0) & 0x0F;
  header->length = byte(1) & 0x7F;
  header->bytes = header->length == 126 ? 4 : header->length == 127 ? 10 : 2;
  if (in.size() < header->bytes) return Parsed::kIncomplete;
  if (header->bytes > 2) header->length = 0;
  for (size_t i = 2; i < header->bytes; i++) header->length = (header->length << 8) | byte(i);
  bool valid = (byte(0) & 0x80) != 0 && (byte(1) & 0x80) == 0 && header->length <= kMaxFrameBytes;
  return valid ? Parsed::kHeader : Parsed::kInvalid;
}

int DialLocal(int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) return fd;
  int why = errno;
  close(fd);
  errno = why;
  return -1;
}

void HangUp(int fd) {
  if (fd < 0) return;
  linger hard{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
  close(fd);
}

RealtimeClient::~RealtimeClient() {
  if (fd_ >= 0) close(fd_);
}

bool RealtimeClient::Fail(const std::string& why) {
  if (error_.empty()) error_ = why;
  return false;
}

bool RealtimeClient::Connect(int port, const std::string& api_key) {
  std::string request = "GET /realtime/v1/websocket?vsn=2.0.0&apikey=" + api_key + " HTTP/1.1\r\nHost: 127.0.0.1:" +
                        std::to_string(port) +
                        "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: YmVuY2htYXJrIGNsaWVudA==\r\n\r\n";
  fd_ = DialLocal(port);
  if (fd_ < 0) return Fail(Errno("connect"));
  if (!SendAll(request)) return false;
  while (true) {
    std::string_view got(buffer_.data() + begin_, end_ - begin_);
    size_t end = got.find("\r\n\r\n");
    if (end != std::string_view::npos) {
      if (got.substr(0, 12) != "HTTP/1.1 101") return Fail("handshake: " + std::string(got.substr(0, got.find('\r'))));
      begin_ += end + 4;
      heartbeat_us_ = NowMicros() + kHeartbeatUs;
      return true;
    }
    if (!Receive(kHandshakeMs)) return Fail("handshake: no answer");
  }
}

bool RealtimeClient::SendAll(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return Fail(Errno("send"));
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

bool RealtimeClient::SendFrame(uint8_t opcode, std::string_view payload) {
  std::string frame = ClientFrame(opcode, payload);
  return frame.empty() ? Fail("frame to send is too long") : SendAll(frame);
}

bool RealtimeClient::Receive(int timeout_ms) {
  if (begin_ == end_) begin_ = end_ = 0;
  if (end_ == buffer_.size()) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    if (end_ == buffer_.size()) buffer_.resize(buffer_.size() * 2);
  }
  pollfd waiting{fd_, POLLIN, 0};
  int ready = poll(&waiting, 1, timeout_ms);
  if (ready < 0) return errno == EINTR || Fail(Errno("poll"));
  if (ready == 0) return false;
  ssize_t got = recv(fd_, buffer_.data() + end_, buffer_.size() - end_, 0);
  received_us_ = NowMicros();
  if (got < 0) return errno == EINTR || Fail(Errno("recv"));
  if (got == 0) return Fail("the server closed the connection");
  end_ += static_cast<size_t>(got);
  return true;
}

// False when the buffer does not hold a whole frame yet.
bool RealtimeClient::TakeFrame(uint8_t* opcode, std::string_view* payload) {
  std::string_view in(buffer_.data() + begin_, end_ - begin_);
  FrameHeader header;
  Parsed parsed = ParseHeader(in, &header);
  if (parsed == Parsed::kInvalid) return Fail("a frame that is split, masked or too long");
  if (parsed == Parsed::kIncomplete || in.size() - header.bytes < header.length) return false;
  *opcode = header.opcode;
  *payload = in.substr(header.bytes, header.length);
  begin_ += header.bytes + header.length;
  return true;
}

bool RealtimeClient::Heartbeat() {
  heartbeat_us_ = NowMicros() + kHeartbeatUs;
  return SendFrame(kText, kHeartbeat);
}

bool RealtimeClient::NextText(int64_t deadline_us, std::string_view* text) {
  while (!failed()) {
    uint8_t opcode;
    while (TakeFrame(&opcode, text)) {
      if (opcode == kText) return true;
      if (opcode == kPing && !SendFrame(kPong, *text)) return false;
      if (opcode == kClose) return Fail("closed by the server: " + std::string(text->substr(std::min<size_t>(2, text->size()))));
    }
    int64_t now = NowMicros();
    if (failed() || (now >= heartbeat_us_ && !Heartbeat())) return false;
    if (now >= deadline_us) return false;
    Receive(static_cast<int>((std::min(deadline_us, heartbeat_us_) - now) / 1000 + 1));
  }
  return false;
}

bool RealtimeClient::Join(const std::string& table, int timeout_ms, const std::string& filter) {
  std::string binding = R"({"event":"*","schema":"public","table":")" + table + '"';
  if (!filter.empty()) binding += R"(,"filter":")" + filter + '"';
  std::string join = R"(["1","1","realtime:bench","phx_join",{"config":{"broadcast":{},"presence":{},"postgres_changes":[)" +
                     binding + "}]}}]";
  if (!SendFrame(kText, join)) return false;
  int64_t deadline_us = NowMicros() + int64_t{timeout_ms} * 1000;
  std::string_view text;
  bool replied = false;
  bool subscribed = false;
  while (!(replied && subscribed)) {
    if (!NextText(deadline_us, &text)) return Fail(replied ? "no `Subscribed to PostgreSQL` in time" : "no reply to the join in time");
    bool ours = text.find("\"realtime:bench\"") != std::string_view::npos;
    if (ours && text.find("\"error\"") != std::string_view::npos) return Fail("join: " + std::string(text));
    replied = replied || (ours && text.find("\"phx_reply\"") != std::string_view::npos);
    subscribed = subscribed || (ours && text.find("Subscribed to PostgreSQL") != std::string_view::npos);
  }
  return true;
}

bool RealtimeClient::JoinRoom(const std::string& topic, const std::string& config, int timeout_ms) {
  if (!SendFrame(kText, R"(["1","1",")" + topic + R"(","phx_join",{"config":)" + config + "}]")) return false;
  int64_t deadline_us = NowMicros() + int64_t{timeout_ms} * 1000;
  std::string_view text;
  while (NextText(deadline_us, &text)) {
    if (text.find("\"phx_reply\"") == std::string_view::npos) continue;
    return text.find("\"ok\"") != std::string_view::npos || Fail("join: " + std::string(text));
  }
  return Fail("no reply to the join in time");
}

int RealtimeClient::Release() {
  if (begin_ != end_) return -1;
  int fd = fd_;
  fd_ = -1;
  return fd;
}

bool RealtimeClient::Next(int timeout_ms, Change* change) {
  int64_t deadline_us = NowMicros() + int64_t{timeout_ms} * 1000;
  while (NextText(deadline_us, &change->frame)) {
    if (!IsChange(change->frame)) continue;
    change->received_us = received_us_;
    return true;
  }
  return false;
}

bool IsChange(std::string_view frame) {
  // The event's name stands in front of the payload, so long records are not searched.
  return frame.substr(0, 120).find("\"postgres_changes\",{\"ids\"") != std::string_view::npos;
}

int64_t RecordInteger(std::string_view frame, std::string_view name) {
  size_t at = frame.find("\"record\":");
  if (at == std::string_view::npos) return -1;
  at = frame.find("\"" + std::string(name) + "\":", at);
  if (at == std::string_view::npos) return -1;
  at = frame.find_first_not_of(' ', at + name.size() + 3);
  int64_t value = -1;
  if (at != std::string_view::npos) std::from_chars(frame.data() + at, frame.data() + frame.size(), value);
  return value;
}

}  // namespace realtime::bench
