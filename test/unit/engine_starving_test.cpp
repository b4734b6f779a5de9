// Memory runs out in the midst of a call of the engine, at each allocation in turn. What follows is what the network thread
// does then: everybody is sent away. Nothing may be left of them, nor be counted for them.
#include <cstdlib>
#include <new>
#include <string>

#include "engine_fixture.h"

namespace {

long until_failure = 0;  // zero: never

}  // namespace

// Not inlined: the compiler would take malloc and free for something else's.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  if (until_failure > 0 && --until_failure == 0) return nullptr;
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (void* memory = operator new(size, std::nothrow)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

namespace realtime {
namespace {

class EngineStarvingTest : public EngineTest {
 protected:
  EngineStarvingTest() {
    settings_.max_queue_memory = 80000;
    settings_.presence_calls.amount = 0;
    Restart();
  }

  static std::string Track(char fill, size_t size) {
    return R"(["1","2","realtime:room","presence",{"type":"presence","event":"track","payload":{"x":")" +
           std::string(size, fill) + R"("}}])";
  }

  // Two clients say each of these, one after the other. False: memory has run out.
  bool Run(const std::vector<std::string>& messages) {
    const std::string vsn = "2.0.0";
    ConnectRequest request;
    request.api_key = &token_;
    request.vsn = &vsn;
    try {
      SessionId ann = engine_->Connect(request, now_).session;
      SessionId bob = engine_->Connect(request, now_).session;
      for (const std::string& message : messages) {
        engine_->Receive(ann, message, false, now_);
        engine_->Receive(bob, message, false, now_);
      }
      engine_->Disconnected(ann);
    } catch (const std::bad_alloc&) {
      return false;
    }
    return true;
  }

  SessionId Member(size_t tracked) {
    SessionId session = Connect();
    engine_->Receive(session, JoinText("1", "realtime:room"), false, now_);
    sink_.TakeTexts(session);
    engine_->Receive(session, Track('z', tracked), false, now_);
    return session;
  }
};

TEST_F(EngineStarvingTest, NothingIsLeftOfWhomWasServedWhenMemoryRanOut) {
  const std::vector<std::string> messages = {
      JoinText("1", "realtime:room"), Track('x', 3000), Track('y', 2000),
      R"(["1","3","realtime:room","broadcast",{"type":"broadcast","event":"e","payload":{}}])",
      R"(["1","4","realtime:room","presence",{"type":"presence","event":"untrack"}])", Track('x', 1000),
      JoinText("5", "realtime:other", kTodos), R"(["5","6","realtime:other","phx_leave",{}])"};
  long failed_at = 0;
  bool done = false;
  while (!done && failed_at < 100000) {
    until_failure = ++failed_at;
    done = Run(messages) && until_failure > 0;  // some make do without what they did not get
    until_failure = 0;
    engine_->DrainAll();
    ASSERT_EQ(engine_->session_count(), 0u) << failed_at;
    ASSERT_EQ(engine_->channel_count(), 0u) << failed_at;
    std::vector<std::string> topics;
    engine_->ListTopics(&topics);
    ASSERT_EQ(topics, Texts()) << failed_at;
    sink_ = RecordingSink();
    // What may be tracked by all is a quarter of 80000 bytes, and nobody tracks any.
    SessionId session = Member(19900);
    Texts answer = sink_.TakeTexts(session);
    ASSERT_FALSE(answer.empty()) << failed_at;
    EXPECT_NE(answer.back().find(R"("status":"ok")"), std::string::npos) << failed_at << answer.front().substr(0, 200);
    session = Member(200);
    answer = sink_.TakeTexts(session);
    ASSERT_FALSE(answer.empty()) << failed_at;
    EXPECT_NE(answer.back().find("Too much is tracked by all clients"), std::string::npos) << failed_at;
    engine_->DrainAll();
    sink_ = RecordingSink();
  }
  EXPECT_TRUE(done);
  EXPECT_GT(failed_at, 500);  // or it has not been in the midst of anything
}

}  // namespace
}  // namespace realtime
