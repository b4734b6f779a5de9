// Who may do what on a private channel: the row-level security policies of realtime.messages, asked about a row of (topic,
// extension) that is never inserted. SELECT quals say who may receive, INSERT checks who may send, each for `extension`
// 'broadcast' and 'presence', compiled once per role (policy.h) and evaluated in the asker's role scope with realtime.topic
// and the request settings. The row is what a client's probe of the reference is: topic, extension, a random id, the
// present time, private = false, the rest null.
// Database thread only; no method raises, except the watchdog's FATAL.
#ifndef REALTIME_PG_CHANNEL_POLICY_H_
#define REALTIME_PG_CHANNEL_POLICY_H_

#include <memory>

#include "core/door.h"

namespace realtime {

class ChannelPolicy {
 public:
  ChannelPolicy();
  ~ChannelPolicy();

  // A policy that raises denies what it was asked about, and is logged; one that runs out of time is the result's error
  // ("QueryCanceled: ..."), and so is a table that somebody has locked. With request.replay and the right to read
  // broadcasts, the stored messages too, under the same snapshot. Opens a transaction that stays open for the next
  // requests: EndTurn before anything else opens one, and before sleeping.
  RightsResult Answer(const CheckRights& request);
  void EndTurn();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace realtime

#endif  // REALTIME_PG_CHANNEL_POLICY_H_
