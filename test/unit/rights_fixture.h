// An engine with private channels, and a database that says what may be done there.
#ifndef REALTIME_TEST_UNIT_RIGHTS_FIXTURE_H_
#define REALTIME_TEST_UNIT_RIGHTS_FIXTURE_H_

#include "engine_fixture.h"

namespace realtime {

inline constexpr char kPrivate[] = R"(["1","1","realtime:room","phx_join",{"config":{"private":true}}])";
inline constexpr char kJoined[] =
    R"(["1","1","realtime:room","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}])";

class RightsTest : public EngineTest {
 protected:
  CheckRights TakeCheck() {
    std::vector<CheckRights> taken = sink_.Take<CheckRights>();
    EXPECT_EQ(taken.size(), 1u);
    return taken.empty() ? CheckRights() : taken[0];
  }
  void Grant(const CheckRights& check, Rights rights) {
    RightsResult result{check.channel, check.sequence, "", {rights}, "", {}};
    engine_->FromDatabase(result, now_);
  }
  void Fail(const CheckRights& check, std::string error) {
    engine_->FromDatabase(RightsResult{check.channel, check.sequence, std::move(error), {}, "", {}}, now_);
  }
  CheckRights JoinPrivate(SessionId session, Rights rights = Rights::All()) {
    engine_->Receive(session, kPrivate, false, now_);
    CheckRights check = TakeCheck();
    Grant(check, rights);
    EXPECT_EQ(sink_.TakeTexts(session), Texts{kJoined});
    return check;
  }
  static BroadcastPtr Message(std::string_view payload, std::string_view id = "", bool is_private = true) {
    auto message = std::make_shared<Broadcast>();
    message->topic = "room";
    message->is_private = is_private;
    message->form = id.empty() ? Broadcast::Form::kWhole : Broadcast::Form::kJson;
    message->event = "ev";
    message->payload = std::make_shared<const std::string>(payload);
    message->id = id;
    return message;
  }
  static std::string Whole(std::string_view payload) {
    return R"([null,null,"realtime:room","broadcast",)" + std::string(payload) + "]";
  }
  static std::string Reply(std::string_view reason) {
    return R"(["1","1","realtime:room","phx_reply",{"status":"error","response":{"reason":")" + std::string(reason) +
           "\"}}]";
  }
  static std::string System(std::string_view message, std::string_view status = "error") {
    return R"(["1",null,"realtime:room","system",{"message":")" + std::string(message) + R"(","status":")" +
           std::string(status) + R"(","extension":"system","channel":"room"}])";
  }
  static constexpr char kClosed[] = R"(["1","1","realtime:room","phx_close",{}])";
};

}  // namespace realtime

#endif  // REALTIME_TEST_UNIT_RIGHTS_FIXTURE_H_
