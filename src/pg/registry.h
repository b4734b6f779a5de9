// Who listens: channels, and the audiences they form. Plain C++, no backend calls; database thread only.
//
// An audience is all bindings with the same identity, table pattern, events, filters, columns and `old`: everything about a
// change is decided once per audience. Its members are (channel, binding) pairs. A member joined at a point in time given by a
// snapshot: it gets exactly the commits that a SELECT at that moment did not yet show.
#ifndef REALTIME_PG_REGISTRY_H_
#define REALTIME_PG_REGISTRY_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/door.h"

namespace realtime {

// Where in the stream a subscription begins.
struct StartPoint {
  uint32_t xmin = 0;                   // transactions before it were visible to the snapshot ...
  uint32_t xmax = 0;                   // ... those from it on were not ...
  std::vector<uint32_t> in_progress;   // ... nor these
  uint64_t lsn = 0;                    // read after the snapshot: a commit record at or behind it was not visible

  bool Includes(uint32_t xid, uint64_t commit_lsn) const;
};

struct Member {
  ChannelId channel = 0;
  uint32_t binding_id = 0;
  // Null once a commit at or behind the start point's LSN has been seen: everything is included from then on.
  std::shared_ptr<const StartPoint> start;
  bool held = false;  // gets nothing until it has caught up (catch_up.h)

  bool settled() const { return start == nullptr && !held; }
};

class Audience {
  // First, with what is next to it: every row that concerns the audience looks here, and mostly no cache holds it.
  std::vector<Member> members_;  // by channel
  TargetList settled_;      // all members, when all are settled; null when stale
  size_t unsettled_ = 0;    // members that are not

 public:
  EventMask events = kAllEvents;
  bool old = false;  // wants the rows that leave its filters
  struct Counts {
    uint64_t matched = 0;  // changes that passed filters and policies
    uint64_t errors = 0;   // events without data
  } counts;
  std::shared_ptr<const Identity> identity;
  std::string schema;
  std::string table;
  std::vector<FilterClause> filters;
  std::vector<std::string> columns;

  bool wildcard() const { return schema == "*" || table == "*"; }
  bool Matches(const std::string& schema_name, const std::string& table_name) const {
    return (schema == "*" || schema == schema_name) && (table == "*" || table == table_name);
  }
  bool dead() const { return members_.empty(); }

  // The members that get this commit; null when there are none.
  TargetList TargetsFor(uint32_t xid, uint64_t commit_lsn);

 private:
  friend class Registry;
  void Join(Member member);
  void Leave(ChannelId channel);
  void Settle(uint64_t commit_lsn);
  void SetHeld(ChannelId channel, uint32_t binding_id, bool held);
};

class Registry {
 public:
  // Registers the channel's bindings. For a channel that is there already the identity is replaced and its start point, or
  // the lack of one, is kept.
  void Add(const Subscribe& request, std::shared_ptr<const StartPoint> start);
  void Remove(ChannelId channel);
  bool Has(ChannelId channel) const { return channels_.contains(channel); }

  // A binding gets nothing from now on, also after its channel was registered again with another identity. False when
  // there is no such binding.
  bool Hold(ChannelId channel, uint32_t binding_id);
  // It gets everything that comes from now on.
  void Release(ChannelId channel, uint32_t binding_id);
  // The audience of a binding that is held; null: it is not (any more).
  std::shared_ptr<Audience> Held(ChannelId channel, uint32_t binding_id) const;
  size_t channel_count() const { return channels_.size(); }

  // A row of realtime.stat_subscriptions for each of its bindings. False when there was no room for all.
  bool Describe(const Subscriber& subscriber, ViewRows* rows) const;

  // A commit begins: start points at or before it are dropped.
  void OnCommit(uint64_t commit_lsn);

  // All audiences in the order they appeared. Dead ones stay until layout() changes; indexes are stable under one layout.
  const std::vector<std::shared_ptr<Audience>>& audiences() const { return audiences_; }
  uint64_t layout() const { return layout_; }

 private:
  struct Channel {
    std::vector<std::shared_ptr<Audience>> audiences;
    std::vector<uint32_t> binding_ids;  // of the audiences
    std::vector<uint32_t> held;         // bindings that are
    std::vector<uint32_t> released;     // bindings that were: their start is behind them
    std::shared_ptr<const StartPoint> start;
  };
  // A channel that had a start point when it came. Stale when the channel has gone, or has none any more.
  struct Starting {
    ChannelId channel;
    std::shared_ptr<const StartPoint> start;
  };
  std::shared_ptr<Audience> FindOrAdd(const std::shared_ptr<const Identity>& identity, const Binding& binding);
  void Leave(ChannelId id, const Channel& channel);
  void Compact();
  bool IsStale(const Starting& starting) const;

  std::unordered_map<ChannelId, Channel> channels_;
  std::vector<std::shared_ptr<Audience>> audiences_;
  std::map<std::string, std::weak_ptr<Audience>> by_key_;  // ordered: filters that share one hash are easily made
  std::deque<Starting> starting_;  // by their positions, which rise
  size_t starting_limit_ = kSpareStarting;  // stale ones are looked for above
  size_t dead_ = 0;
  uint64_t layout_ = 1;

  static constexpr size_t kSpareStarting = 1024;
};

}  // namespace realtime

#endif  // REALTIME_PG_REGISTRY_H_
