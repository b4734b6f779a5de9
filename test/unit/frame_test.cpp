#include "core/frame.h"

#include <gtest/gtest.h>

#include <string>

namespace realtime {
namespace {

constexpr int kDepth = 64;

std::string Hex(std::string_view digits) {
  std::string bytes;
  std::string clean;
  for (char c : digits) {
    if (c != ' ') clean.push_back(c);
  }
  for (size_t i = 0; i + 1 < clean.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(clean.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

// join_ref "10", ref "1", topic realtime:chat-room, event user-event, payload {"a":1}.
std::string UserBroadcastPush() {
  return Hex(
      "03 02 01 12 0A 00 01 31 30 31 72 65 61 6C 74 69 6D 65 3A 63 68 61 74 2D 72 6F 6F 6D "
      "75 73 65 72 2D 65 76 65 6E 74 7B 22 61 22 3A 31 7D");
}

TEST(test_phoenix_message_format, Version1MessageOfAClient) {
  std::string bytes =
      R"({"topic":"realtime:room","event":"phx_join","payload":{"config":{"broadcast":{"ack":false,"self":false},)"
      R"("presence":{"key":""},"postgres_changes":[]}},"ref":"1","join_ref":"2"})";
  Result<ClientMessage> message = ParseText(Vsn::kV1, bytes, kDepth);
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message.value.topic, "realtime:room");
  EXPECT_EQ(message.value.event, "phx_join");
  EXPECT_EQ(message.value.ref, "\"1\"");
  EXPECT_EQ(message.value.join_ref, "\"2\"");
  EXPECT_EQ(message.value.payload,
            R"({"config":{"broadcast":{"ack":false,"self":false},"presence":{"key":""},"postgres_changes":[]}})");
  EXPECT_FALSE(message.value.is_user_broadcast);
}

TEST(test_phoenix_message_format, Version1JoinRefDefaultsToRef) {
  for (const char* bytes : {R"({"topic":"t","event":"e","payload":{},"ref":"7"})",
                            R"({"topic":"t","event":"e","payload":{},"ref":"7","join_ref":null})"}) {
    Result<ClientMessage> message = ParseText(Vsn::kV1, bytes, kDepth);
    ASSERT_TRUE(message.ok());
    EXPECT_EQ(message.value.join_ref, "\"7\"");
  }
}

TEST(test_phoenix_message_format, Version1NeedsAllFourKeys) {
  for (const char* bytes :
       {R"({"event":"e","payload":{},"ref":"7"})", R"({"topic":"t","payload":{},"ref":"7"})",
        R"({"topic":"t","event":"e","ref":"7"})", R"({"topic":"t","event":"e","payload":{}})", R"([null,"1","t","e",{}])",
        R"({"topic":1,"event":"e","payload":{},"ref":"7"})", R"({"topic":"t","event":"e","payload":{},"ref":{}})"}) {
    EXPECT_EQ(ParseText(Vsn::kV1, bytes, kDepth).status.code(), Code::kMalformed) << bytes;
  }
}

TEST(test_phoenix_message_format, Version2MessageOfAClient) {
  std::string bytes = R"([null,"26","phoenix","heartbeat",{}])";
  Result<ClientMessage> message = ParseText(Vsn::kV2, bytes, kDepth);
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message.value.join_ref, "null");
  EXPECT_EQ(message.value.ref, "\"26\"");
  EXPECT_EQ(message.value.topic, "phoenix");
  EXPECT_EQ(message.value.event, "heartbeat");
  EXPECT_EQ(message.value.payload, "{}");
}

TEST(test_phoenix_message_format, Version2RefsAreEchoedVerbatimAndTrailingElementsIgnored) {
  std::string bytes = "[ 12 , \"a\\u0062\" , \"t\" , \"e\" , { \"x\" : 1 } , 5, []]";
  Result<ClientMessage> message = ParseText(Vsn::kV2, bytes, kDepth);
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message.value.join_ref, "12");
  EXPECT_EQ(message.value.ref, "\"a\\u0062\"");
  EXPECT_EQ(message.value.payload, "{ \"x\" : 1 }");
}

TEST(test_phoenix_message_format, Version2RefusesWhatIsNotAMessage) {
  for (const char* bytes : {"", "hello", "[]", R"([null,"1","t","e"])", R"({"topic":"t","event":"e","payload":{},"ref":"7"})",
                            R"([null,"1",2,"e",{}])", R"([null,"1","t",null,{}])", R"([[],"1","t","e",{}])", "null"}) {
    EXPECT_EQ(ParseText(Vsn::kV2, bytes, kDepth).status.code(), Code::kMalformed) << bytes;
  }
}

TEST(test_phoenix_message_format, NestingRefsAndNamesAreBounded) {
  std::string deep = R"([null,"1","t","e",)" + std::string(10, '[') + std::string(10, ']') + "]";
  EXPECT_TRUE(ParseText(Vsn::kV2, deep, 11).ok());
  EXPECT_EQ(ParseText(Vsn::kV2, deep, 10).status.code(), Code::kMalformed);
  std::string huge(100000, 'x');
  EXPECT_FALSE(ParseText(Vsn::kV2, "[null,\"" + huge + "\",\"t\",\"e\",{}]", kDepth).ok());
  EXPECT_FALSE(ParseText(Vsn::kV2, "[null,\"1\",\"" + huge + "\",\"e\",{}]", kDepth).ok());
  EXPECT_TRUE(ParseText(Vsn::kV2, "[null,\"1\",\"t\",\"e\",{\"p\":\"" + huge + "\"}]", kDepth).ok());
}

TEST(test_phoenix_message_format, ServerMessagesOfBothVersions) {
  EXPECT_EQ(EncodeText(Vsn::kV2, "null", "\"26\"", "phoenix", "phx_reply", R"({"status":"ok","response":{}})"),
            R"([null,"26","phoenix","phx_reply",{"status":"ok","response":{}}])");
  EXPECT_EQ(EncodeText(Vsn::kV1, "null", "\"26\"", "phoenix", "phx_reply", R"({"response":{},"status":"ok"})"),
            R"({"event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"26","topic":"phoenix"})");
  EXPECT_EQ(EncodeText(Vsn::kV1, "\"1\"", "\"1\"", "realtime:room", "phx_reply",
                       R"({"response":{"postgres_changes":[]},"status":"ok"})"),
            R"({"event":"phx_reply","payload":{"response":{"postgres_changes":[]},"status":"ok"},"ref":"1","topic":"realtime:room"})");
  EXPECT_EQ(EncodeText(Vsn::kV2, "null", "null", "realtime:a\"b\n", "e", "{}"),
            "[null,null,\"realtime:a\\\"b\\n\",\"e\",{}]");
}

TEST(test_phoenix_message_format, BinaryUserBroadcastPush) {
  std::string bytes = UserBroadcastPush();
  Result<ClientMessage> message = ParseBinary(Vsn::kV2, bytes);
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message.value.join_ref, "\"10\"");
  EXPECT_EQ(message.value.ref, "\"1\"");
  EXPECT_EQ(message.value.topic, "realtime:chat-room");
  EXPECT_EQ(message.value.event, "broadcast");
  EXPECT_TRUE(message.value.is_user_broadcast);
  EXPECT_TRUE(message.value.user_payload_is_json);
  EXPECT_EQ(message.value.user_event, "user-event");
  EXPECT_EQ(message.value.metadata, "");
  EXPECT_EQ(message.value.user_payload, "{\"a\":1}");
  EXPECT_EQ(message.value.payload, "{}");
}

