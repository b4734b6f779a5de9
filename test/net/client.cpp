#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

#include "fake_database.h"

namespace realtime::test {
namespace {

constexpr int kHandshakeMs = 10000;

int64_t NowMs() {
  auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

// After libFuzzer's alarm, which on a busy machine can interrupt connect(): the kernel goes on, asking again is an error.
bool FinishConnecting(int fd) {
  pollfd p{fd, POLLOUT, 0};
  int ready = -1;
  while ((ready = poll(&p, 1, kHandshakeMs)) < 0 && errno == EINTR) {
  }
  int error = 0;
  socklen_t size = sizeof(error);
  return ready > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

}  // namespace

int Frame::close_code() const {
  if (opcode != 8 || payload.size() < 2) return -1;
  return static_cast<uint8_t>(payload[0]) << 8 | static_cast<uint8_t>(payload[1]);
}

bool Client::Prepare() {
  Disconnect();
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  prepared_ = fd_ >= 0;
  return prepared_;
}

bool Client::PrepareFrom(const std::string& address) {
  if (!Prepare()) return false;
  int on = 1;
  setsockopt(fd_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
  sockaddr_in own{};
  own.sin_family = AF_INET;
  inet_pton(AF_INET, address.c_str(), &own.sin_addr);
  return bind(fd_, reinterpret_cast<sockaddr*>(&own), sizeof(own)) == 0;
}

bool Client::Connect(int port, const std::string& address, int receive_buffer) {
  bool v6 = address.find(':') != std::string::npos;
  if (!prepared_) {
    Disconnect();
    fd_ = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  }
  prepared_ = false;
  if (receive_buffer > 0) setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
  sockaddr_in v4{};
  sockaddr_in6 six{};
  v4.sin_family = AF_INET;
  six.sin6_family = AF_INET6;
  v4.sin_port = six.sin6_port = htons(static_cast<uint16_t>(port));
  inet_pton(v6 ? AF_INET6 : AF_INET, address.c_str(), v6 ? static_cast<void*>(&six.sin6_addr) : &v4.sin_addr);
  bool connected = connect(fd_, v6 ? reinterpret_cast<sockaddr*>(&six) : reinterpret_cast<sockaddr*>(&v4),
                           v6 ? sizeof(six) : sizeof(v4)) == 0 ||
                   (errno == EINTR && FinishConnecting(fd_));
  return connected && (!speaks_tls_ || Handshake());
}

void Client::SpeakTls(int newest_version) {
  speaks_tls_ = true;
  newest_version_ = newest_version;
}

bool Client::Handshake() {
  auto tls = std::make_unique<TlsSession>(newest_version_);
  while (tls->Advance()) {
    if (!SendUnencrypted(tls->TakeOutput())) return false;
    if (tls->ready()) {
      tls_ = std::move(tls);
      return true;
    }
    if (!Fill(kHandshakeMs)) return false;
    tls->Receive(std::exchange(buffer_, ""));
  }
  return false;
}

void Client::Disconnect() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  tls_.reset();
  ended_ = false;
  buffer_.clear();
  used_ = 0;
}

void Client::Reset() {
  const linger at_once{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  Disconnect();
}

bool Client::SendRaw(std::string_view bytes) {
  if (tls_ == nullptr) return SendUnencrypted(bytes);
  return SendUnencrypted(tls_->Encrypt(bytes));
}

bool Client::SendUnencrypted(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

void Client::EndSending() {
  if (tls_ != nullptr) SendUnencrypted(tls_->Goodbye());
  shutdown(fd_, SHUT_WR);
}

bool Client::Fill(int timeout_ms) {
  pollfd p{fd_, POLLIN, 0};
  if (timeout_ms < 0) return false;
  const int ready = poll(&p, 1, timeout_ms);
  if (ready < 0 && errno == EINTR) return true;  // libFuzzer's alarm: whoever asks looks at the time again
  if (ready <= 0) return false;
  if (used_ > (1 << 20)) {
    buffer_.erase(0, used_);
    used_ = 0;
  }
  char chunk[65536];
  ssize_t n = recv(fd_, chunk, sizeof(chunk), 0);
  if (n < 0 && errno == EINTR) return true;
  if (n <= 0) {
    ended_ = true;
    return false;
  }
  if (tls_ == nullptr) {
    buffer_.append(chunk, static_cast<size_t>(n));
    return true;
  }
  tls_->Receive({chunk, static_cast<size_t>(n)});
  size_t before = buffer_.size();
  ended_ = !tls_->Decrypt(&buffer_);
  return !ended_ || buffer_.size() > before;
}

std::string Client::ReadSome(int timeout_ms) {
  if (used_ == buffer_.size() && !ended_) Fill(timeout_ms);
  std::string some = buffer_.substr(used_);
  used_ = buffer_.size();
  return some;
}

std::string Client::ReadResponse(int timeout_ms) {
  int64_t deadline = NowMs() + timeout_ms;
  for (;;) {
    size_t head = buffer_.find("\r\n\r\n", used_);
    if (head != std::string::npos) {
      size_t length = 0;
      size_t at = buffer_.find("content-length: ", used_);
      if (at != std::string::npos && at < head) length = std::stoul(buffer_.substr(at + 16, 10));
      size_t end = head + 4 + length;
      if (buffer_.size() >= end) {
        std::string response = buffer_.substr(used_, end - used_);
        used_ = end;
        return response;
      }
    }
    if (ended_ || !Fill(static_cast<int>(deadline - NowMs()))) return "";
  }
}

bool Client::SendUpgrade(const std::string& query, const std::string& headers, const std::string& path) {
  return SendRaw("GET " + path + (query.empty() ? "" : "?" + query) +
                 " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" +
                 headers + "\r\n");
}

std::string Client::Upgrade(const std::string& query, const std::string& headers, const std::string& path) {
  SendUpgrade(query, headers, path);
  return ReadResponse();
}

bool Client::Join(int port, const std::string& topic, int receive_buffer) {
  if (!Connect(port, "127.0.0.1", receive_buffer)) return false;
  if (StatusOf(Upgrade("apikey=" + ValidToken() + "&vsn=2.0.0")) != 101) return false;
  SendText("[\"1\",\"1\",\"realtime:" + topic + "\",\"phx_join\",{\"config\":{\"postgres_changes\":"
           "[{\"event\":\"*\",\"schema\":\"public\",\"table\":\"t\"}]}}]");
  return ReadUntil("\"status\":\"ok\"") && ReadUntil("\"system\"");
}

bool Client::SendFrame(int opcode, std::string_view payload, bool fin, bool masked) {
  std::string frame;
  frame.push_back(static_cast<char>((fin ? 0x80 : 0) | opcode));
  int mask_bit = masked ? 0x80 : 0;
  size_t n = payload.size();
  if (n < 126) {
    frame.push_back(static_cast<char>(mask_bit | static_cast<int>(n)));
  } else if (n < 65536) {
    frame.push_back(static_cast<char>(mask_bit | 126));
    for (int shift = 8; shift >= 0; shift -= 8) frame.push_back(static_cast<char>(n >> shift));
  } else {
    frame.push_back(static_cast<char>(mask_bit | 127));
    for (int shift = 56; shift >= 0; shift -= 8) frame.push_back(static_cast<char>(n >> shift));
  }
  const char mask[4] = {0x12, 0x34, 0x56, 0x78};
  if (masked) frame.append(mask, 4);
  size_t start = frame.size();
  frame.append(payload);
  if (masked) {
    for (size_t i = 0; i < n; ++i) frame[start + i] = static_cast<char>(frame[start + i] ^ mask[i % 4]);
  }
  return SendRaw(frame);
}

Frame Client::ReadFrame(int timeout_ms) {
  int64_t deadline = NowMs() + timeout_ms;
  for (;;) {
    std::string_view rest = std::string_view(buffer_).substr(used_);
    if (rest.size() >= 2) {
      size_t length = static_cast<uint8_t>(rest[1]) & 0x7F;
      size_t extra = length == 126 ? 2 : length == 127 ? 8 : 0;
      if (rest.size() >= 2 + extra) {
        if (extra > 0) length = 0;
        for (size_t i = 0; i < extra; ++i) length = length << 8 | static_cast<uint8_t>(rest[2 + i]);
        if (rest.size() >= 2 + extra + length) {
          used_ += 2 + extra + length;
          Frame frame{static_cast<uint8_t>(rest[0]) & 0x0F, std::string(rest.substr(2 + extra, length))};
          bool fin = (rest[0] & 0x80) != 0;
          if (frame.opcode >= 8 || (fin && frame.opcode != 0)) return frame;
          if (frame.opcode != 0) partial_.opcode = frame.opcode;
          partial_.payload += frame.payload;
          if (fin) return std::exchange(partial_, Frame());
          continue;
        }
      }
    }
    if (ended_ || !Fill(static_cast<int>(deadline - NowMs()))) return {ended_ ? -2 : -1, ""};
  }
}

bool Client::ReadUntil(const std::string& part, int timeout_ms) {
  int64_t deadline = NowMs() + timeout_ms;
  for (;;) {
    Frame frame = ReadFrame(static_cast<int>(deadline - NowMs()));
    if (frame.opcode < 0) return false;
    if (frame.payload.find(part) != std::string::npos) return true;
  }
}

bool Client::WaitForEnd(int timeout_ms) {
  int64_t deadline = NowMs() + timeout_ms;
  while (!ended_) {
    used_ = buffer_.size();
    int left = static_cast<int>(deadline - NowMs());
    if (left < 0) return false;
    if (!Fill(left) && !ended_) return false;
  }
  return true;
}

int StatusOf(const std::string& response) {
  return response.size() < 12 ? -1 : std::stoi(response.substr(9, 3));
}

std::string BodyOf(const std::string& response) {
  size_t head = response.find("\r\n\r\n");
  return head == std::string::npos ? "" : response.substr(head + 4);
}

}  // namespace realtime::test
