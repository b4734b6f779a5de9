// Before a WebSocket is open: upgrades, refusals, plain HTTP, connections that never get there.
#include "net_fixture.h"

#include <vector>

namespace realtime::test {
namespace {

using HandshakeTest = NetTest;

TEST_F(HandshakeTest, HandshakeSucceedsOnBothPathsAndSendsNothingByItself) {
  StartServer();
  for (std::string path : {"/realtime/v1/websocket", "/socket/websocket"}) {
    Client client;
    ASSERT_TRUE(client.Connect(port_));
    std::string response = client.Upgrade("apikey=" + ValidToken() + "&vsn=2.0.0", "", path);
    EXPECT_EQ(StatusOf(response), 101) << response;
    EXPECT_NE(response.find("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), std::string::npos);
    client.SendText(kHeartbeat);
    Frame first = client.ReadFrame();
    EXPECT_NE(first.payload.find(kHeartbeatReply), std::string::npos) << first.payload;
  }
}

TEST_F(HandshakeTest, HandshakeErrorsHaveTheReferencesStatusAndBody) {
  StartServer();
  std::string missing = Answer("vsn=2.0.0");
  EXPECT_EQ(StatusOf(missing), 401);
  EXPECT_EQ(BodyOf(missing), R"({"error":"API key is missing"})");
  EXPECT_NE(missing.find("content-type: application/json; charset=utf-8\r\n"), std::string::npos);

  EXPECT_EQ(BodyOf(Answer("apikey=nonsense")), R"({"error":"The token provided is not a valid JWT"})");
  std::string expired = Answer("apikey=" + SignToken(R"({"role":"anon","exp":1000})"));
  EXPECT_EQ(StatusOf(expired), 401);
  EXPECT_EQ(BodyOf(expired), R"({"error":"Token has expired"})");
  std::string forged = Answer("apikey=" + SignToken(R"({"role":"anon","exp":4102444800})", "another secret"));
  EXPECT_EQ(BodyOf(forged), R"({"error":"Failed to validate JWT signature"})");
  EXPECT_EQ(BodyOf(Answer("apikey=" + SignToken(R"({"role":"anon"})"))),
            "{\"error\":\"Fields `role` and `exp` are required in JWT\"}");

  std::string vsn = Answer("apikey=" + ValidToken() + "&vsn=3.0.0");
  EXPECT_EQ(StatusOf(vsn), 403);
  EXPECT_EQ(BodyOf(vsn), "");
}

TEST_F(HandshakeTest, HeaderWinsOverQueryAndLongTokensFitEitherWay) {
  StartServer();
  EXPECT_EQ(StatusOf(Answer("apikey=nonsense", "X-API-Key: " + ValidToken() + "\r\n")), 101);
  EXPECT_EQ(StatusOf(Answer("apikey=" + ValidToken(), "x-api-key: nonsense\r\n")), 401);
  std::string claims = R"({"role":"anon","exp":4102444800,"fill":")" + std::string(11000, 'f') + "\"}";
  std::string token = SignToken(claims);
  ASSERT_GT(token.size(), 14000u);
  EXPECT_EQ(StatusOf(Answer("vsn=2.0.0&apikey=" + token)), 101);
  EXPECT_EQ(StatusOf(Answer("vsn=2.0.0", "x-api-key: " + token + "\r\n")), 101);
  EXPECT_EQ(StatusOf(Answer("apikey=" + token, "x-api-key: " + token + "\r\n")), 101);
}

TEST_F(HandshakeTest, QueryIsUrlDecoded) {
  StartServer();
  std::string token = ValidToken(), encoded;
  for (char c : token) encoded += c == '.' ? std::string("%2E") : c == '-' ? std::string("%2d") : std::string(1, c);
  EXPECT_EQ(StatusOf(Answer("log_level=info&apikey=" + encoded + "&vsn=2%2E0.0")), 101);
}

// libwebsockets takes a decoded line feed for the line's end, and what follows for a header: one that a proxy has not seen.
TEST_F(HandshakeTest, HeadersCannotComeWithTheUrl) {
  StartServer();
  std::string key = "apikey=" + ValidToken() + "&vsn=2.0.0";
  for (std::string end : {"%0A", "%0a", "%0D", "%0d%0a"}) {
    EXPECT_EQ(StatusOf(Answer(key + "&x=" + end)), 400) << end;
    EXPECT_EQ(StatusOf(Answer(key + "&x=" + end + "x-client-info:y" + end + "z:")), 400) << end;
    EXPECT_EQ(StatusOf(Answer(end + "x-api-key:" + ValidToken())), 400) << end;
  }
  EXPECT_EQ(StatusOf(Answer(key + "&x=%00")), -1);  // libwebsockets hangs up
  Client client;
  ASSERT_TRUE(client.Connect(port_));
  client.SendRaw("\r\nGET /healthcheck?%0Ax:y HTTP/1.1\r\nHost: x\r\n\r\n");
  std::string response = client.ReadResponse();
  EXPECT_NE(StatusOf(response), 200) << response;
  EXPECT_EQ(StatusOf(Answer(key + "&x=%20%09%C3%A9%25%30")), 101);
  EXPECT_EQ(StatusOf(Answer(key + "&x=%0")), 403);  // no escape; libwebsockets' own answer
}

TEST_F(HandshakeTest, OfferedSubprotocolsAreIgnoredAndNotEchoed) {
  StartServer();
  for (std::string offer : {"realtime", "phoenix, base64url.bearer.phx.abc", "x"}) {
    std::string response = Answer("apikey=" + ValidToken(), "Sec-WebSocket-Protocol: " + offer + "\r\n");
    EXPECT_EQ(StatusOf(response), 101) << offer;
    EXPECT_EQ(response.find("rotocol:"), std::string::npos) << response;
  }
  EXPECT_EQ(StatusOf(Answer("apikey=" + ValidToken(), "Sec-WebSocket-Protocol: " + std::string(500, 'p') + "\r\n")), 400);
  EXPECT_TRUE(Serves());
}

TEST_F(HandshakeTest, CompressionIsNotNegotiated) {
  StartServer();
  std::string response = Answer("apikey=" + ValidToken(), "Sec-WebSocket-Extensions: permessage-deflate\r\n");
  EXPECT_EQ(StatusOf(response), 101);
  EXPECT_EQ(response.find("xtensions"), std::string::npos) << response;
}

TEST_F(HandshakeTest, PlainHttpIsAnswered) {
  StartServer();
  auto ask = [&](const std::string& request) {
    Client client;
    EXPECT_TRUE(client.Connect(port_));
    client.SendRaw(request);
    std::string response = client.ReadResponse();
    EXPECT_TRUE(client.WaitForEnd(5000)) << request;
    return response;
  };
  std::string health = ask("GET /healthcheck HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(StatusOf(health), 200);
  EXPECT_EQ(BodyOf(health), "ok");
  EXPECT_EQ(StatusOf(ask("GET /realtime/v1/websocket HTTP/1.1\r\nHost: x\r\n\r\n")), 426);
  std::string post = ask("POST /realtime/v1/websocket HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi");
  EXPECT_EQ(StatusOf(post), 400);
  EXPECT_EQ(BodyOf(post), "");
  std::string other = ask("GET /other HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(StatusOf(other), 404);
  EXPECT_EQ(BodyOf(other), R"({"error":"Not Found"})");
  EXPECT_EQ(StatusOf(ask("GET /other HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")), 404);
  EXPECT_EQ(StatusOf(ask("GET /realtime/v1/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, "
                         "HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")), 400);
  EXPECT_EQ(StatusOf(ask("GET /realtime/v1/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: "
                         "Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n")), 400);
}

TEST_F(HandshakeTest, UnfinishedHandshakesAreEnded) {
  StartServer();
  Client silent, slow;
  ASSERT_TRUE(silent.Connect(port_));
  ASSERT_TRUE(slow.Connect(port_));
  slow.SendRaw("GET /realtime/v1/websocket HTTP/1.1\r\nHost: x\r\n");
  int64_t start = NowMs();
  bool slow_ended = false;
  while (!slow_ended && NowMs() - start < 20000) {
    slow.SendRaw("x-slow: 1\r\n");
    slow_ended = slow.WaitForEnd(500);
  }
  EXPECT_TRUE(slow_ended);
  EXPECT_TRUE(silent.WaitForEnd(10000));
  EXPECT_GT(NowMs() - start, 8000);
}

TEST_F(HandshakeTest, TooManyClientsAreRefusedWith429) {
  Settings settings = TestSettings(port_);
  settings.max_connections = 3;
  StartServer(settings);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<Client>());
    ASSERT_TRUE(clients.back()->Connect(port_));
    ASSERT_EQ(StatusOf(clients.back()->Upgrade("apikey=" + ValidToken())), 101);
  }
  std::string response = Answer("apikey=" + ValidToken());
  EXPECT_EQ(StatusOf(response), 429);
  EXPECT_EQ(BodyOf(response), R"({"error":"Too many connected users"})");
}

}  // namespace
}  // namespace realtime::test
