// RFC 6455 on the wire, after the list of cases of the Autobahn test suite. The server echoes nothing, so what arrived
// is seen in the references of heartbeats, which come back in their replies, and in pongs.
//
// Where libwebsockets 4.1.6 goes its own way and has no hook for it, the cases say what it does:
// * a frame without a mask is taken ("MUST close the connection", 5.1);
// * a length that is not written in the shortest form is taken (5.2);
// * a control frame that is too long, and a close frame whose reason is no UTF-8, end the connection without a close
// frame (7.1.7
//   allows that);
// * a ping is not answered while the pong of an earlier one waits to be written; and a close frame for an offence does
// not wait for
//   the replies to earlier messages, so whether these still come is left open.
#include "net_fixture.h"

#include <string>
#include <vector>

namespace realtime::test {
namespace {

constexpr int kFin = 0x80, kRsv1 = 0x40, kRsv2 = 0x20, kRsv3 = 0x10;
constexpr int kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10;
constexpr size_t kMaxMessage = 70000;
enum class Length { kShortest, k16, k64 };

std::string Masked(std::string_view payload) {
  std::string out("\x12\x34\x56\x78");
  const std::string mask = out;
  for (size_t i = 0; i < payload.size(); ++i) out.push_back(static_cast<char>(payload[i] ^ mask[i % 4]));
  return out;
}

// The head of a frame whose payload may never come.
std::string Head(int first_byte, uint64_t length, Length form = Length::kShortest, bool masked = true) {
  if (form == Length::kShortest && length > 125) form = length > 0xFFFF ? Length::k64 : Length::k16;
  int bytes = form == Length::k64 ? 8 : form == Length::k16 ? 2 : 0;
  int short_length = form == Length::k64 ? 127 : form == Length::k16 ? 126 : static_cast<int>(length);
  std::string out{static_cast<char>(first_byte), static_cast<char>((masked ? 0x80 : 0) | short_length)};
  for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(length >> (8 * i)));
  return out;
}

std::string Make(int opcode, std::string_view payload, int flags = kFin, Length form = Length::kShortest) {
  return Head(flags | opcode, payload.size(), form) + Masked(payload);
}

std::string Unmasked(int opcode, std::string_view payload) {
  return Head(kFin | opcode, payload.size(), Length::kShortest, false) + std::string(payload);
}

std::string Beat(std::string_view ref, size_t size = 0) {
  std::string head = "[null,\"" + std::string(ref) + "\",\"phoenix\",\"heartbeat\",{\"x\":\"", tail = "\"}]";
  size_t fill = size > head.size() + tail.size() ? size - head.size() - tail.size() : 0;
  return head + std::string(fill, 'x') + tail;
}

std::string BeatFrame(std::string_view ref, size_t size = 0) { return Make(kText, Beat(ref, size)); }

// A text message in fragments that are cut at these offsets.
std::string Fragments(std::string_view message, const std::vector<size_t>& cuts, const std::string& between = "") {
  std::string out;
  size_t from = 0;
  for (size_t cut : cuts) {
    out += Make(from == 0 ? kText : kContinuation, message.substr(from, cut - from), 0) + between;
    from = cut;
  }
  return out + Make(kContinuation, message.substr(from));
}

std::string CloseWith(int code, const std::string& reason = "") {
  return Make(kClose, std::string{static_cast<char>(code >> 8), static_cast<char>(code & 0xFF)} + reason);
}

struct Case {
  std::string name;
  std::string bytes;
  std::string expected;  // what comes: "reply:REF", "pong:PAYLOAD", "close:CODE" (last), "end" without a close frame
};

std::string Describe(const Frame& frame) {
  if (frame.opcode == kPong) return "pong:" + frame.payload;
  if (frame.opcode == kClose) return "close:" + (frame.payload.empty() ? "" : std::to_string(frame.close_code()));
  if (frame.opcode == -2) return "end";
  if (frame.opcode != kText) return "opcode:" + std::to_string(frame.opcode);
  size_t from = frame.payload.find(",\"") + 2, to = frame.payload.find("\",\"phoenix\",\"phx_reply\"");
  return to == std::string::npos ? frame.payload : "reply:" + frame.payload.substr(from, to - from);
}

class FramingTest : public NetTest {
 protected:
  void SetUp() override {
    Settings settings = TestSettings(port_);
    settings.max_message_size = kMaxMessage;
    StartServer(settings);
  }

