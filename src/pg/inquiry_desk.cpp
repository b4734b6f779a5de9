#include "pg/inquiry_desk.h"

#include <cstring>
#include <new>

#include "pg/guard.h"

#include "pg/pg.h"

extern "C" {
#include "storage/condition_variable.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/spin.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
}

namespace realtime::desk {

namespace {

constexpr int64 kPatienceMs = 2000;   // a policy may hold up the worker for realtime.policy_timeout
constexpr int64 kAbandonedMs = 5000;

enum class State : uint8_t { kFree, kAsked, kTaken, kAnswered };

struct Desk {
  slock_t lock;
  ConditionVariable changed;
  Latch* worker;  // null: it does not run
  State state;
  uint64_t ticket;  // of the last question
  TimestampTz asked_at;
  InquiryKind kind;
  uint64_t connection;
  // The answer.
  bool failed;  // there was no memory for it
  bool found;
  bool more;
  uint64_t rows;
  uint64_t size;
  dsm_handle segment;  // of `size` bytes, when that is not zero
};

Desk* desk = nullptr;

class Locked {
 public:
  Locked() { SpinLockAcquire(&desk->lock); }
  ~Locked() { SpinLockRelease(&desk->lock); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;
};

// The worker's: the segment of the last answer.
dsm_segment* kept = nullptr;
uint64_t kept_ticket = 0;

void DropKept() {
  if (kept == nullptr) return;
  PgTry([] { dsm_detach(kept); }, nullptr);
  kept = nullptr;
}

void OnExit(int /*code*/, Datum /*argument*/) noexcept {
  {
    Locked locked;
    desk->worker = nullptr;
    desk->state = State::kFree;
    ++desk->ticket;  // whoever waits learns that nothing will come
  }
  ConditionVariableBroadcast(&desk->changed);
}

}  // namespace

size_t SharedSize() { return sizeof(Desk); }

void Attach(void* memory, bool initialized) {
  desk = initialized ? static_cast<Desk*>(memory) : new (memory) Desk();
  if (initialized) return;
  SpinLockInit(&desk->lock);
  ConditionVariableInit(&desk->changed);
}

// ---- the worker --------------------------------------------------------------------------------------------------------

void Open() {
  {
    Locked locked;
    desk->worker = MyLatch;
    desk->state = State::kFree;
  }
  before_shmem_exit(OnExit, Datum{0});
}

std::optional<Inquiry> Take() {
  Inquiry inquiry;
  bool keep = false;
  {
    Locked locked;
    keep = desk->state == State::kAnswered && desk->ticket == kept_ticket;
    if (desk->state == State::kAsked) {
      desk->state = State::kTaken;
      inquiry = {desk->ticket, desk->kind, desk->connection};
    }
  }
  if (!keep) DropKept();
  if (inquiry.ticket == 0) return std::nullopt;
  return inquiry;
}

void Answer(uint64_t ticket, const ViewRows& rows, Reply reply) {
  DropKept();
  const std::string& bytes = rows.bytes();
  bool failed = false;
  if (!bytes.empty()) {
    failed = !InTransaction(
        [&] {
          dsm_segment* made = dsm_create(bytes.size(), DSM_CREATE_NULL_IF_MAXSEGMENTS);
          if (made == nullptr) ereport(ERROR, (errmsg("too many segments of dynamic shared memory")));
          dsm_pin_mapping(made);
          memcpy(dsm_segment_address(made), bytes.data(), bytes.size());
          kept = made;
        },
        nullptr);
  }
  kept_ticket = ticket;
  {
    Locked locked;
    if (desk->ticket == ticket && desk->state == State::kTaken) {
      desk->state = State::kAnswered;
      desk->failed = failed;
      desk->found = reply.found;
      desk->more = reply.more;
      desk->rows = rows.count();
      desk->size = failed ? 0 : bytes.size();
      desk->segment = kept == nullptr ? DSM_HANDLE_INVALID : dsm_segment_handle(kept);
    }
  }
  ConditionVariableBroadcast(&desk->changed);
}

// ---- a backend ---------------------------------------------------------------------------------------------------------

namespace {

enum class Try : uint8_t { kDone, kWait, kNoWorker };

Try Claim(InquiryKind kind, uint64_t connection, uint64_t* ticket) {
  const TimestampTz now = GetCurrentTimestamp();
  Latch* worker = nullptr;  // a process's latch stays where it is when the process ends
  {
    Locked locked;
    worker = desk->worker;
    if (worker == nullptr) return Try::kNoWorker;
    const bool abandoned = TimestampDifferenceExceeds(desk->asked_at, now, kAbandonedMs);
    if (desk->state != State::kFree && !abandoned) return Try::kWait;
    *ticket = ++desk->ticket;
    desk->state = State::kAsked;
    desk->asked_at = now;
    desk->kind = kind;
    desk->connection = connection;
  }
  SetLatch(worker);
  return Try::kDone;
}

Try Look(uint64_t ticket, Desk* answer) {
  Locked locked;
  if (desk->ticket != ticket) return Try::kNoWorker;
  if (desk->state != State::kAnswered) return Try::kWait;
  *answer = *desk;
  return Try::kDone;
}

void Release(int /*code*/, Datum ticket) noexcept {
  Latch* worker = nullptr;
  {
    Locked locked;
    if (desk->ticket != DatumGetUInt64(ticket)) return;
    desk->state = State::kFree;
    worker = desk->worker;
  }
  if (worker != nullptr) SetLatch(worker);  // it can free the answer
  ConditionVariableBroadcast(&desk->changed);
}

[[noreturn]] void RaiseNoWorker() {
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("the realtime worker does not run"),
                  errhint("See realtime.stat_worker and the server log.")));
  pg_unreachable();
}

// One wait for a change. Raises when `until` has passed.
void WaitForChange(TimestampTz until) {
  const long left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);
  if (left_ms <= 0) {
    ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED), errmsg("the realtime worker did not answer within %d seconds",
                                                            static_cast<int>(kPatienceMs / 1000)),
                    errhint("A slow policy, or another reading, may keep it busy. Try again.")));
  }
  ConditionVariableTimedSleep(&desk->changed, left_ms, PG_WAIT_EXTENSION);
}

