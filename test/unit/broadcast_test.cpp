#include "core/broadcast.h"

#include <gtest/gtest.h>

#include <string>

#include "core/bytes.h"
#include "core/json.h"
#include "recording_sink.h"

namespace realtime {
namespace {

using namespace std::string_literals;  // NOLINT: bytes with NUL in them
using Form = Broadcast::Form;

constexpr const char* kId = "3f2b8c1e-0000-4000-8000-00000000abcd";

Broadcast Message(Form form, std::string payload, std::string event = "ev", std::string topic = "room") {
  Broadcast message;
  message.topic = std::move(topic);
  message.form = form;
  message.event = std::move(event);
  message.payload = std::make_shared<const std::string>(std::move(payload));
  return message;
}

Broadcast Stored(Form form, std::string payload, bool replayed = false) {
  Broadcast message = Message(form, std::move(payload));
  message.is_private = true;
  message.id = kId;
  message.replayed = replayed;
  return message;
}

std::string Text(Vsn vsn, const Broadcast& message) {
  SharedBytes frame = EncodeBroadcast(vsn, message);
  return frame == nullptr ? "none" : RecordingSink::TextOf(*frame);
}

std::string Binary(const Broadcast& message) {
  SharedBytes frame = EncodeBroadcast(Vsn::kV2, message);
  return frame == nullptr ? "none" : RecordingSink::BinaryOf(*frame);
}

// ---- one row of the conversion matrix each ----

TEST(BroadcastMatrix, JsonPushIsKind4InVersion2AndAnObjectInVersion1) {
  Broadcast message = Message(Form::kJson, "{ \"a\" : 1.0e0 }");
  EXPECT_EQ(Binary(message), "\x04\x0d\x02\x00\x01realtime:roomev{ \"a\" : 1.0e0 }"s);
  EXPECT_EQ(Text(Vsn::kV1, message),
            R"({"event":"broadcast","payload":{"event":"ev","payload":{ "a" : 1.0e0 },"type":"broadcast"},)"
            R"("ref":null,"topic":"realtime:room"})");
}

TEST(BroadcastMatrix, BinaryPushIsKind4InVersion2AndNothingInVersion1) {
  Broadcast message = Message(Form::kBinary, "\x00\xff\x81 bytes"s);
  EXPECT_EQ(Binary(message), "\x04\x0d\x02\x00\x00realtime:roomev\x00\xff\x81 bytes"s);
  EXPECT_EQ(EncodeBroadcast(Vsn::kV1, message), nullptr);
}

TEST(BroadcastMatrix, TextPushIsRelayedWhole) {
  Broadcast message = Message(Form::kWhole, R"({"type":"broadcast", "event":"x","extra":[1 ,2]})", "");
  EXPECT_EQ(Text(Vsn::kV2, message),
            R"([null,null,"realtime:room","broadcast",{"type":"broadcast", "event":"x","extra":[1 ,2]}])");
  EXPECT_EQ(Text(Vsn::kV1, message),
            R"({"event":"broadcast","payload":{"type":"broadcast", "event":"x","extra":[1 ,2]},)"
            R"("ref":null,"topic":"realtime:room"})");
}

TEST(BroadcastMatrix, BatchOfRestIsText) {
  Broadcast plain = Message(Form::kWhole, WholePayload("e\"v", "{\"x\": 1}", ""), "");
  EXPECT_EQ(Text(Vsn::kV2, plain),
            R"([null,null,"realtime:room","broadcast",{"event":"e\"v","payload":{"x": 1},"type":"broadcast"}])");
  Broadcast stored = Message(Form::kWhole, WholePayload("ev", "[]", kId), "");
  EXPECT_EQ(Text(Vsn::kV1, stored),
            R"({"event":"broadcast","payload":{"event":"ev","payload":[],"type":"broadcast",)"
            R"("meta":{"id":"3f2b8c1e-0000-4000-8000-00000000abcd"}},"ref":null,"topic":"realtime:room"})");
}

TEST(BroadcastMatrix, DatabaseRowHasItsIdAsMetadata) {
  Broadcast message = Stored(Form::kJson, R"({"x": 1})");
  EXPECT_EQ(Binary(message), "\x04\x0d\x02\x2d\x01realtime:roomev{\"id\":\""s + kId + "\"}{\"x\": 1}");
  EXPECT_EQ(Text(Vsn::kV1, message),
            R"({"event":"broadcast","payload":{"event":"ev","payload":{"x": 1},"type":"broadcast",)"
            R"("meta":{"id":"3f2b8c1e-0000-4000-8000-00000000abcd"}},"ref":null,"topic":"realtime:room"})");
}

TEST(BroadcastMatrix, BinaryDatabaseRowIsNothingInVersion1) {
  Broadcast message = Stored(Form::kBinary, "\x00\x01"s);
  EXPECT_EQ(Binary(message), "\x04\x0d\x02\x2d\x00realtime:roomev{\"id\":\""s + kId + "\"}\x00\x01"s);
  EXPECT_EQ(EncodeBroadcast(Vsn::kV1, message), nullptr);
}

