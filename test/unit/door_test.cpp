#include "core/door.h"

#include <gtest/gtest.h>

#include <string>

namespace realtime {
namespace {

TEST(DoorSizeOf, CountsWhatAMessageHolds) {
  const std::string kilobyte(1024, 'x');
  Subscribe subscribe;
  size_t empty = SizeOf(ToDatabase(subscribe));
  EXPECT_GT(empty, 0u);
  auto identity = std::make_shared<Identity>();
  identity->claims = kilobyte;
  subscribe.identity = identity;
  Binding binding;
  FilterClause clause;
  clause.elements = {kilobyte, kilobyte};
  binding.filters.push_back(clause);
  subscribe.bindings.push_back(binding);
  EXPECT_GE(SizeOf(ToDatabase(subscribe)), empty + 3 * 1024);
  EXPECT_GE(SizeOf(ToDatabase(LogLine{LogLevel::kInfo, kilobyte, kilobyte})), 2048u);
  EXPECT_GE(SizeOf(ToNetwork(SystemNotice{true, kilobyte})), 1024u);
}

TEST(DoorSizeOf, ADeliveryCountsItsDataOnce) {
  Delivery delivery;
  size_t empty = SizeOf(ToNetwork(delivery));
  delivery.data = std::make_shared<const std::string>(5000, 'x');
  delivery.targets = {std::make_shared<const std::vector<Target>>(1000), nullptr};
  size_t full = SizeOf(ToNetwork(delivery));
  EXPECT_GE(full, empty + 5000);
  EXPECT_LT(full, empty + 6000);
}

TEST(DoorSizeOf, ADeliveryCountsWhatHoldsItsData) {
  const size_t place = sizeof(NetworkMailbox::Entry);
  const size_t owner = sizeof(std::string) + 2 * sizeof(void*);  // the text and the count of who shares it
  EXPECT_GE(SizeOf(ToNetwork(Delivery{})), place + owner);
}

TEST(DoorSizeOf, CountsTheMessageThatIsOnItsWayToTheDatabaseAndBack) {
  auto message = std::make_shared<Broadcast>();
  message->topic = std::string(100, 't');
  message->event = std::string(200, 'e');
  message->payload = std::make_shared<const std::string>(5000, 'x');
  auto identity = std::make_shared<Identity>();
  identity->claims = std::string(300, 'c');
  const size_t without = SizeOf(ToDatabase(Store{}));
  EXPECT_GE(SizeOf(ToDatabase(Store{1, identity, message, true, 0, "1"})), without + 5601);
  EXPECT_GE(SizeOf(ToNetwork(Stored{1, message, "1", std::string(50, 'r'), false})), 5351u);
  EXPECT_GE(SizeOf(ToNetwork(DatabaseBroadcast{message})), 5300u);
  EXPECT_GT(SizeOf(ToNetwork(DatabaseBroadcast{})), 0u);
}

TEST(DoorSizeOf, CountsTheTopicsAskedAboutAndTheReplayedMessages) {
  CheckRights request;
  const size_t empty = SizeOf(ToDatabase(request));
  request.topics.assign(10, std::string(100, 't'));
  EXPECT_GE(SizeOf(ToDatabase(request)), empty + 1000);
  auto message = std::make_shared<Broadcast>();
  message->payload = std::make_shared<const std::string>(1000, 'x');
  RightsResult result;
  result.error = std::string(70, 'e');
  result.replay_error = std::string(30, 'e');
  result.granted.resize(10);
  result.replayed.assign(25, message);
  EXPECT_GE(SizeOf(ToNetwork(result)), 25u * 1000 + 100 + 10 * sizeof(Rights));
}

TEST(DoorSizeOf, IsNeverZero) {
  EXPECT_GT(SizeOf(ToDatabase(Listening{true})), 0u);
  EXPECT_GT(SizeOf(ToNetwork(StreamState{true})), 0u);
}

TEST(ChangeKindNames, AreThoseOfTheWire) {
  EXPECT_EQ(ChangeKindName(ChangeKind::kInsert), "INSERT");
  EXPECT_EQ(ChangeKindName(ChangeKind::kUpdate), "UPDATE");
  EXPECT_EQ(ChangeKindName(ChangeKind::kDelete), "DELETE");
}

}  // namespace
}  // namespace realtime
