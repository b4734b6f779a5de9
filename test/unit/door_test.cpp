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

TEST(ChangeKindNames, AreThoseOfTheWire) {
  EXPECT_EQ(ChangeKindName(ChangeKind::kInsert), "INSERT");
  EXPECT_EQ(ChangeKindName(ChangeKind::kUpdate), "UPDATE");
  EXPECT_EQ(ChangeKindName(ChangeKind::kDelete), "DELETE");
}

}  // namespace
}  // namespace realtime
