// One encrypted connection between a client and the other end that libwebsockets would hold, without a network thread.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <memory>
#include <string>
#include <utility>

#include "certificate.h"
#include "net/loop.h"
#include "net/tls.h"
#include "tls_session.h"

namespace realtime::test {
namespace {

class TlsRelayTest : public ::testing::Test {
 protected:
  TlsRelayTest() {
    uv_loop_init(&loop_);
    admission_.SetSettings(std::make_shared<const Settings>());
    Certificate certificate = MakeCertificate("relay");
    tls_.SetContext(MakeTlsContext(certificate.certificate, certificate.key).value);
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    peer_ = ends[1];
    tls_.Add(ends[0], admission_.Arrive(ends[0], "127.0.0.1", ReadClock()), ReadClock());
  }

  ~TlsRelayTest() override {
    tls_.Close();
    guest_.reset();
    if (given_ >= 0) close(given_);
    close(peer_);
    Run();
    EXPECT_EQ(uv_loop_close(&loop_), 0);
  }

  void Run() {
    for (int i = 0; i < 10; ++i) uv_run(&loop_, UV_RUN_NOWAIT);
  }

  void SendToPeer(std::string_view bytes) {
    EXPECT_EQ(send(peer_, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    Run();
  }

  // Up to the moment at which the connection is given away.
  void Open() {
    for (int round = 0; round < 20 && !session_.ready(); ++round) {
      ASSERT_TRUE(session_.Advance());
      SendToPeer(session_.TakeOutput());
      char bytes[16384];
      ssize_t n = recv(peer_, bytes, sizeof(bytes), 0);
      if (n > 0) session_.Receive({bytes, static_cast<size_t>(n)});
    }
    SendToPeer(session_.Encrypt("GET / HTTP/1.1\r\n\r\n"));
    ASSERT_GE(given_, 0);
  }

  // What the client does not read, until nothing more fits anywhere.
  void FillUp() {
    const std::string chunk(16384, 'x');
    for (int stuck = 0; stuck < 3; ++stuck) {
      while (send(given_, chunk.data(), chunk.size(), MSG_NOSIGNAL) > 0) {
        stuck = 0;
        Run();
      }
      Run();
    }
  }

  void CloseGiven() {
    close(std::exchange(given_, -1));
    Run();
  }

  void After(int64_t ms) {
    Now now = ReadClock();
    now.mono_ms += ms;
    tls_.Tick(now);
    Run();
  }

  uv_loop_t loop_;
  Admission admission_{[](LogLine) {}};
  GuestPtr guest_;
  int given_ = -1;
  int peer_ = -1;
  TlsSession session_;
  Tls tls_{&loop_, [this](int fd, GuestPtr guest, RequestLine, Now) {
             given_ = fd;
             guest_ = std::move(guest);
           }};
};

TEST_F(TlsRelayTest, WhoDoesNotReadIsLetGoSomeTimeAfterTheOtherEndIsClosed) {
  Open();
  FillUp();
  CloseGiven();
  EXPECT_TRUE(tls_.busy());
  After(6000);
  EXPECT_FALSE(tls_.busy());
  EXPECT_EQ(tls_.own_count(), 0u);
}

// Closing with bytes unread is an error for the end that is left, and not a hang-up.
TEST_F(TlsRelayTest, SoIsWhoHasSentWhatNobodyReadsAnyMore) {
  Open();
  FillUp();
  SendToPeer(session_.Encrypt(std::string(10000, 'y')));
  CloseGiven();
  EXPECT_TRUE(tls_.busy());
  After(6000);
  EXPECT_FALSE(tls_.busy());
  EXPECT_EQ(tls_.own_count(), 0u);
}

}  // namespace
}  // namespace realtime::test
