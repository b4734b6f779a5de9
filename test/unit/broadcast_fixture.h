// What the tests of broadcasts share: members of topics, pushes in both forms, and what they look like on arrival.
#ifndef REALTIME_TEST_UNIT_BROADCAST_FIXTURE_H_
#define REALTIME_TEST_UNIT_BROADCAST_FIXTURE_H_

#include <memory>
#include <string>

#include "engine_fixture.h"

namespace realtime {

inline constexpr const char* kHello = R"({"type":"broadcast","event":"hello","payload":{"n":1}})";
inline constexpr const char* kDenied =
    R"({"status":"error","response":{"reason":"Unauthorized: You do not have permissions to write to this Channel topic: room"}})";

class BroadcastTest : public EngineTest {
 protected:
  // Joins and drops the answer. `config` is the inside of config.broadcast.
  void Join(SessionId session, const std::string& topic, const std::string& config = "", bool is_private = false,
            Rights rights = Rights::All()) {
    engine_->Receive(session,
                     "[\"1\",\"1\",\"realtime:" + topic + R"(","phx_join",{"config":{"broadcast":{)" + config +
                         R"(},"private":)" + (is_private ? "true" : "false") + "}}]",
                     false, now_);
    for (const CheckRights& check : sink_.Take<CheckRights>()) {
      engine_->FromDatabase(RightsResult{check.channel, check.sequence, "", {rights}, "", {}}, now_);
    }
    ASSERT_EQ(sink_.TakeTexts(session).size(), 1u);
  }

  void JoinV1(SessionId session, const std::string& topic) {
    engine_->Receive(session,
                     R"({"topic":"realtime:)" + topic + R"(","event":"phx_join","payload":{"config":{}},"ref":"1"})", false,
                     now_);
    ASSERT_EQ(sink_.TakeTexts(session).size(), 1u);
  }

  void JoinPrivate(SessionId session, const std::string& topic, const std::string& config = "",
                   Rights rights = Rights::All()) {
    Join(session, topic, config, true, rights);
  }

  void SayText(SessionId session, const std::string& topic, const std::string& payload, const std::string& ref = "6") {
    engine_->Receive(session, "[\"1\",\"" + ref + "\",\"realtime:" + topic + "\",\"broadcast\"," + payload + "]", false,
                     now_);
  }

  static std::string Push(const std::string& topic, const std::string& event, const std::string& metadata, char encoding,
                          const std::string& payload, const std::string& ref = "6") {
    std::string full = "realtime:" + topic;
    std::string frame = "\x03\x01";
    for (size_t size : {ref.size(), full.size(), event.size(), metadata.size()}) frame.push_back(static_cast<char>(size));
    frame.push_back(encoding);
    return frame + "1" + ref + full + event + metadata + payload;
  }
  void PushJson(SessionId session, const std::string& topic, const std::string& payload, const std::string& metadata = "",
                const std::string& ref = "6") {
    engine_->Receive(session, Push(topic, "ev", metadata, 1, payload, ref), true, now_);
  }
  void PushBytes(SessionId session, const std::string& topic, const std::string& payload) {
    engine_->Receive(session, Push(topic, "ev", "", 0, payload), true, now_);
  }

  // What a member of version 2 gets of PushJson and PushBytes.
  static std::string Kind4(const std::string& topic, char encoding, const std::string& payload) {
    std::string full = "realtime:" + topic;
    std::string head = {'\x04', static_cast<char>(full.size()), '\x02', '\0', encoding};
    return head + full + "ev" + payload;
  }
  static std::string TextFrame(const std::string& topic, const std::string& payload) {
    return "[null,null,\"realtime:" + topic + "\",\"broadcast\"," + payload + "]";
  }
  static std::string Reply(const std::string& payload, const std::string& ref = "6") {
    return "[\"1\",\"" + ref + "\",\"realtime:room\",\"phx_reply\"," + payload + "]";
  }
  static std::string Ok(const std::string& ref = "6") { return Reply(R"({"status":"ok","response":{}})", ref); }

  Stored Done(const Store& store, const std::string& id, const std::string& error = "") {
    auto message = std::make_shared<Broadcast>(*store.message);
    message->id = id;
    return Stored{store.channel, std::move(message), store.ref, error, false};
  }
  static Stored Passed(const Store& store) { return Stored{store.channel, store.message, store.ref, "", false, store.needs_right}; }

  bool Silent(SessionId session) { return sink_.frames[session].empty(); }
};

}  // namespace realtime

#endif  // REALTIME_TEST_UNIT_BROADCAST_FIXTURE_H_
