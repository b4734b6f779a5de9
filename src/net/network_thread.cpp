// One turn of the loop: settle what is due (deadlines, overflows), hand out messages from the database for a bounded time,
// then let libuv wait for sockets. Sockets are only written in libwebsockets' writable callbacks, so whatever a turn queues
// leaves in the same turn's wait, joined.
//
// The time for messages is as long as the sockets' half of the last turn took, within bounds: with many sockets one write
// to each takes long, and only if several messages are queued before it do they share it.
#include "net/network_thread.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "net/gauges.h"
#include "net/listener.h"
#include "net/look_ahead.h"
#include "net/loop.h"
#include "net/parts.h"

namespace realtime {
namespace {

constexpr int64_t kMinBudgetUs = 2000;
constexpr int64_t kMaxBudgetUs = 20000;  // a heartbeat may wait so long
// Connections in their handshake, beyond max_connections: so that the refusal (429) can still be sent.
constexpr size_t kSpareConnections = 64;
// Clients that are told to go at the beginning of a drain. More follow bit by bit, so that they do not all come back, and ask
// the next server for everything, in one moment.
constexpr size_t kDrainedAtOnce = 50;
constexpr int64_t kDrainStepMs = 5;
constexpr int kFailedStartMs = 1000;  // for a thread that could not set up what it needs to end

}  // namespace

class NetworkThread::Impl {
 public:
  Impl(SettingsPtr settings, NetworkMailbox* inbox, DatabaseMailbox* outbox, const stat::Figures* figures)
      : settings_(std::move(settings)), inbox_(inbox), outbox_(outbox), gauges_(&counts_, figures) {
    inbox_->OnWake([this] { loop_.Wake(); });
  }

  Status Start();
  bool Join(int timeout_ms);
  NetworkCounts counts_;

 private:
  void Run();
  void Serve(Parts* parts);
  void Report(Status status);
  void Recover();
  void ForgetBacklog();

  int64_t Turn();
  int64_t NextDeadline(Now now) const;
  void Apply(SettingsPtr settings, Now now);
  void Clamp(SettingsPtr* settings);
  void Absorb();
  void Process(Now now);
  bool Handle(const ToNetwork& message, Now now);
  template <typename T>
  bool HandOut(const T& message, Now now);
  void CutOverflowed();
  void BeginDrain(Now now);
  void DrainDue(Now now);
  void Finish();
  void Log(LogLine line) { Post<ToDatabase>(std::move(line), outbox_); }

  SettingsPtr settings_;
  NetworkMailbox* const inbox_;
  DatabaseMailbox* const outbox_;
  Loop loop_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Status> started_;  // guarded by mutex_
  bool ended_ = false;             // guarded by mutex_
  pthread_t thread_{};
  bool running_ = false;  // caller's thread: to be joined

  // Network thread only, from here on.
  Parts* parts_ = nullptr;
  ClientCap cap_;
  std::vector<NetworkMailbox::Entry> taken_;
  size_t absorbed_ = 0;      // of them
  std::deque<NetworkMailbox::Entry> backlog_;
  bool handling_ = false;    // the first of the backlog is being dealt with
  size_t handed_out_ = 0;    // how far it has been, if it is a delivery
  Gauges gauges_;
  bool drain_seen_ = false;  // taken from the mailbox: from now on nobody may hold the messages before it
  bool draining_ = false;
  bool finished_ = false;
  bool recovering_ = false;  // there was no memory even to send everybody away
  int64_t drain_deadline_ms_ = INT64_MAX;
  int64_t drain_began_ms_ = 0;
  size_t drain_later_ = 0;  // clients that were not told to go at once
  bool unfinished_ = false;  // the last turn ran out of time for messages
  int64_t process_end_us_ = 0;
};

Status NetworkThread::Impl::Start() {
  if (Status opened = loop_.Open(); !opened.ok()) return opened;
  // Signals belong to the backend's thread. The mask is inherited, so there is no moment at which the new one has any.
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int error = pthread_create(
      &thread_, nullptr,
      [](void* self) -> void* {
        static_cast<Impl*>(self)->Run();
        return nullptr;
      },
      this);
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  if (error != 0) return Status(Code::kInvalid, "could not start the network thread");
  running_ = true;
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return started_.has_value(); });
  return *started_;
}

bool NetworkThread::Impl::Join(int timeout_ms) {
  if (!running_) return true;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::milliseconds(std::max(timeout_ms, 0)), [this] { return ended_; })) {
      pthread_detach(thread_);
      running_ = false;
      return false;
    }
  }
  pthread_join(thread_, nullptr);
  running_ = false;
  return true;
}

void NetworkThread::Impl::Report(Status status) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!started_) started_ = std::move(status);
  changed_.notify_all();
}

