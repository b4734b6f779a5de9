// What is bounded before anybody has shown a token: connections of an address, unfinished ones, memory for what is announced.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <memory>
#include <thread>
#include <vector>

#include "net/address.h"
#include "net/admission.h"
#include "net_fixture.h"

namespace realtime::test {
namespace {

using AdmissionTest = NetTest;

size_t ResidentBytes() {
  long pages = 0, resident = 0;
  FILE* file = fopen("/proc/self/statm", "r");
  if (file == nullptr || fscanf(file, "%ld %ld", &pages, &resident) != 2) resident = 0;
  if (file != nullptr) fclose(file);
  return static_cast<size_t>(resident) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

size_t OpenFiles() {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

TEST(AddressTest, BlocksContainWhatTheySay) {
  AddressBlocks blocks = {*ParseAddressBlock("10.0.0.0/8"), *ParseAddressBlock(" 2001:db8::/33"), *ParseAddressBlock("::1")};
  for (const char* in : {"10.255.0.1", "2001:db8:7fff::1", "::1", "::ffff:10.1.2.3"}) EXPECT_TRUE(Contains(blocks, in)) << in;
  for (const char* out : {"11.0.0.1", "2001:db8:8000::1", "::2", "", "10.0.0", "x"}) EXPECT_FALSE(Contains(blocks, out)) << out;
  for (const char* bad : {"", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "localhost"}) {
    EXPECT_FALSE(ParseAddressBlock(bad)) << bad;
  }
  EXPECT_EQ(CountedAddress("2001:db8::1"), CountedAddress("2001:db8::ffff:1"));
  EXPECT_NE(CountedAddress("2001:db8::1"), CountedAddress("2001:db8:0:1::1"));
  EXPECT_NE(CountedAddress("10.0.0.1"), CountedAddress("10.0.0.2"));
}

TEST(AddressTest, OnlyTrustedProxiesAreBelieved) {
  AddressBlocks trusted = {*ParseAddressBlock("10.0.0.0/8")};
  EXPECT_EQ(ClientAddress("192.0.2.1", "198.51.100.7", trusted), "192.0.2.1");
  EXPECT_EQ(ClientAddress("10.0.0.1", "198.51.100.7", trusted), "198.51.100.7");
  EXPECT_EQ(ClientAddress("10.0.0.1", "203.0.113.9, 198.51.100.7:4711, 10.0.0.2", trusted), "198.51.100.7");
  EXPECT_EQ(ClientAddress("10.0.0.1", "[2001:db8::1]:80", trusted), "2001:db8::1");
  EXPECT_EQ(ClientAddress("10.0.0.1", "198.51.100.7, unknown", trusted), "10.0.0.1");
  EXPECT_EQ(ClientAddress("10.0.0.1", "", trusted), "10.0.0.1");
  EXPECT_EQ(ClientAddress("10.0.0.1", "[", trusted), "10.0.0.1");
}

TEST_F(AdmissionTest, ConnectionsOfOneAddressAreLimitedAndTheOthersAreNot) {
  Settings settings = TestSettings(port_);
  settings.max_connections_per_address = 2;
  StartServer(settings);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 2; ++i) {
    clients.push_back(std::make_unique<Client>());
    ASSERT_TRUE(clients.back()->Connect(port_));
    ASSERT_EQ(StatusOf(clients.back()->Upgrade("apikey=" + ValidToken())), 101);
  }
  std::string response = Answer("apikey=" + ValidToken());
  EXPECT_EQ(StatusOf(response), 429);
  EXPECT_EQ(BodyOf(response), R"({"error":"Too many connections from this address"})");
  EXPECT_EQ(StatusOf(Answer("apikey=" + ValidToken())), 429);
  EXPECT_TRUE(database_->WaitForLog("refused 1 connections"));
  EXPECT_EQ(database_->CountLog("refused"), 1u) << "once a minute";

  clients.pop_back();
  int64_t start = NowMs();
  bool again = false;
  while (!again && NowMs() - start < 10000) again = Serves();
  EXPECT_TRUE(again) << "who leaves makes room";

  // The clients of a trusted proxy count by their own addresses.
  settings.trusted_proxies = {"127.0.0.0/8"};
  database_->Reload(settings);
  for (int i = 0; i < 6; ++i) {
    clients.push_back(std::make_unique<Client>());
    ASSERT_TRUE(clients.back()->Connect(port_));
    std::string from = "X-Forwarded-For: 192.0.2." + std::to_string(i / 3) + "\r\n";
    EXPECT_EQ(StatusOf(clients.back()->Upgrade("apikey=" + ValidToken(), from)), i % 3 < 2 ? 101 : 429) << i;
  }
}

TEST_F(AdmissionTest, SilentConnectionsMakeRoomForOthers) {
  StartServer();
  std::vector<std::unique_ptr<Client>> silent;
  for (size_t i = 0; i < Admission::kMaxUnfinished / 2; ++i) {
    silent.push_back(std::make_unique<Client>());
    ASSERT_TRUE(silent.back()->Connect(port_));
  }
  int64_t start = NowMs();
  while (!Serves()) ASSERT_LT(NowMs() - start, 8000) << "less than the silent ones' time";
  EXPECT_TRUE(silent.front()->WaitForEnd(1000)) << "the oldest has gone";
}

// A part of a line and the reset, both before the server looks: the event loop looks no more after an error.
TEST_F(AdmissionTest, ConnectionsThatAreResetInTheirFirstLineAreClosedAtOnce) {
  StartServer();
  const size_t before = OpenFiles();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 300; ++i) {
    clients.push_back(std::make_unique<Client>());
    ASSERT_TRUE(clients.back()->Connect(port_));
  }
  ASSERT_TRUE(Serves()) << "all of them have been accepted";
  for (auto& client : clients) {
    client->SendRaw("GET /realtime");
    client->Reset();
  }
  const int64_t start = NowMs();
  while (OpenFiles() > before + 3 && NowMs() - start < 3000) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_LE(OpenFiles(), before + 3) << "the others wait for their time-out";
}

TEST_F(AdmissionTest, PagesOfOtherOriginsAreRefused) {
  Settings settings = TestSettings(port_);
  settings.allowed_origins = {"https://App.example"};
  StartServer(settings);
  EXPECT_EQ(StatusOf(Answer("apikey=" + ValidToken(), "Origin: https://app.example\r\n")), 101);
  EXPECT_EQ(StatusOf(Answer("apikey=" + ValidToken())), 101);
  EXPECT_EQ(StatusOf(Answer("apikey=" + ValidToken(), "Origin: https://app.example.evil\r\n")), 403);
  Client client;
  ASSERT_TRUE(client.Connect(port_));
  client.SendRaw("OPTIONS /api/broadcast HTTP/1.1\r\nHost: x\r\nOrigin: null\r\n\r\n");
  EXPECT_EQ(StatusOf(client.ReadResponse()), 403);
}

TEST_F(AdmissionTest, WhatIsOnlyAnnouncedTakesNoMemory) {
  StartServer();
  ASSERT_TRUE(Serves());
  size_t before = ResidentBytes();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(std::make_unique<Client>());
    ASSERT_TRUE(clients.back()->Connect(port_));
    ASSERT_EQ(StatusOf(clients.back()->Upgrade("apikey=" + ValidToken() + "&vsn=2.0.0")), 101);
    // The first byte of a text of 4,900,000.
    clients.back()->SendRaw(std::string("\x81\xff\0\0\0\0\0\x4a\xc4\xa0\x12\x34\x56\x78x", 15));
    clients.push_back(std::make_unique<Client>());
    ASSERT_TRUE(clients.back()->Connect(port_));
    clients.back()->SendRaw("POST /api/broadcast HTTP/1.1\r\nHost: x\r\napikey: " + ValidToken() +
                            "\r\nContent-Type: application/json\r\nContent-Length: 8000000\r\n\r\n{");
  }
  EXPECT_TRUE(Serves());
  EXPECT_LT(ResidentBytes(), before + (200u << 20)) << "of 1,290 MB announced";
}

}  // namespace
}  // namespace realtime::test
