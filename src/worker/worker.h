// The worker: builds the parts, owns the two mailboxes between the two threads, and runs the database thread's loop.
//
// One turn of the loop: signals - health (once a second) - upkeep of realtime.messages (when due) - mailbox - stream -
// subscriptions - rights of joining channels - one question to slow policies, when the mailbox is empty - a bounded batch of
// changes - what is parked or was missed - wait. Nothing between two waits blocks except policies, which the watchdog bounds,
// and the stream, which is waited for a millisecond in the midst of a transaction.
//
// worker.cpp: the loop and the stream. requests.cpp: what comes from the network thread. report.cpp: realtime.stat_worker.
#ifndef REALTIME_WORKER_WORKER_H_
#define REALTIME_WORKER_WORKER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/door.h"
#include "net/network_thread.h"
#include "pg/channel_policy.h"
#include "pg/feed.h"
#include "pg/message_upkeep.h"
#include "pg/replication.h"
#include "worker/event_loop.h"
#include "worker/health.h"
#include "worker/inquiries.h"
#include "worker/joins.h"
#include "worker/pending_rights.h"
#include "worker/reader.h"
#include "worker/slow_rights.h"

namespace realtime {

class Worker {
 public:
  Worker();

  // Runs until SIGTERM.
  void Run();

  // The way out: clients are told, the walsender is ended, the slot dropped. Idempotent; from the loop or from an exit
  // callback (a FATAL inside a policy takes this way too).
  void Shutdown();

 private:
  void Turn();
  void HandleReload(int64_t now_ms);
  void HandleHealth(int64_t now_ms);
  void SetServing(bool serving, int64_t now_ms);
  void EnsureNetwork(int64_t now_ms);
  void PublishSettings();

  void TakeRequests(int64_t now_ms);
  void Handle(const Subscribe& request, int64_t now_ms);
  void Handle(const Unsubscribe& request, int64_t now_ms);
  void Handle(const CheckRights& request, int64_t now_ms);
  void Handle(const Store& request, int64_t now_ms);
  void Handle(const Listening& request, int64_t now_ms);
  void Handle(const LogLine& line, int64_t now_ms);
  void Handle(const Findings& findings, int64_t now_ms);
  void TakeInquiry();
  void Judge(const CheckRights& request, int64_t now_ms);
  void Answer(const CheckRights& request);
  void ServeJoins();
  void AnswerPending(int64_t now_ms);
  void AnswerSlow();
  void TakeFirst(std::vector<Store> messages);
  // Whether a channel that joins has something to wait for: the stream will soon bring messages.
  bool MessagesAreComing() const;

  void StepStream(int64_t now_ms);
  void OnStart(bool new_slot, int64_t now_ms);
  void TellStreamState();
  Reader::Turn ReadStream(int64_t now_ms);
  void WorkOnFeed(Reader::Turn turn);
  int64_t NextFeedWorkMs() const;
  void WaitForWork(Reader::Turn turn);
  std::string StateText() const;
  void ReportState();
  void ReportProgress(Reader::Turn turn);
  void Output(ToNetwork message);

  static constexpr int64_t kTurnMs = 10;  // of one kind of work, before the next has its turn

  const std::string database_;
  SettingsPtr settings_;
  EventLoop events_;
  DatabaseMailbox inbox_;
  NetworkMailbox outbox_;
  std::vector<DatabaseMailbox::Entry> taken_;  // from the inbox; those before next_taken_ have been handled
  size_t next_taken_ = 0;
  bool more_requests_ = false;
  bool feed_has_more_ = false;
  std::unique_ptr<NetworkThread> network_;
  bool network_runs_ = false;
  int64_t network_retry_ms_ = 0;
  Condition network_condition_;
  Health health_;
  Feed feed_;
  Inquiries inquiries_;
  Replication stream_;
  Reader reader_;
  Joins joins_;
  ChannelPolicy policy_;
  MessageUpkeep upkeep_;
  PendingRights pending_rights_;
  SlowRights slow_rights_;
  bool listening_ = false;    // somebody is joined to a channel
  bool told_live_ = false;    // what the network thread knows of the stream
  bool serving_ = false;
  bool socket_ready_ = false;
  bool stopped_ = false;
};

}  // namespace realtime

#endif  // REALTIME_WORKER_WORKER_H_