void NetworkThread::Impl::Run() {
  try {
    Clamp(&settings_);
    Parts parts(loop_.uv(), settings_, outbox_);
    Serve(&parts);
  } catch (...) {
    Report(Status(Code::kInvalid, "out of memory"));  // so short that it needs none
  }
  std::lock_guard<std::mutex> lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

void NetworkThread::Impl::Serve(Parts* parts) {
  parts_ = parts;
  Status status = parts->server.Open(loop_.uv(), cap_.descriptors);
  if (!status.ok()) {
    parts->server.BeginClose();
    loop_.CloseHandles();
  } else {
    loop_.OnTurn([this] { return Turn(); });
    loop_.OnException([this] { Recover(); });
    parts->server.OnActivity([this] { CutOverflowed(); });
    parts->server.OnMetrics([this] { return gauges_.Page(*parts_, *settings_); });
    Apply(settings_, ReadClock());
  }
  Report(status);
  loop_.Run();
  parts->server.FinishClose();
  parts_ = nullptr;
}

// Out of memory in the middle of a message: every client starts afresh rather than miss one silently.
void NetworkThread::Impl::Recover() {
  recovering_ = true;
  loop_.Wake();  // this turn has ended early, and what is left of it waits
  parts_->sockets.set_in_delivery(false);
  parts_->back_pressure.Release();
  parts_->census.Forget();
  if (!drain_seen_) ForgetBacklog();
  parts_->engine.DrainAll();
  recovering_ = false;
}

// All but what says how things are from now on. The message that ran out of memory goes in any case, or it would again.
void NetworkThread::Impl::ForgetBacklog() {
  bool first = std::exchange(handling_, false);
  handed_out_ = 0;
  std::erase_if(backlog_, [&](const NetworkMailbox::Entry& entry) {
    bool lasts = std::holds_alternative<Reload>(entry.message) || std::holds_alternative<StreamState>(entry.message);
    bool goes = std::exchange(first, false) || !lasts;
    if (goes) inbox_->Done(entry.bytes);
    return goes;
  });
}

void NetworkThread::Impl::Clamp(SettingsPtr* settings) {
  if (std::optional<LogLine> line = ClampClients(settings, &cap_)) Log(std::move(*line));
}

void NetworkThread::Impl::Apply(SettingsPtr settings, Now now) {
  bool was_serving = settings_->serving;
  settings_ = std::move(settings);
  parts_->admission.SetSettings(settings_);
  parts_->sockets.SetSettings(settings_);
  parts_->server.SetSettings(settings_);
  parts_->server.SetRefusing(!settings_->serving);
  parts_->engine.Reload(settings_, now);
  if (was_serving && !settings_->serving) parts_->engine.DrainAll();
  parts_->Listen(*settings_, now);
}

int64_t NetworkThread::Impl::Turn() {
  if (finished_) return INT64_MAX;
  if (recovering_) Recover();
  Now now = ReadClock();
  parts_->back_pressure.Sample(now);
  if (parts_->engine.NextDeadline() <= now.mono_ms) parts_->engine.Tick(now);
  parts_->sockets.Tick(now);
  parts_->first_line.Tick(now);
  parts_->tls.Tick(now);
  parts_->listener.Tick(now.mono_ms);
  Absorb();
  Process(now);
  parts_->census.Work();
  loop_.SetBusy(unfinished_ || parts_->census.busy());
  if (draining_) DrainDue(now);
  CutOverflowed();
  size_t most = static_cast<size_t>(std::max(settings_->max_connections, 1)) + kSpareConnections;
  size_t connections = parts_->sockets.count() + parts_->first_line.count() + parts_->tls.own_count();
  gauges_.Measure(*parts_, loop_.TakeBusyUs(), now);
  bool room = parts_->admission.MakeRoom(connections >= most, now);
  parts_->listener.Pause(!room || !parts_->sockets.MayAccept());
  bool done = parts_->sockets.clients() == 0 && parts_->sockets.call_count() == 0 && !parts_->tls.busy();
  if (draining_ && (done || now.mono_ms >= drain_deadline_ms_)) {
    Finish();
    return INT64_MAX;
  }
  return NextDeadline(now);
}

int64_t NetworkThread::Impl::NextDeadline(Now now) const {
  int64_t next = std::min(parts_->engine.NextDeadline(), parts_->sockets.NextDeadline(now));
  next = std::min({next, parts_->listener.NextDeadline(), parts_->first_line.NextDeadline(), drain_deadline_ms_,
                   parts_->tls.NextDeadline(), parts_->admission.NextLook(), gauges_.NextLook()});
  if (parts_->back_pressure.watching()) next = std::min(next, now.mono_ms + BackPressure::kSampleMs);
  if (draining_ && parts_->engine.session_count() > 0) next = std::min(next, now.mono_ms + kDrainStepMs);
  return next;
}

void NetworkThread::Impl::Absorb() {
  // Twice, as there may be some left from when memory ran out.
  for (bool more : {true, false}) {
    for (; absorbed_ < taken_.size(); ++absorbed_) {
      drain_seen_ = drain_seen_ || std::holds_alternative<Drain>(taken_[absorbed_].message);
      backlog_.push_back(std::move(taken_[absorbed_]));
    }
    taken_.clear();
    absorbed_ = 0;
    if (more) inbox_->Take(&taken_);
  }
}

void NetworkThread::Impl::Process(Now now) {
  if (drain_seen_) parts_->back_pressure.Release();
  bool held = parts_->back_pressure.holding() && !parts_->back_pressure.Resume(*settings_, now);
  int64_t start_us = MonotonicUs();
  int64_t sockets_us = unfinished_ ? start_us - process_end_us_ : 0;
  int64_t stop_us = start_us + std::clamp(sockets_us, kMinBudgetUs, kMaxBudgetUs);
  while (!held && !backlog_.empty() && !finished_) {
    LookAhead(parts_->engine, backlog_);
    handling_ = true;
    bool handled = Handle(backlog_.front().message, now);
    handling_ = false;
    if (!handled) {
      held = parts_->back_pressure.holding();
      continue;
    }
    size_t bytes = backlog_.front().bytes;
    backlog_.pop_front();
    handed_out_ = 0;
    inbox_->Done(bytes);
    if (MonotonicUs() >= stop_us) break;
  }
  process_end_us_ = MonotonicUs();
  unfinished_ = !held && !backlog_.empty();
}

// False: not now, ask again.
bool NetworkThread::Impl::Handle(const ToNetwork& message, Now now) {
  Engine& engine = parts_->engine;
  if (draining_) return true;
  bool taken = true;
  std::visit(
      [&](const auto& value) {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, Delivery> || std::is_same_v<T, DatabaseBroadcast>) {
          taken = HandOut(value, now);
        } else if constexpr (std::is_same_v<T, Inquiry>) {
          parts_->census.Begin(value);
        } else if constexpr (std::is_same_v<T, Reload>) {
          SettingsPtr settings = value.settings;
          Clamp(&settings);
          Apply(std::move(settings), now);
        } else if constexpr (std::is_same_v<T, Drain>) {
          BeginDrain(now);
        } else if constexpr (requires { engine.FromDatabase(value, now); }) {
          engine.FromDatabase(value, now);
        } else {
          engine.FromDatabase(value);
        }
      },
      message);
  if (!taken) return false;
  CutOverflowed();
  return true;
}

