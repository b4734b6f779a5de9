// REST: requests as clients, browsers and attackers send them, from the first byte to the answer.
#include "net_fixture.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace realtime::test {
namespace {

std::string Header(const std::string& response, const std::string& name) {
  size_t at = response.find("\r\n" + name + ": ");
  if (at == std::string::npos || at > response.find("\r\n\r\n")) return "";
  size_t start = at + name.size() + 4;
  return response.substr(start, response.find("\r\n", start) - start);
}

class RestTest : public NetTest {
 protected:
  static std::string Bearer() { return "Authorization: Bearer " + ValidToken() + "\r\n"; }

  // A whole request; `headers` are lines with their CRLF.
  static std::string Request(const std::string& method, const std::string& target, const std::string& headers,
                             const std::string& body) {
    return method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n" + headers +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }

  // On a connection of its own, which has to end afterwards.
  std::string Ask(const std::string& request) {
    Client client;
    EXPECT_TRUE(client.Connect(port_));
    client.SendRaw(request);
    std::string response = client.ReadResponse();
    EXPECT_TRUE(client.WaitForEnd(5000)) << request.substr(0, 200);
    return response;
  }

  std::string Post(const std::string& target, const std::string& body, const std::string& headers = Bearer()) {
    return Ask(Request("POST", target, headers + "Content-Type: application/json\r\n", body));
  }

  // A client that hears what is sent to the topic.
  std::unique_ptr<Client> Listener(const std::string& topic, bool is_private = false, const std::string& vsn = "2.0.0") {
    auto client = std::make_unique<Client>();
    EXPECT_TRUE(client->Connect(port_));
    EXPECT_EQ(StatusOf(client->Upgrade("apikey=" + ValidToken() + "&vsn=" + vsn)), 101);
    client->SendText("[\"1\",\"1\",\"realtime:" + topic + "\",\"phx_join\",{\"config\":{\"private\":" +
                     (is_private ? "true" : "false") + "}}]");
    EXPECT_TRUE(client->ReadUntil("\"status\":\"ok\""));
    return client;
  }
};

TEST_F(RestTest, BatchReachesTheMembersOfEachTopicOnBothPaths) {
  StartServer();
  for (std::string prefix : {"", "/realtime/v1"}) {
    auto a = Listener("a");
    auto b = Listener("b", true);
    std::string response = Post(prefix + "/api/broadcast?apikey=x&vsn=2.0.0",
                                R"({"messages":[{"topic":"a","event":"e","payload":{"n":1}},)"
                                R"({"topic":"b","event":"e","payload":{"n":2},"private":true}]})");
    EXPECT_EQ(StatusOf(response), 202) << response;
    EXPECT_EQ(BodyOf(response), "");
    EXPECT_EQ(Header(response, "access-control-allow-origin"), "*");
    EXPECT_EQ(Header(response, "connection"), "close");
    EXPECT_EQ(Header(response, "content-length"), "0");
    EXPECT_NE(Header(response, "x-rate-limit"), "");
    EXPECT_TRUE(a->ReadUntil(R"({"event":"e","payload":{"n":1},"type":"broadcast"})"));
    EXPECT_TRUE(b->ReadUntil(R"({"event":"e","payload":{"n":2},"type":"broadcast"})"));
  }
}

TEST_F(RestTest, SingleCarriesAnyNameAndAnyBytes) {
  StartServer();
  auto json = Listener("a//b/../c d+e%?\u00fc");
  EXPECT_EQ(StatusOf(Post("/realtime/v1/api/broadcast/a%2F%2Fb%2F..%2Fc%20d+e%25%3F%C3%BC/events/x%2Fevents%2Fy?vsn=2.0.0",
                          R"({"a": 1.50})")), 202);
  Frame frame = json->ReadFrame();
  EXPECT_EQ(frame.opcode, 2);
  EXPECT_NE(frame.payload.find("x/events/y"), std::string::npos);
  EXPECT_TRUE(frame.payload.ends_with(R"({"a": 1.50})")) << frame.payload;

  auto binary = Listener("room");
  std::string bytes("\x00\xff\r\n\r\n\x01", 7);
  EXPECT_EQ(StatusOf(Ask(Request("POST", "/api/broadcast/room/events/bin",
                                 Bearer() + "Content-Type: application/octet-stream\r\n", bytes))), 202);
  Frame raw = binary->ReadFrame();
  EXPECT_EQ(raw.opcode, 2);
  EXPECT_TRUE(raw.payload.ends_with(bytes));
}

TEST_F(RestTest, RequestsInSmallPiecesAreUnderstood) {
  StartServer();
  auto listener = Listener("slow/topic");
  Client client;
  ASSERT_TRUE(client.Connect(port_));
  std::string body = R"({"hello":"world"})";
  std::string request = Request("POST", "/api/broadcast/slow%2Ftopic/events/e", Bearer(), body);
  for (char c : request) ASSERT_TRUE(client.SendRaw(std::string(1, c)));
  EXPECT_EQ(StatusOf(client.ReadResponse()), 202);
  EXPECT_TRUE(listener->ReadUntil(body));
}

TEST_F(RestTest, CallersAreChecked) {
  StartServer();
  std::string target = "/api/broadcast/t/events/e", body = "{}";
  std::string none = Post(target, body, "");
  EXPECT_EQ(StatusOf(none), 401);
  EXPECT_EQ(BodyOf(none), R"({"message":"Unauthorized"})");
  EXPECT_EQ(Header(none, "access-control-allow-origin"), "*");
  EXPECT_EQ(StatusOf(Post(target, body, "Authorization: nonsense\r\n")), 401);
  EXPECT_EQ(StatusOf(Post(target, body, "Authorization: Bearer nonsense\r\napikey: " + ValidToken() + "\r\n")), 401);
  // A proxy's credentials are not ours.
  EXPECT_EQ(StatusOf(Post(target, body, "Authorization: Basic eHg6eQ==\r\napikey: " + ValidToken() + "\r\n")), 202);
  EXPECT_EQ(StatusOf(Post(target, body, "apikey: " + ValidToken() + "\r\n")), 202);
  EXPECT_EQ(StatusOf(Post(target, body, "x-api-key: " + ValidToken() + "\r\n")), 202);
  EXPECT_EQ(StatusOf(Post(target + "?apikey=" + ValidToken(), body, "")), 202);
  EXPECT_EQ(StatusOf(Post(target + "?apikey=" + ValidToken(), body, "apikey: nonsense\r\n")), 401);
}

TEST_F(RestTest, PrivateTopicsNeedTheRightToWrite) {
  StartServer();
  auto open = Listener("open", true);
  EXPECT_EQ(StatusOf(Post("/api/broadcast/open/events/e?private=true", "{\"n\":1}")), 202);
  EXPECT_TRUE(open->ReadUntil("{\"n\":1}"));
  std::string denied = Post("/api/broadcast/denied/events/e?private=true", "{}");
  EXPECT_EQ(StatusOf(denied), 403);
  EXPECT_EQ(BodyOf(denied), R"({"message":"Unauthorized"})");
  std::string batch = Post("/api/broadcast", R"({"messages":[{"topic":"denied","event":"e","payload":{},"private":true},)"
                                             R"({"topic":"open","event":"e","payload":{"n":2},"private":true}]})");
  EXPECT_EQ(StatusOf(batch), 202);
  EXPECT_EQ(BodyOf(batch), R"({"skipped":[{"index":0,"topic":"denied","reason":"Unauthorized"}]})");
  EXPECT_TRUE(open->ReadUntil("{\"n\":2}"));
  EXPECT_EQ(StatusOf(Post("/api/broadcast/open/events/e?private=true&persist%5Bttl%5D=60", "{\"n\":3}")), 202);
  EXPECT_TRUE(open->ReadUntil("00000000-0000-4000-8000-000000000001"));
}

TEST_F(RestTest, BodiesAreBoundedAndMustBeMeasured) {
  Settings settings = TestSettings(port_);
  settings.max_rest_body = 1000;
  StartServer(settings);
  std::string target = "/api/broadcast/t/events/e";
  std::string fits = "\"" + std::string(998, 'x') + "\"";
  EXPECT_EQ(StatusOf(Post(target, fits)), 202);
  std::string large = Post(target, fits + " ");
  EXPECT_EQ(StatusOf(large), 413);
  EXPECT_EQ(BodyOf(large), R"({"error":"Request Entity Too Large"})");
  // The answer arrives although megabytes of the body are still on their way.
  EXPECT_EQ(StatusOf(Post(target, std::string(4 << 20, 'x'))), 413);
  std::string head = "POST " + target + " HTTP/1.1\r\nHost: x\r\n" + Bearer();
  Client chunked;
  ASSERT_TRUE(chunked.Connect(port_));
  chunked.SendRaw(head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n");
  EXPECT_EQ(StatusOf(chunked.ReadResponse()), 411);
  EXPECT_TRUE(chunked.WaitForEnd(5000));
  EXPECT_EQ(StatusOf(Ask(head + "\r\n")), 411);
  for (std::string length : {"-1", "+2", "2x", "99999999999999999999", "0x10", "2\r\nContent-Length: 3"}) {
    EXPECT_EQ(StatusOf(Ask(head + "Content-Length: " + length + "\r\n\r\n{}")), 400) << length;
  }
  EXPECT_EQ(StatusOf(Ask(head + "Content-Length: 0\r\n\r\n")), 202);
  EXPECT_TRUE(Serves());
}

TEST_F(RestTest, LargeBodiesArriveWholeAfterAContinue) {
  StartServer();
  auto listener = Listener("t");
  Client client;
  ASSERT_TRUE(client.Connect(port_));
  std::string body = "{\"x\":\"" + std::string(2500000, 'y') + "\"}";
  client.SendRaw("POST /api/broadcast/t/events/e HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n" + Bearer() +
                 "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n");
  EXPECT_EQ(StatusOf(client.ReadResponse()), 100);
  client.SendRaw(body);
  EXPECT_EQ(StatusOf(client.ReadResponse()), 202);
  Frame frame = listener->ReadFrame();
  EXPECT_TRUE(frame.payload.ends_with(body));
}

TEST_F(RestTest, PagesMayAskAndArePermitted) {
  StartServer();
  for (std::string path : {"/realtime/v1/api/broadcast", "/api/broadcast/t/events/e", "/api/ping"}) {
    std::string response = Ask("OPTIONS " + path + " HTTP/1.1\r\nHost: x\r\nOrigin: http://page\r\n"
                               "Access-Control-Request-Method: POST\r\n"
                               "Access-Control-Request-Headers: apikey,authorization,x-mine\r\n\r\n");
    EXPECT_EQ(StatusOf(response), 204) << response;
    EXPECT_EQ(Header(response, "access-control-allow-origin"), "*");
    EXPECT_EQ(Header(response, "access-control-allow-headers"), "apikey,authorization,x-mine");
    EXPECT_NE(Header(response, "access-control-max-age"), "");
    EXPECT_NE(Header(response, "access-control-allow-methods").find(path == "/api/ping" ? "GET" : "POST"), std::string::npos);
  }
  std::string odd = Ask("OPTIONS /api/broadcast HTTP/1.1\r\nHost: x\r\nAccess-Control-Request-Headers: a;b<c\r\n\r\n");
  EXPECT_EQ(Header(odd, "access-control-allow-headers"), "apikey, authorization, content-type, x-client-info");
}

TEST_F(RestTest, OtherMethodsAndPathsAreRefused) {
  StartServer();
  std::string get = Ask("GET /api/broadcast HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(StatusOf(get), 405);
  EXPECT_EQ(Header(get, "allow"), "POST, OPTIONS");
  EXPECT_EQ(StatusOf(Ask("DELETE /realtime/v1/api/broadcast/t/events/e HTTP/1.1\r\nHost: x\r\n\r\n")), 405);
  EXPECT_EQ(StatusOf(Post("/api/broadcast/t", "{}")), 404);
  EXPECT_EQ(StatusOf(Post("/api/broadcast/a/b/events/e", "{}")), 404);
  EXPECT_EQ(StatusOf(Post("/api/tenants", "{}")), 404);
  std::string ping = Ask("GET /realtime/v1/api/ping HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(StatusOf(ping), 200);
  EXPECT_EQ(BodyOf(ping), R"({"message":"Success"})");
  EXPECT_EQ(StatusOf(Ask("GET /api/ping HTTP/1.1\r\nHost: x\r\n\r\n")), 200);
  EXPECT_EQ(StatusOf(Post("/api/ping", "{}")), 405);
}

TEST_F(RestTest, RequestIdsComeBackWhenTheyAreSane) {
  StartServer();
  std::string id = "0123456789-abcdefghij";
  auto answer = [&](const std::string& sent) {
    return Header(Post("/api/broadcast", "{}", "x-request-id: " + sent + "\r\n"), "x-request-id");
  };
  EXPECT_EQ(answer(id), id);
  EXPECT_EQ(answer("short").size(), 36u);
  EXPECT_NE(answer("short"), answer("short"));
  EXPECT_EQ(answer("<script>alert(1)</script>").size(), 36u);
}

TEST_F(RestTest, AServerThatIsNotServingSaysSo) {
  StartServer();
  Client client;
  ASSERT_TRUE(client.Connect(port_));
  // Taken out of the kernel's queue, so that the request is in the server's hands when it stops.
  client.SendRaw("POST /api/broadcast/t/events/e HTTP/1.1\r\nHost: x\r\n");
  ASSERT_TRUE(Serves());
  Settings settings = TestSettings(port_);
  settings.serving = false;
  auto open = Listener("t");
  database_->Reload(settings);
  Frame frame = open->ReadFrame();
  while (frame.opcode == 1) frame = open->ReadFrame();
  EXPECT_EQ(frame.opcode, 8);
  client.SendRaw(Bearer() + "Content-Length: 2\r\n\r\n{}");
  EXPECT_EQ(StatusOf(client.ReadResponse()), 503);
}

TEST_F(RestTest, TheEndAnswersCallsThatWait) {
  StartServer();
  database_->Hold(true);
  Client client;
  ASSERT_TRUE(client.Connect(port_));
  size_t before = database_->waiting_bytes();
  client.SendRaw(Request("POST", "/api/broadcast/t/events/e?private=true", Bearer(), "{}"));
  while (database_->waiting_bytes() == before) std::this_thread::yield();
  EXPECT_TRUE(database_->Drain(10000));
  EXPECT_EQ(StatusOf(client.ReadResponse()), 503);
}

TEST_F(RestTest, NothingWaitsForEver) {
  StartServer();
  database_->Hold(true);
  Client body, answer, gone;
  ASSERT_TRUE(body.Connect(port_) && answer.Connect(port_) && gone.Connect(port_));
  std::string call = Request("POST", "/api/broadcast/t/events/e?private=true", Bearer(), "{}");
  int64_t start = NowMs();
  body.SendRaw(call.substr(0, call.size() - 1));
  answer.SendRaw(call);
  gone.SendRaw(call);
  gone.Disconnect();  // its answer will find nobody
  EXPECT_EQ(StatusOf(body.ReadResponse(15000)), 408);
  EXPECT_EQ(StatusOf(answer.ReadResponse(15000)), 503);
  EXPECT_GT(NowMs() - start, 8000);
  database_->Hold(false);
  EXPECT_TRUE(Serves());
  EXPECT_EQ(StatusOf(Post("/api/broadcast/t/events/e?private=true", "{}")), 202);
}

TEST_F(RestTest, WhoHasNoKeyIsToldBeforeTheBody) {
  StartServer();
  Client client;
  ASSERT_TRUE(client.Connect(port_));
  client.SendRaw("POST /api/broadcast HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
  EXPECT_EQ(StatusOf(client.ReadResponse(2000)), 401);
}

TEST_F(RestTest, CallsWhoseBodiesNeverComeMakeRoomForOthers) {
  StartServer();
  std::vector<std::unique_ptr<Client>> stalled;
  for (int i = 0; i < 600; ++i) {
    stalled.push_back(std::make_unique<Client>());
    ASSERT_TRUE(stalled.back()->Connect(port_));
    stalled.back()->SendRaw("POST /api/broadcast HTTP/1.1\r\nHost: x\r\n" + Bearer() + "Content-Length: 1000000\r\n\r\n");
  }
  // Each has its chance for a second, and would be waited for ten.
  int64_t start = NowMs();
  int status = 0;
  while (status != 202 && NowMs() - start < 5000) status = StatusOf(Post("/api/broadcast/t/events/e", "{}"));
  EXPECT_EQ(status, 202);
  EXPECT_EQ(StatusOf(stalled.front()->ReadResponse()), 408);
}

TEST_F(RestTest, RefusedCallsThatKeepSendingDoNotKeepOthersOut) {
  StartServer();
  std::vector<std::unique_ptr<Client>> refused;
  for (int i = 0; i < 200; ++i) {
    refused.push_back(std::make_unique<Client>());
    ASSERT_TRUE(refused.back()->Connect(port_));
    refused.back()->SendRaw("POST /api/broadcast HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    ASSERT_EQ(StatusOf(refused.back()->ReadResponse()), 411) << i;
  }
  EXPECT_TRUE(Serves());
  EXPECT_TRUE(refused.front()->WaitForEnd(1000));  // each would be read for two seconds, were it alone
}

TEST_F(RestTest, PipelinedRequestsGetOneAnswer) {
  StartServer();
  std::string call = Request("POST", "/api/broadcast/t/events/e", Bearer(), "{}");
  Client client;
  ASSERT_TRUE(client.Connect(port_));
  client.SendRaw(call + call + call);
  EXPECT_EQ(StatusOf(client.ReadResponse()), 202);
  EXPECT_TRUE(client.WaitForEnd(5000));
  EXPECT_TRUE(Serves());
}

TEST_F(RestTest, HalfARequestLineDoesNotKeepTheServerBusy) {
  StartServer();
  Client half, closed;
  ASSERT_TRUE(half.Connect(port_) && closed.Connect(port_));
  half.SendRaw("POST /api/broad");
  closed.SendRaw("PO");
  closed.Disconnect();
  EXPECT_TRUE(Serves());
  half.SendRaw("cast/t/events/e HTTP/1.1\r\nHost: x\r\n" + Bearer() + "Content-Length: 2\r\n\r\n{}");
  EXPECT_EQ(StatusOf(half.ReadResponse()), 202);
}

TEST_F(RestTest, AClientThatSendsTooMuchIsReadSlowlyAndTheOthersAreNot) {
  Settings settings = TestSettings(port_);
  settings.events = {100, 1000, 10};
  settings.idle_timeout_ms = 500;  // shorter than the pause: what waits unread is no silence
  StartServer(settings);
  auto flood = Listener("t");
  auto listener = Listener("t");
  auto other = Listener("other");
  int64_t start = NowMs();
  constexpr int kMessages = 210;  // 200 more than the burst: two seconds
  for (int i = 0; i < kMessages; ++i) {
    flood->SendText("[\"1\",\"2\",\"realtime:t\",\"broadcast\",{\"type\":\"broadcast\",\"event\":\"e\",\"payload\":{\"n\":" +
                    std::to_string(i) + "}}]");
  }
  EXPECT_TRUE(other->SendText(kHeartbeat) && other->ReadUntil(kHeartbeatReply, 1000));
  for (int i = 0; i < kMessages; ++i) {
    if (i % 20 == 0) listener->SendText(kHeartbeat), other->SendText(kHeartbeat);
    ASSERT_TRUE(listener->ReadUntil("\"n\":" + std::to_string(i) + "}", 10000)) << i;
  }
  EXPECT_GT(NowMs() - start, 1500);
  EXPECT_TRUE(flood->SendText(kHeartbeat) && flood->ReadUntil(kHeartbeatReply));
  EXPECT_TRUE(other->SendText(kHeartbeat) && other->ReadUntil(kHeartbeatReply));
}

}  // namespace
}  // namespace realtime::test