TEST(test_phoenix_message_format, BinaryEncodingZeroIsBinaryAndAnythingElseJson) {
  std::string bytes = UserBroadcastPush();
  bytes[6] = 0;
  EXPECT_FALSE(ParseBinary(Vsn::kV2, bytes).value.user_payload_is_json);
  bytes[6] = 9;
  EXPECT_TRUE(ParseBinary(Vsn::kV2, bytes).value.user_payload_is_json);
}

TEST(test_phoenix_message_format, BinaryMetadataMustBeJson) {
  auto with = [](std::string_view metadata) {
    std::string bytes = Hex("03 00 00 01 01") + std::string(1, static_cast<char>(metadata.size())) + Hex("00") + "te";
    return bytes.append(metadata).append("raw");
  };
  std::string good = with("{\"persist\":true}");
  Result<ClientMessage> message = ParseBinary(Vsn::kV2, good);
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message.value.metadata, "{\"persist\":true}");
  EXPECT_EQ(message.value.user_payload, "raw");
  EXPECT_EQ(message.value.ref, "\"\"");
  EXPECT_EQ(ParseBinary(Vsn::kV2, with("{oops")).status.code(), Code::kMalformed);
  EXPECT_EQ(ParseBinary(Vsn::kV2, with("3")).value.metadata, "");
}

