// Rows inserted into realtime.messages on their way from the stream to the network thread, whoever inserted them.
// Database thread only; nothing here raises unless it says so.
#ifndef REALTIME_PG_MESSAGE_FEED_H_
#define REALTIME_PG_MESSAGE_FEED_H_

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <unordered_set>
#include <utility>

#include "core/door.h"
#include "core/message_row.h"

namespace realtime {

class MessageFeed {
 public:
  explicit MessageFeed(std::function<void(ToNetwork)> output) : output_(std::move(output)) {}

  // The message `id` of this transaction, which has committed, has been delivered already. (A trigger may have sent others
  // in it.) In the order of the commits.
  void Skip(uint32_t xid, std::string id);
  // None of them will come from the stream any more.
  void ForgetSkipped();

  // A transaction of the stream begins; it has been handed over whole.
  void OnBegin(uint32_t xid);
  void OnCommit();
  // Emits what the row stands for, or says in the log why it cannot.
  void Deliver(const RelationInfo& relation, const Row& row);

  // The stream carries the table for the messages' sake. Whether the user's publication has it too, for this kind of change,
  // so that it concerns those who listen to changes. Inside a transaction; may raise.
  bool IsPublished(uint32_t relation, ChangeKind kind);

 private:
  void LookUp(uint32_t relation);

  std::function<void(ToNetwork)> output_;
  std::deque<std::pair<uint32_t, std::string>> skipped_;  // by commit
  std::unordered_set<uint32_t> skipped_xids_;
  uint32_t xid_ = 0;
  std::string skipped_id_;  // of the transaction that is being read; empty: none

  // What the user's publication has of the table.
  uint64_t generation_ = 0;
  uint32_t relation_ = 0;
  std::array<bool, 3> published_{};  // by ChangeKind
};

}  // namespace realtime

#endif  // REALTIME_PG_MESSAGE_FEED_H_
