#include "core/rest.h"

#include <gtest/gtest.h>

#include <string>

#include "core/json.h"

namespace realtime {
namespace {

constexpr size_t kMaxPayload = 1000;

struct Read {
  bool ok = false;
  RestRequest request;
  RestAnswer answer;
};

Read ReadIt(const RestCall& call) {
  Read read;
  read.ok = ReadRestCall(call, kMaxPayload, 64, &read.request, &read.answer);
  EXPECT_EQ(read.ok, read.answer.status == 0);
  return read;
}

Read Batch(std::string body) {
  RestCall call;
  call.path = "/api/broadcast";
  call.body = std::move(body);
  return ReadIt(call);
}

Read Single(std::string body, std::string query = "", std::optional<std::string> type = "application/json") {
  RestCall call;
  call.path = "/realtime/v1/api/broadcast/room/events/ev";
  call.query = std::move(query);
  call.content_type = std::move(type);
  call.body = std::move(body);
  return ReadIt(call);
}

std::string Messages(const std::string& list) { return R"({"messages":[)" + list + "]}"; }

TEST(RestTest, RoutesAreKnownWithAndWithoutThePrefix) {
  EXPECT_EQ(RouteOf("/api/broadcast"), RestRoute::kBatch);
  EXPECT_EQ(RouteOf("/realtime/v1/api/broadcast"), RestRoute::kBatch);
  EXPECT_EQ(RouteOf("/api/broadcast/t/events/e"), RestRoute::kSingle);
  EXPECT_EQ(RouteOf("/realtime/v1/api/broadcast/a%2Fb/events/c%2Fd"), RestRoute::kSingle);
  for (std::string_view path : {"", "/", "/api", "/api/broadcastx", "/api/broadcast/", "/api/broadcast/t", "/api/broadcast/t/events/",
                                "/api/broadcast//events/e", "/api/broadcast/t/event/e", "/api/broadcast/a/b/events/e",
                                "/api/broadcast/t/events/e/f", "/realtime/v1", "/realtime/v2/api/broadcast",
                                "/realtime/v1/realtime/v1/api/broadcast"}) {
    EXPECT_EQ(RouteOf(path), RestRoute::kNone) << path;
  }
}

TEST(RestTest, EscapesAreDecodedOrRefused) {
  EXPECT_EQ(DecodeUrl("a%20b+c%2fd%C3%BC", false), "a b+c/d\u00fc");
  EXPECT_EQ(DecodeUrl("a+b", true), "a b");
  for (std::string_view text : {"%", "%2", "a%2", "%zz", "%C3", "%ff"}) EXPECT_EQ(DecodeUrl(text, false), std::nullopt) << text;
  EXPECT_EQ(QueryValue("a=1&b=2&a=3", "a"), "3");
  EXPECT_EQ(QueryValue("persist%5Bttl%5D=60", "persist[ttl]"), "60");
  EXPECT_EQ(QueryValue("persist[ttl]=6%30", "persist[ttl]"), "60");
  EXPECT_EQ(QueryValue("a", "a"), "");
  EXPECT_EQ(QueryValue("a=x=y", "a"), "x=y");
  EXPECT_EQ(QueryValue("ab=1&=2&&", "a"), std::nullopt);
  EXPECT_EQ(QueryValue("a=1&a=%zz", "a"), "1");
}

TEST(RestTest, ABatchBecomesMessagesInOrder) {
  Read read = Batch(Messages(R"({"topic":"t","event":"e","payload":{ "n": 1.0 }},)"
                             R"({"topic":"u","event":"f","payload":{},"private":true,)"
                             R"("id":"0190A0B0-0000-7000-8000-00000000000f"})"));
  ASSERT_TRUE(read.ok);
  EXPECT_TRUE(read.request.is_batch);
  ASSERT_EQ(read.request.messages.size(), 2u);
  const Broadcast& first = *read.request.messages[0];
  EXPECT_EQ(first.topic, "t");
  EXPECT_FALSE(first.is_private);
  EXPECT_EQ(first.form, Broadcast::Form::kWhole);
  EXPECT_EQ(*first.payload, R"({"event":"e","payload":{ "n": 1.0 },"type":"broadcast"})");
  const Broadcast& second = *read.request.messages[1];
  EXPECT_TRUE(second.is_private);
  EXPECT_EQ(second.id, "");
  EXPECT_NE(second.payload->find(R"("id":"0190a0b0-0000-7000-8000-00000000000f")"), std::string::npos) << *second.payload;
}

TEST(RestTest, WrongBatchesGetTheReferencesTexts) {
  auto body = [](const std::string& text) {
    Read read = Batch(text);
    EXPECT_EQ(read.answer.status, 422) << text;
    return read.answer.body;
  };
  const std::string blank = R"({"errors":{"messages":["can't be blank"]}})", wrong = R"({"errors":{"messages":["is invalid"]}})";
  for (std::string text : {"", "{}", R"({"messages":[]})", R"({"messages":null})", "[]", "1"}) EXPECT_EQ(body(text), blank) << text;
  for (std::string text : {R"({"messages":1})", R"({"messages":{}})", R"({"messages":[1]})"}) EXPECT_EQ(body(text), wrong) << text;
  EXPECT_EQ(body(Messages(R"({"topic":"t"},{"topic":"t","event":"e","payload":{}})")),
            R"({"errors":{"messages":[{"payload":["can't be blank"],"event":["can't be blank"]},{}]}})");
  EXPECT_EQ(body(Messages(R"({"topic":1,"event":" ","payload":[],"private":3,"id":"x"})")),
            R"({"errors":{"messages":[{"topic":["is invalid"],"payload":["is invalid"],"event":["can't be blank"],)"
            R"("private":["is invalid"],"id":["is invalid"]}]}})");
  std::string large = R"({"x":")" + std::string(kMaxPayload, 'x') + R"("})";
  EXPECT_EQ(body(Messages(R"({"topic":"t","event":"e","payload":)" + large + "}")),
            R"({"errors":{"messages":[{"payload":["Payload size exceeds tenant limit"]}]}})");
  EXPECT_EQ(body(Messages(R"({"topic":")" + std::string(8193, 't') + R"(","event":"a\u0000b","payload":{}})")),
            R"({"errors":{"messages":[{"topic":["is too long"],"event":["is invalid"]}]}})");
  EXPECT_EQ(Batch("{").answer.status, 400);
  EXPECT_EQ(Batch("{\"messages\":\"\xff\"}").answer.status, 400);
}

TEST(RestTest, ABatchHoldsTenThousandMessagesAtMost) {
  std::string message = R"({"topic":"t","event":"e","payload":{}})", list = message;
  for (int i = 1; i < 10000; i++) list += "," + message;
  EXPECT_EQ(Batch(Messages(list)).request.messages.size(), 10000u);
  Read read = Batch(Messages(list + "," + message));
  EXPECT_EQ(read.answer.status, 429);
  EXPECT_EQ(read.answer.body, R"({"message":"Too many messages to broadcast, please reduce the batch size"})");
}

TEST(RestTest, AnObjectIsForwardedVerbatimAndAnythingElseIsWrapped) {
  Read object = Single(" {\"a\": 1.50} ");
  ASSERT_TRUE(object.ok);
  EXPECT_EQ(object.request.messages[0]->form, Broadcast::Form::kJson);
  EXPECT_EQ(object.request.messages[0]->topic, "room");
  EXPECT_EQ(object.request.messages[0]->event, "ev");
  EXPECT_EQ(*object.request.messages[0]->payload, " {\"a\": 1.50} ");
  EXPECT_EQ(*Single("[1,2]").request.messages[0]->payload, R"({"_json":[1,2]})");
  EXPECT_EQ(*Single("\"x\"").request.messages[0]->payload, R"({"_json":"x"})");
  EXPECT_EQ(*Single("").request.messages[0]->payload, "{}");
  EXPECT_EQ(Single("{").answer.status, 400);
  std::string bytes("\x00\xff{", 3);
  Read binary = Single(bytes, "", "application/octet-stream");
  EXPECT_EQ(binary.request.messages[0]->form, Broadcast::Form::kBinary);
  EXPECT_EQ(*binary.request.messages[0]->payload, bytes);
  Read large = Single(std::string(kMaxPayload + 1, 'x'), "", "application/octet-stream");
  EXPECT_EQ(large.answer.status, 422);
  EXPECT_EQ(large.answer.body, R"({"errors":{"payload":["Payload size exceeds tenant limit"]}})");
}

TEST(RestTest, ContentTypesMayHaveParametersAndMayBeMissing) {
  EXPECT_TRUE(Single("{}", "", std::nullopt).ok);
  EXPECT_TRUE(Single("{}", "", "Application/JSON ; charset=utf-8").ok);
  EXPECT_TRUE(Single("x", "", "application/octet-stream;a=b").ok);
  for (std::string type : {"text/plain", "application/jsonp", "application/json5, text/html"}) {
    Read read = Single("{}", "", type);
    EXPECT_EQ(read.answer.status, 415) << type;
    EXPECT_EQ(read.answer.body, R"({"error":"Unsupported Media Type. Use application/json or application/octet-stream"})");
  }
}

TEST(RestTest, TheBodysPrivateOverridesTheQuerys) {
  auto is_private = [](const std::string& body, const std::string& query) {
    return Single(body, query).request.messages.at(0)->is_private;
  };
  EXPECT_TRUE(is_private("{}", "apikey=x&vsn=2.0.0&private=true"));
  EXPECT_FALSE(is_private("{}", "private=1"));
  EXPECT_FALSE(is_private(R"({"private":false})", "private=true"));
  EXPECT_FALSE(is_private(R"({"private":null})", "private=true"));
  EXPECT_TRUE(is_private(R"({"private":"true"})", ""));
  EXPECT_TRUE(is_private(R"({"private":false,"private":true})", ""));
  EXPECT_TRUE(is_private("[]", "private=true"));
}

TEST(RestTest, PersistenceIsForPrivateChannels) {
  Read plain = Single("{}", "private=true&persist=true");
  EXPECT_TRUE(plain.request.persist);
  EXPECT_EQ(plain.request.ttl_s, 0);
  Read ttl = Single("{}", "private=true&persist%5Bttl%5D=60");
  EXPECT_TRUE(ttl.request.persist);
  EXPECT_EQ(ttl.request.ttl_s, 60);
  EXPECT_FALSE(Single("{}", "private=true&persist=false").request.persist);
  EXPECT_EQ(Single("{}", "persist=true").answer.status, 422);
  EXPECT_EQ(Single("{}", "persist=true").answer.body,
            R"({"error":"Broadcast persistence is only available on private channels"})");
  EXPECT_EQ(Single(R"({"private":false})", "private=true&persist=true").answer.status, 422);
  for (std::string value : {"0", "-1", "1.5", "", "x", "99999999999999999999"}) {
    EXPECT_EQ(Single("{}", "private=true&persist[ttl]=" + value).answer.status, 422) << value;
  }
  EXPECT_EQ(Single("{}", "private=true&persist=yes").answer.status, 422);
}

TEST(RestTest, NamesOfThePathAreChecked) {
  RestCall call;
  for (const std::string& topic : {std::string("%00"), std::string("%ff"), std::string("%2"), std::string("%20"),
                                   std::string(8193, 't')}) {
    call.path = "/api/broadcast/" + topic + "/events/e";
    EXPECT_EQ(ReadIt(call).answer.status, 422) << topic;
    call.path = "/api/broadcast/t/events/" + topic;
    EXPECT_EQ(ReadIt(call).answer.status, 422) << topic;
  }
}

// A binary frame has one byte for the length of a name, "realtime:" included.
TEST(RestTest, BytesNeedNamesThatFitABinaryFrame) {
  auto ask = [](size_t topic, size_t event, const char* type) {
    RestCall call;
    call.path = "/api/broadcast/" + std::string(topic, 't') + "/events/" + std::string(event, 'e');
    call.content_type = type;
    call.body = "{}";
    return ReadIt(call).answer;
  };
  EXPECT_EQ(ask(246, 255, "application/octet-stream").status, 0);
  EXPECT_EQ(ask(247, 255, "application/octet-stream").body, R"({"errors":{"topic":["is too long"]}})");
  EXPECT_EQ(ask(246, 256, "application/octet-stream").body, R"({"errors":{"event":["is too long"]}})");
  EXPECT_EQ(ask(247, 256, "application/json").status, 0) << "goes as text";
}

}  // namespace
}  // namespace realtime