TEST(test_phoenix_message_format, BinaryPushOfKindZeroCarriesNoJson) {
  std::string bytes = Hex("00 01 01 01 02") + "12tevDATA";
  Result<ClientMessage> message = ParseBinary(Vsn::kV2, bytes);
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message.value.join_ref, "\"1\"");
  EXPECT_EQ(message.value.ref, "\"2\"");
  EXPECT_EQ(message.value.event, "ev");
  EXPECT_FALSE(message.value.is_user_broadcast);
  EXPECT_EQ(message.value.payload, "{}");
  EXPECT_EQ(message.value.user_payload, "DATA");
}

TEST(test_phoenix_message_format, EveryTruncationOfABinaryHeaderIsMalformed) {
  std::string bytes = UserBroadcastPush();
  size_t payload = std::string_view("{\"a\":1}").size();
  for (size_t size = 0; size < bytes.size() - payload; size++) {
    EXPECT_EQ(ParseBinary(Vsn::kV2, std::string_view(bytes).substr(0, size)).status.code(), Code::kMalformed) << size;
  }
  EXPECT_TRUE(ParseBinary(Vsn::kV2, std::string_view(bytes).substr(0, bytes.size() - payload)).ok());
}

TEST(test_phoenix_message_format, BinaryRefusesOtherKindsVersion1AndInvalidUtf8) {
  std::string bytes = UserBroadcastPush();
  EXPECT_EQ(ParseBinary(Vsn::kV1, bytes).status.code(), Code::kMalformed);
  for (int kind : {1, 2, 4, 5, 255}) {
    bytes[0] = static_cast<char>(kind);
    EXPECT_EQ(ParseBinary(Vsn::kV2, bytes).status.code(), Code::kMalformed) << kind;
  }
  bytes[0] = 3;
  bytes[12] = '\xff';  // in the topic
  EXPECT_EQ(ParseBinary(Vsn::kV2, bytes).status.code(), Code::kMalformed);
}

TEST(FrameVsn, AcceptsWhatSemverCallsCompatible) {
  EXPECT_EQ(ParseVsn(nullptr).value, Vsn::kV1);
  for (const char* text : {"1.0.0", "1.0.7", "1.0.1-rc.1", "1.0.0+build.01"}) {
    std::string vsn = text;
    ASSERT_TRUE(ParseVsn(&vsn).ok()) << text;
    EXPECT_EQ(ParseVsn(&vsn).value, Vsn::kV1) << text;
  }
  for (const char* text : {"2.0.0", "2.0.12"}) {
    std::string vsn = text;
    ASSERT_TRUE(ParseVsn(&vsn).ok()) << text;
    EXPECT_EQ(ParseVsn(&vsn).value, Vsn::kV2) << text;
  }
  for (const char* text : {"", "1", "1.0", "2", "2.0", "2.1.0", "3.0.0", "1.0.0-rc", "01.0.0", "1.0.00", "1.0.0.0", "1.0.x",
                           " 1.0.0", "1.0.0 ", "1.0.1-", "1.0.1-01", "1.0.1+", "2.0.0-", "v2.0.0", "2.0.-1"}) {
    std::string vsn = text;
    EXPECT_EQ(ParseVsn(&vsn).status.code(), Code::kInvalid) << text;
  }
}

TEST(FrameWebSocket, HeaderFitsThePayloadsLength) {
  EXPECT_EQ(*MakeFrame(Opcode::kText, "hi"), Hex("81 02") + "hi");
  EXPECT_EQ(*MakeFrame(Opcode::kBinary, ""), Hex("82 00"));
  EXPECT_EQ(*MakeFrame(Opcode::kClose, Hex("03 E8")), Hex("88 02 03 E8"));
  EXPECT_EQ(*MakeFrame(Opcode::kPong, ""), Hex("8A 00"));
  EXPECT_EQ(MakeFrame(Opcode::kText, std::string(125, 'x'))->substr(0, 2), Hex("81 7D"));
  EXPECT_EQ(MakeFrame(Opcode::kText, std::string(126, 'x'))->substr(0, 4), Hex("81 7E 00 7E"));
  EXPECT_EQ(MakeFrame(Opcode::kText, std::string(65535, 'x'))->substr(0, 4), Hex("81 7E FF FF"));
  SharedBytes large = MakeFrame(Opcode::kText, std::string(65536, 'x'));
  EXPECT_EQ(large->substr(0, 10), Hex("81 7F 00 00 00 00 00 01 00 00"));
  EXPECT_EQ(large->size(), 65546u);
}

}  // namespace
}  // namespace realtime