Received Receive(const Desk& answer) {
  Received received{nullptr, answer.size, answer.rows, answer.found, answer.more};
  if (answer.failed) {
    ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("the realtime worker had no shared memory for its answer")));
  }
  if (answer.size == 0) return received;
  dsm_segment* segment = dsm_attach(answer.segment);
  if (segment == nullptr) RaiseNoWorker();
  received.bytes = static_cast<char*>(palloc(answer.size));
  memcpy(received.bytes, dsm_segment_address(segment), answer.size);
  dsm_detach(segment);
  return received;
}

}  // namespace

Received Ask(InquiryKind kind, uint64_t connection) {
  if (desk == nullptr) {
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("realtime must be loaded via shared_preload_libraries")));
  }
  const TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), kPatienceMs);
  uint64_t ticket = 0;
  Try tried = Claim(kind, connection, &ticket);
  for (; tried == Try::kWait; tried = Claim(kind, connection, &ticket)) WaitForChange(until);
  ConditionVariableCancelSleep();
  if (tried == Try::kNoWorker) RaiseNoWorker();

  Received received{};
  PG_ENSURE_ERROR_CLEANUP(Release, UInt64GetDatum(ticket));
  {
    Desk answer{};
    for (tried = Look(ticket, &answer); tried == Try::kWait; tried = Look(ticket, &answer)) WaitForChange(until);
    ConditionVariableCancelSleep();
    if (tried == Try::kNoWorker) RaiseNoWorker();
    received = Receive(answer);
  }
  PG_END_ENSURE_ERROR_CLEANUP(Release, UInt64GetDatum(ticket));
  Release(0, UInt64GetDatum(ticket));
  return received;
}

}  // namespace realtime::desk
