// Memory runs out while the network thread takes over what the database thread has handed it.
#include <atomic>
#include <cstdlib>
#include <new>

#include "core/broadcast.h"
#include "net_fixture.h"

namespace {

// What a deque asks for when it needs room for some more entries of the mailbox.
constexpr std::size_t kEntry = sizeof(realtime::NetworkMailbox::Entry);
constexpr std::size_t kRoom = 512 / kEntry * kEntry;

std::atomic<bool> starving{false};
std::atomic<unsigned> asked{0};
std::atomic<unsigned> failed{0};

bool Starves(std::size_t size) {
  if (!starving || size != kRoom || ++asked % 3 != 0) return false;
  ++failed;
  return true;
}

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
  void* memory = Starves(size) ? nullptr : std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace realtime::test {
namespace {

class StarvingTest : public NetTest {};

TEST_F(StarvingTest, NothingIsTakenTwiceOrCountedForeverWhenMemoryRunsOut) {
  StartServer();
  auto message = std::make_shared<Broadcast>();
  message->topic = "room";
  message->event = "e";
  message->payload = std::make_shared<const std::string>("{}");
  starving = true;
  for (int i = 0; i < 20000; ++i) database_->Push(DatabaseBroadcast{message});
  const int64_t began = NowMs();
  while (!database_->WaitForRoom(0, 20) && NowMs() - began < 20000) continue;
  starving = false;
  EXPECT_GT(failed, 20u);
  EXPECT_EQ(database_->mailbox_bytes(), 0u);
  Client client;
  ASSERT_TRUE(client.Join(port_, "a"));
  ASSERT_TRUE(database_->WaitForChannels(1));
  ASSERT_TRUE(database_->Deliver(Change(1, 10)));
  EXPECT_TRUE(client.ReadUntil("\"number\":1,"));
  EXPECT_EQ(message.use_count(), 1);
}

}  // namespace
}  // namespace realtime::test