  std::string Play(const Case& play, size_t chop) {
    Client client;
    if (!client.Connect(port_) || StatusOf(client.Upgrade("apikey=" + ValidToken() + "&vsn=2.0.0")) != 101)
      return "refused";
    bool ends = play.expected.ends_with("end") || play.expected.find("close:") != std::string::npos;
    std::string bytes = ends ? play.bytes : play.bytes + BeatFrame("that was all");
    for (size_t at = 0; at < bytes.size() && client.SendRaw(bytes.substr(at, chop)); at += chop) {
    }
    std::string seen;
    for (;;) {
      std::string one = Describe(client.ReadFrame());
      if (one == "reply:that was all") return seen;
      bool last = one == "end" || one == "opcode:-1" || one.starts_with("close:");
      if (last && ends) return one;
      seen += (seen.empty() ? "" : " ") + one;
      if (last) return seen;
    }
  }

  // At once, and in small pieces: a frame may be cut anywhere.
  void PlayAll(const std::vector<Case>& cases) {
    for (const Case& play : cases) {
      EXPECT_EQ(Play(play, std::string::npos / 2), play.expected) << play.name;
      size_t piece = play.bytes.size() > 2000 ? 997 : 1;
      EXPECT_EQ(Play(play, piece), play.expected) << play.name << ", in pieces";
    }
    EXPECT_TRUE(Serves());
  }
};

TEST_F(FramingTest, PayloadsOfEveryLengthForm) {
  std::vector<Case> cases;
  for (size_t size : {125, 126, 127, 128, 65535, 65536, 65537}) {
    cases.push_back({"text of " + std::to_string(size), BeatFrame("1", size), "reply:1"});
  }
  cases.push_back({"the largest message", BeatFrame("1", kMaxMessage), "reply:1"});
  cases.push_back({"one byte more", BeatFrame("1", kMaxMessage + 1), "close:1009"});
  cases.push_back({"one byte more, in fragments", Fragments(Beat("1", kMaxMessage + 1), {40000}), "close:1009"});
  cases.push_back({"an empty text is no message of ours, and no offence to the framing",
                   Make(kText, "") + BeatFrame("2"), "reply:2"});
  cases.push_back({"an empty binary", Make(kBinary, "") + BeatFrame("2"), "reply:2"});
  cases.push_back({"16 bits for a short length", Make(kText, Beat("1"), kFin, Length::k16), "reply:1"});
  cases.push_back({"64 bits for a short length", Make(kText, Beat("1"), kFin, Length::k64), "reply:1"});
  cases.push_back({"64 bits, the highest set", Head(kFin | kText, uint64_t{1} << 63 | 5), "end"});
  PlayAll(cases);
}

TEST_F(FramingTest, PingsAndPongs) {
  const std::string longest(125, '\xFE');
  PlayAll({
      {"empty ping", Make(kPing, ""), "pong:"},
      {"ping with text", Make(kPing, "hello"), "pong:hello"},
      {"ping with what is no text", Make(kPing, std::string("\x00\xFF\xFE", 3)),
       "pong:" + std::string("\x00\xFF\xFE", 3)},
      {"longest ping", Make(kPing, longest), "pong:" + longest},
      {"ping that is too long", Make(kPing, longest + "x"), "end"},
      {"pong nobody asked for", Make(kPong, ""), ""},
      {"pong with a payload, then a ping", Make(kPong, "unasked") + Make(kPing, "1"), "pong:1"},
      {"pong that is too long", Make(kPong, longest + "x"), "end"},
  });
}

TEST_F(FramingTest, ReservedBitsAndOpcodesAreRefused) {
  std::vector<Case> cases;
  for (int rsv : {kRsv1, kRsv2, kRsv3, kRsv1 | kRsv2, kRsv2 | kRsv3, kRsv1 | kRsv2 | kRsv3}) {
    std::string name = "reserved bits " + std::to_string(rsv >> 4);
    cases.push_back({name + " of a text", BeatFrame("1") + Make(kText, Beat("2"), kFin | rsv), "close:1002"});
    cases.push_back({name + " of a ping", Make(kPing, "x", kFin | rsv), "close:1002"});
    cases.push_back({name + " of a close", Make(kClose, "", kFin | rsv), "close:1002"});
    cases.push_back(
        {name + " of a continuation", Make(kText, "[", 0) + Make(kContinuation, "]", kFin | rsv), "close:1002"});
  }
  for (int opcode : {3, 4, 5, 6, 7, 11, 12, 13, 14, 15}) {
    std::string name = "opcode " + std::to_string(opcode);
    cases.push_back({name, Make(opcode, ""), "close:1002"});
    cases.push_back({name + " with a payload behind a text", BeatFrame("1") + Make(opcode, "hello"), "close:1002"});
    cases.push_back({name + " between fragments", Make(kText, "[", 0) + Make(opcode, ""), "close:1002"});
  }
  PlayAll(cases);
}

TEST_F(FramingTest, FragmentsWithControlFramesBetween) {
  const std::string beat = Beat("1");
  std::vector<size_t> everywhere;
  for (size_t i = 1; i < beat.size(); ++i) everywhere.push_back(i);
  PlayAll({
      {"two fragments", Fragments(beat, {5}), "reply:1"},
      {"one fragment for each byte", Fragments(beat, everywhere), "reply:1"},
      {"empty fragments",
       Make(kText, "", 0) + Make(kContinuation, "", 0) + Make(kContinuation, beat, 0) + Make(kContinuation, ""),
       "reply:1"},
      {"ping between", Fragments(beat, {5}, Make(kPing, "p")), "pong:p reply:1"},
      {"pong between", Fragments(beat, {5, 9}, Make(kPong, "p")), "reply:1"},
      {"message behind the last fragment", Fragments(beat, {5}) + BeatFrame("2"), "reply:1 reply:2"},
      {"close between", Make(kText, "[", 0) + CloseWith(1000), "close:1000"},
      {"fragmented ping", Make(kPing, "a", 0) + Make(kContinuation, "b"), "close:1002"},
      {"fragmented pong", Make(kPong, "a", 0), "close:1002"},
      {"fragmented close", Make(kClose, "", 0), "close:1002"},
      {"continuation of nothing", Make(kContinuation, "x"), "close:1002"},
      {"continuation of nothing, not the last", Make(kContinuation, "x", 0), "close:1002"},
      {"continuation behind a whole message", BeatFrame("1") + Make(kContinuation, "x"), "close:1002"},
      {"continuation behind the last fragment", Fragments(beat, {5}) + Make(kContinuation, "x"), "close:1002"},
      {"new text inside a message", Make(kText, "[", 0) + BeatFrame("1"), "close:1002"},
      {"new binary inside a message", Make(kText, "[", 0) + Make(kBinary, "x"), "close:1002"},
  });
}

TEST_F(FramingTest, TextMustBeUtf8) {
  std::vector<Case> cases;
  for (std::string text :
       {"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xEF\xBF\xBF",
        "\xED\x9F\xBF", "\xEE\x80\x80", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF", "\xEF\xBF\xBD"}) {
    const std::string beat = Beat(text);
    const size_t at = beat.find(text);
    cases.push_back({"valid " + text, Make(kText, beat), "reply:" + text});
    for (size_t i = 1; i < text.size(); ++i) {
      cases.push_back(
          {"valid, cut inside " + text, Fragments(beat, {at + i}, Make(kPing, "p")), "pong:p reply:" + text});
    }
  }
  for (std::string text : {"\x80",
                           "\xBF",
                           "\xC0\xAF",
                           "\xC1\xBF",
                           "\xE0\x80\xAF",
                           "\xE0\x9F\xBF",
                           "\xF0\x80\x80\xAF",
                           "\xF0\x8F\xBF\xBF",
                           "\xED\xA0\x80",
                           "\xED\xBF\xBF",
                           "\xED\xA0\x80\xED\xB0\x80",
                           "\xF4\x90\x80\x80",
                           "\xF8\x88\x80\x80\x80",
                           "\xFC\x84\x80\x80\x80\x80",
                           "\xFE",
                           "\xFF",
                           "\xC3",
                           "\xE1\x80",
                           "\xF1\x80\x80",
                           "\xC3\x28",
                           "\xF0\x80\x80\x80"}) {
    const std::string beat = Beat(text);
    std::string hex;
    for (char c : text) hex += "0123456789abcdef"[(c >> 4) & 15], hex += "0123456789abcdef"[c & 15];
    const size_t at = beat.find(text);
    cases.push_back({"invalid " + hex, Make(kText, beat), "close:1007"});
    cases.push_back({"invalid and cut " + hex, Fragments(beat, {at + 1}), "close:1007"});
    cases.push_back({"invalid, at once, in a message that does not end " + hex, Make(kText, beat, 0), "close:1007"});
    cases.push_back({"invalid in a binary: no text, and no offence to the framing " + hex,
                     Make(kBinary, text) + BeatFrame("2"), "reply:2"});
  }
  cases.push_back({"a message ends inside a character", Make(kText, "[\"\xE2\x82"), "close:1007"});
  cases.push_back({"the last fragment ends inside a character", Fragments("[\"\xE2\x82", {2}), "close:1007"});
  cases.push_back(
      {"what was left of a binary message does not count", Make(kBinary, "\xE2\x82") + BeatFrame("2"), "reply:2"});
  PlayAll(cases);
}

TEST_F(FramingTest, CloseFrames) {
  std::vector<Case> cases = {
      {"without a code", Make(kClose, ""), "close:"},
      {"with half a code", Make(kClose, "\x03"), "close:1002"},
      {"with the longest reason", CloseWith(1000, std::string(123, 'x')), "close:1000"},
      {"too long", CloseWith(1000, std::string(124, 'x')), "end"},
      {"with a reason that is no text", CloseWith(1000, "\xCE\xBA\xED\xA0\x80"), "end"},
      {"twice", CloseWith(1000) + CloseWith(1001), "close:1000"},
      {"and then a ping", CloseWith(1000) + Make(kPing, "x"), "close:1000"},
      {"and then a message", CloseWith(1000) + BeatFrame("1"), "close:1000"},
      {"behind a message", BeatFrame("1") + CloseWith(1001), "close:1001"},
  };
  for (int code : {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999}) {
    cases.push_back({"code " + std::to_string(code), CloseWith(code, "bye"), "close:" + std::to_string(code)});
  }
  for (int code : {0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535}) {
    cases.push_back({"code " + std::to_string(code), CloseWith(code, "bye"), "close:1002"});
  }
  PlayAll(cases);
}

TEST_F(FramingTest, AConnectionEndsAfterTheClose) {
  for (const std::string& bytes :
       {CloseWith(1000), Make(3, ""), Make(kText, "\xFF"), Make(kPing, std::string(126, 'x'))}) {
    Client client;
    ASSERT_TRUE(client.Connect(port_));
    ASSERT_EQ(StatusOf(client.Upgrade("apikey=" + ValidToken() + "&vsn=2.0.0")), 101);
    client.SendRaw(bytes);
    EXPECT_TRUE(client.WaitForEnd(20000));
  }
}

TEST_F(FramingTest, UnmaskedFramesAreTaken) {
  PlayAll({
      {"text", Unmasked(kText, Beat("1")), "reply:1"},
      {"ping", Unmasked(kPing, "x"), "pong:x"},
      {"masked behind unmasked", Unmasked(kText, Beat("1")) + BeatFrame("2"), "reply:1 reply:2"},
  });
}

}  // namespace
}  // namespace realtime::test