// What comes from the stream, which waits for sockets that are slow but alive.
template <typename T>
bool NetworkThread::Impl::HandOut(const T& message, Now now) {
  if (!drain_seen_ && !parts_->back_pressure.Admit(message, *settings_, now)) return false;
  parts_->sockets.set_in_delivery(true);
  bool all = true;
  if constexpr (std::is_same_v<T, Delivery>) {
    handed_out_ = parts_->engine.HandOut(message, handed_out_, [this] { return parts_->back_pressure.MustPause(*settings_); });
    all = handed_out_ == Engine::kAll;
  } else {
    parts_->engine.FromDatabase(message);
  }
  parts_->sockets.set_in_delivery(false);
  return all;
}

void NetworkThread::Impl::CutOverflowed() {
  if (parts_ != nullptr) parts_->back_pressure.CutOverflowed(*settings_);
}

void NetworkThread::Impl::BeginDrain(Now now) {
  draining_ = true;
  drain_began_ms_ = now.mono_ms;
  drain_deadline_ms_ = now.mono_ms + settings_->drain_timeout_ms;
  parts_->listener.Close();
  parts_->first_line.Close();
  parts_->server.SetRefusing(true);
  parts_->engine.BeginDrain();
  size_t sessions = parts_->engine.session_count();
  drain_later_ = sessions - std::min(sessions, kDrainedAtOnce);
  DrainDue(now);
}

// All are told within the first half of the time; the other half is for the last ones' queues and goodbyes.
void NetworkThread::Impl::DrainDue(Now now) {
  int64_t spread_ms = settings_->drain_timeout_ms / 2;
  int64_t left_ms = std::max<int64_t>(drain_began_ms_ + spread_ms - now.mono_ms, 0);
  size_t may_stay = left_ms == 0 ? 0 : drain_later_ * static_cast<size_t>(left_ms) / static_cast<size_t>(spread_ms);
  size_t sessions = parts_->engine.session_count();
  if (sessions > may_stay) parts_->engine.DrainSome(sessions - may_stay);
}

void NetworkThread::Impl::Finish() {
  finished_ = true;
  parts_->first_line.Close();
  parts_->server.BeginClose();
  parts_->tls.Close();
  loop_.CloseHandles();
}

NetworkThread::NetworkThread(SettingsPtr settings, NetworkMailbox* inbox, DatabaseMailbox* outbox,
                             const stat::Figures* figures)
    : impl_(std::make_unique<Impl>(std::move(settings), inbox, outbox, figures)) {}

NetworkThread::~NetworkThread() = default;
const NetworkCounts& NetworkThread::counts() const { return impl_->counts_; }

Status NetworkThread::Start() {
  Status status = impl_->Start();
  // The thread is on its way out and still uses what the caller is about to destroy.
  if (!status.ok()) Join(kFailedStartMs);
  return status;
}

bool NetworkThread::Join(int timeout_ms) {
  if (impl_ == nullptr) return false;
  if (impl_->Join(timeout_ms)) return true;
  // The detached thread still uses it, and the process is about to exit.
  (void)impl_.release();
  return false;
}

}  // namespace realtime