TEST(BroadcastMatrix, ReplayedRowIsTextWithTheJoinRef) {
  Broadcast message = Stored(Form::kJson, R"({"x": 1})", true);
  const std::string payload = R"({"event":"ev","payload":{"x": 1},"type":"broadcast",)"
                              R"("meta":{"id":"3f2b8c1e-0000-4000-8000-00000000abcd","replayed":true}})";
  EXPECT_EQ(RecordingSink::TextOf(*EncodeReplayed(Vsn::kV2, "\"7\"", message)),
            "[\"7\",null,\"realtime:room\",\"broadcast\"," + payload + "]");
  EXPECT_EQ(RecordingSink::TextOf(*EncodeReplayed(Vsn::kV1, "\"7\"", message)),
            "{\"event\":\"broadcast\",\"payload\":" + payload + ",\"ref\":null,\"topic\":\"realtime:room\"}");
}

TEST(BroadcastMatrix, BinaryReplayedRowIsKind4OrSkipped) {
  Broadcast message = Stored(Form::kBinary, "\x02"s, true);
  std::string metadata = "{\"id\":\""s + kId + "\",\"replayed\":true}";
  SharedBytes frame = EncodeReplayed(Vsn::kV2, "\"7\"", message);
  ASSERT_NE(frame, nullptr);
  EXPECT_EQ(RecordingSink::BinaryOf(*frame),
            "\x04\x0d\x02"s + static_cast<char>(metadata.size()) + "\x00realtime:roomev"s + metadata + "\x02"s);
  EXPECT_EQ(EncodeReplayed(Vsn::kV1, "\"7\"", message), nullptr);
}

// ---- names ----

TEST(BroadcastNames, LengthsCountBytes) {
  Broadcast message = Message(Form::kJson, "1", "é", "zimmer-ü");
  EXPECT_EQ(Binary(message), "\x04\x12\x02\x00\x01realtime:zimmer-\xc3\xbc\xc3\xa9" "1"s);
}

TEST(BroadcastNames, TwoHundredFiftyFiveBytesFit) {
  std::string event(255, 'e');
  std::string topic(255 - 9, 't');
  std::string expected = "\x04\xff\xff\x00\x01realtime:"s + topic + event + "{}";
  EXPECT_EQ(Binary(Message(Form::kJson, "{}", event, topic)), expected);
}

TEST(BroadcastNames, LongerOnesTurnJsonIntoTextAndLeaveNoWayForBytes) {
  std::string event(256, 'e');
  EXPECT_EQ(Text(Vsn::kV2, Message(Form::kJson, "{}", event)),
            R"([null,null,"realtime:room","broadcast",{"event":")" + event + R"(","payload":{},"type":"broadcast"}])");
  EXPECT_EQ(EncodeBroadcast(Vsn::kV2, Message(Form::kBinary, "{}", event)), nullptr);
  std::string topic(247, 't');
  EXPECT_EQ(Text(Vsn::kV2, Message(Form::kJson, "{}", "ev", topic)),
            "[null,null,\"realtime:" + topic + R"(","broadcast",{"event":"ev","payload":{},"type":"broadcast"}])");
  EXPECT_EQ(EncodeBroadcast(Vsn::kV2, Message(Form::kBinary, "{}", "ev", topic)), nullptr);
  Broadcast replayed = Message(Form::kBinary, "{}", event);
  EXPECT_EQ(EncodeReplayed(Vsn::kV2, "\"7\"", replayed), nullptr);
}

TEST(BroadcastNames, AreQuotedInText) {
  Broadcast message = Message(Form::kJson, "null", "a\"\\\n", "x\"y");
  Result<json::Value> parsed = json::Parse(Text(Vsn::kV1, message));
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.value.Find("topic")->string, "realtime:x\"y");
  EXPECT_EQ(parsed.value.Find("payload")->Find("event")->string, "a\"\\\n");
}

// ---- the rest ----

TEST(BroadcastMetadata, SaysOnlyWhatThereIs) {
  EXPECT_EQ(BroadcastMetadata(Message(Form::kJson, "1")), "");
  EXPECT_EQ(BroadcastMetadata(Stored(Form::kJson, "1")), "{\"id\":\""s + kId + "\"}");
  Broadcast replayed = Message(Form::kJson, "1");
  replayed.replayed = true;
  EXPECT_EQ(BroadcastMetadata(replayed), R"({"replayed":true})");
}

TEST(BroadcastFrames, LargePayloadsHaveTheLongHeaders) {
  for (size_t size : {100u, 125u, 126u, 65535u, 65536u, 3000000u}) {
    std::string bytes = Binary(Message(Form::kBinary, std::string(size, 'x')));
    EXPECT_EQ(bytes.size(), 5 + 13 + 2 + size);
    EXPECT_EQ(bytes.substr(20), std::string(size, 'x'));
  }
}

TEST(BroadcastFrames, AreMadeOncePerVersion) {
  Broadcast json = Message(Form::kJson, "1");
  BroadcastFrames frames(&json);
  SharedBytes first = frames.For(Vsn::kV2);
  EXPECT_EQ(*first, *EncodeBroadcast(Vsn::kV2, json));
  EXPECT_EQ(frames.For(Vsn::kV2).get(), first.get());
  EXPECT_EQ(*frames.For(Vsn::kV1), *EncodeBroadcast(Vsn::kV1, json));
  Broadcast bytes = Message(Form::kBinary, "1");
  BroadcastFrames binary(&bytes);
  EXPECT_EQ(binary.For(Vsn::kV1), nullptr);
  EXPECT_EQ(binary.For(Vsn::kV1), nullptr);
  EXPECT_NE(binary.For(Vsn::kV2), nullptr);
}

}  // namespace
}  // namespace realtime
