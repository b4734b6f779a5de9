// What the engine's presence tests share: members of rooms, what they hear, and what a client makes of it.
#ifndef REALTIME_TEST_UNIT_PRESENCE_FIXTURE_H_
#define REALTIME_TEST_UNIT_PRESENCE_FIXTURE_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"
#include "engine_fixture.h"
#include "presence_fold.h"

namespace realtime {

class EnginePresenceTest : public EngineTest {
 protected:
  static constexpr std::string_view kOk = R"({"status":"ok","response":{}})";
  static constexpr std::string_view kRoom = "realtime:room";

  EnginePresenceTest() {
    settings_.presence_calls.amount = 0;
    Restart();
  }

  // A message to a version 2 client.
  struct Heard {
    std::string join_ref, ref, topic, event, payload;
  };
  std::vector<Heard> Take(SessionId session) {
    std::vector<Heard> heard;
    for (const std::string& text : sink_.TakeTexts(session)) {
      Result<json::Value> parsed = json::ParseShallow(text);
      EXPECT_TRUE(parsed.ok() && parsed.value.elements.size() == 5) << text;
      if (!parsed.ok() || parsed.value.elements.size() != 5) continue;
      const auto& e = parsed.value.elements;
      heard.push_back({std::string(e[0].raw), std::string(e[1].raw), e[2].string, e[3].string, std::string(e[4].raw)});
    }
    return heard;
  }

  // The payloads of one event; what else was heard is dropped.
  Texts Hear(SessionId session, std::string_view event) {
    Texts payloads;
    for (Heard& heard : Take(session)) {
      if (heard.event == event) payloads.push_back(std::move(heard.payload));
    }
    return payloads;
  }
  Texts Diffs(SessionId session) { return Hear(session, "presence_diff"); }

  static std::string Message(std::string_view payload, std::string_view topic = kRoom) {
    return R"(["1","7",")" + std::string(topic) + R"(","presence",)" + std::string(payload) + "]";
  }
  static std::string TrackMessage(std::string_view payload, std::string_view topic = kRoom) {
    return Message(R"({"type":"presence","event":"track","payload":)" + std::string(payload) + "}", topic);
  }
  static std::string UntrackMessage(std::string_view topic = kRoom) {
    return Message(R"({"type":"presence","event":"untrack"})", topic);
  }
  static std::string PresenceJoin(std::string_view key, std::string_view more = "", std::string_view topic = kRoom,
                                  bool enabled = true) {
    return R"(["1","1",")" + std::string(topic) + R"(","phx_join",{"config":{"presence":{"enabled":)" +
           (enabled ? "true" : "false") + R"(,"key":")" + std::string(key) + "\"}" + std::string(more) + "}}]";
  }

  // Joins and drops what was heard.
  SessionId Member(std::string_view key, std::string_view topic = kRoom, bool enabled = true) {
    SessionId session = Connect();
    engine_->Receive(session, PresenceJoin(key, "", topic, enabled), false, now_);
    sink_.TakeTexts(session);
    return session;
  }
  SessionId PrivateMember(std::string_view key, Rights rights, bool enabled = true) {
    SessionId session = Connect();
    engine_->Receive(session, PresenceJoin(key, R"(,"private":true)", kRoom, enabled), false, now_);
    Grant(rights);
    sink_.TakeTexts(session);
    return session;
  }
  // Answers the only question about rights that is open.
  void Grant(Rights rights) {
    std::vector<CheckRights> asked = sink_.Take<CheckRights>();
    ASSERT_EQ(asked.size(), 1u);
    engine_->FromDatabase(RightsResult{asked[0].channel, asked[0].sequence, "", {rights}, "", {}}, now_);
  }

  // The reply's payload; diffs of the call stay to be heard by others only.
  std::string Call(SessionId session, std::string_view message) {
    engine_->Receive(session, message, false, now_);
    Texts replies = Hear(session, "phx_reply");
    EXPECT_EQ(replies.size(), 1u);
    return replies.empty() ? "" : replies[0];
  }
  std::string Track(SessionId session, std::string_view payload) { return Call(session, TrackMessage(payload)); }

  static std::string Refusal(std::string_view reason) {
    return R"({"status":"error","response":{"reason":")" + std::string(reason) + "\"}}";
  }

  // The only phx_ref under the key of the joins or leaves of a diff; empty when it is not there.
  static std::string RefIn(std::string_view diff, std::string_view side, std::string_view key) {
    Result<json::Value> parsed = json::Parse(diff);
    const json::Value* at = parsed.value.Find(side);
    at = at == nullptr ? nullptr : at->Find(key);
    at = at == nullptr ? nullptr : at->Find("metas");
    if (at == nullptr || at->elements.size() != 1) return "";
    return at->elements[0].Find("phx_ref")->string;
  }
};

}  // namespace realtime

#endif  // REALTIME_TEST_UNIT_PRESENCE_FIXTURE_H_
