#include "pg/stat.h"

#include <algorithm>
#include <new>

#include "pg/pg.h"

extern "C" {
#include "access/htup_details.h"
#include "access/xlog.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/spin.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"
}

namespace realtime::stat {

namespace internal {
Figures* figures = nullptr;
}

namespace {

constexpr size_t kStateSize = 256;
constexpr size_t kErrorSize = 1024;

struct Texts {
  char state[kStateSize];
  char slot[NAMEDATALEN];
  char error[kErrorSize];
  TimestampTz error_at;
  TimestampTz started_at;
  int pid;
  int64 starts;
};

struct Shared {
  Figures figures;
  slock_t lock;  // for texts
  Texts texts;
};

static_assert(std::atomic<uint64_t>::is_always_lock_free);

Shared* shared = nullptr;

// Whole characters only. The source may be in another encoding than the database's, so that the reader looks again.
void Copy(const std::string& text, char* target, size_t size) {
  int length = pg_mbcliplen(text.c_str(), static_cast<int>(text.size()), static_cast<int>(size) - 1);
  SpinLockAcquire(&shared->lock);
  memcpy(target, text.c_str(), length);
  target[length] = '\0';
  SpinLockRelease(&shared->lock);
}

void OnExit(int /*code*/, Datum /*argument*/) noexcept {
  for (Figure figure : {Figure::kParkedRows, Figure::kParkedBytes, Figure::kQueueBytes, Figure::kConnections,
                        Figure::kChannels, Figure::kSubscriptions, Figure::kClientQueueBytes, Figure::kLoopStallUs, Figure::kHistoryRows, Figure::kHistoryBytes,
                        Figure::kConfirmedLsn, Figure::kReceivedLsn, Figure::kBehind, Figure::kOpenCommitTime}) {
    Set(figure, 0);
  }
  SpinLockAcquire(&shared->lock);
  strlcpy(shared->texts.state, "not running", kStateSize);
  shared->texts.slot[0] = '\0';
  shared->texts.pid = 0;
  SpinLockRelease(&shared->lock);
}

}  // namespace

size_t SharedSize() { return sizeof(Shared); }

void Attach(void* memory, bool initialized) {
  shared = initialized ? static_cast<Shared*>(memory) : new (memory) Shared();
  if (initialized) return;
  SpinLockInit(&shared->lock);
  strlcpy(shared->texts.state, "not running", kStateSize);
}

void Begin() {
  internal::figures = &shared->figures;
  for (size_t i = 0; i < kFigures; ++i) Set(static_cast<Figure>(i), 0);
  const TimestampTz now = GetCurrentTimestamp();
  SpinLockAcquire(&shared->lock);
  const int64 starts = shared->texts.starts;
  shared->texts = Texts();
  shared->texts.starts = starts + 1;
  shared->texts.started_at = now;
  shared->texts.pid = MyProcPid;
  strlcpy(shared->texts.state, "starting", kStateSize);
  SpinLockRelease(&shared->lock);
  on_shmem_exit(OnExit, Datum{0});
}

void SetState(const std::string& state) { Copy(state, shared->texts.state, kStateSize); }
void SetSlot(const std::string& name) { Copy(name, shared->texts.slot, NAMEDATALEN); }

void SetError(const std::string& error) {
  if (internal::figures == nullptr) return;
  const TimestampTz now = GetCurrentTimestamp();
  Copy(error, shared->texts.error, kErrorSize);
  SpinLockAcquire(&shared->lock);
  shared->texts.error_at = now;
  SpinLockRelease(&shared->lock);
}

// ---- reading -----------------------------------------------------------------------------------------------------------

namespace {

uint64_t Get(Figure figure) { return shared->figures[static_cast<size_t>(figure)].load(std::memory_order_relaxed); }

// The row of realtime.stat_worker, filled from left to right.
struct StatRow {
  static constexpr int kColumns = 28;
  Datum values[kColumns];
  bool nulls[kColumns];
  int count;

  void Put(Datum value, bool is_null = false) {
    nulls[count] = is_null;
    values[count++] = value;
  }
  void PutFigure(Figure figure) { Put(Int64GetDatum(static_cast<int64>(Get(figure)))); }
  // This database may have another encoding than the worker's.
  void PutText(char* text) {
    if (!pg_verifymbstr(text, static_cast<int>(strlen(text)), true)) {
      for (char* at = text; *at != '\0'; ++at) *at = IS_HIGHBIT_SET(*at) ? '?' : *at;
    }
    Put(CStringGetTextDatum(text), text[0] == '\0');
  }
};

// The age of the commit in whose midst the stream is. Of one that has not been read nothing is known but that it is younger
// than the last.
double LagSeconds() {
  uint64_t since = Get(Figure::kOpenCommitTime);
  if (since == 0 && Get(Figure::kBehind) != 0) since = Get(Figure::kLastCommitTime);
  if (since == 0) return 0;
  return std::max(0.0, static_cast<double>(GetCurrentTimestamp() - static_cast<TimestampTz>(since)) / USECS_PER_SEC);
}

void PutStream(char* slot, StatRow* row) {
  const uint64_t confirmed = Get(Figure::kConfirmedLsn);
  const uint64_t received = Get(Figure::kReceivedLsn);
  row->PutText(slot);
  row->Put(LSNGetDatum(confirmed), confirmed == 0);
  row->Put(LSNGetDatum(received), received == 0);
  uint64_t lag = 0;
  if (confirmed != 0) {
    const uint64_t flushed = GetFlushRecPtr(nullptr);
    if (flushed > confirmed) lag = flushed - confirmed;
  }
  row->Put(Int64GetDatum(static_cast<int64>(lag)), confirmed == 0);
  row->Put(Float8GetDatum(LagSeconds()), confirmed == 0);
}

Datum MakeRow(FunctionCallInfo fcinfo) {
  if (shared == nullptr) {
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("realtime must be loaded via shared_preload_libraries")));
  }
  TupleDesc type;
  if (get_call_result_type(fcinfo, nullptr, &type) != TYPEFUNC_COMPOSITE || type->natts != StatRow::kColumns) {
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("the extension's version is not the library's"),
                    errhint("Run ALTER EXTENSION realtime UPDATE.")));
  }
  Texts texts;
  SpinLockAcquire(&shared->lock);
  texts = shared->texts;
  SpinLockRelease(&shared->lock);

  StatRow row{};
  row.PutText(texts.state);
  row.Put(Int32GetDatum(texts.pid), texts.pid == 0);
  row.Put(TimestampTzGetDatum(texts.started_at), texts.started_at == 0);
  row.Put(Int64GetDatum(std::max<int64>(texts.starts - 1, 0)));
  PutStream(texts.slot, &row);
  for (size_t i = 0; i <= static_cast<size_t>(Figure::kClientQueueBytes); ++i) row.PutFigure(static_cast<Figure>(i));
  row.Put(Float8GetDatum(static_cast<double>(Get(Figure::kLoopStallUs)) / 1000));
  row.PutText(texts.error);
  row.Put(TimestampTzGetDatum(texts.error_at), texts.error_at == 0);
  return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(type), row.values, row.nulls));
}

}  // namespace
}  // namespace realtime::stat

extern "C" {

PG_FUNCTION_INFO_V1(realtime_stat_worker);

PGDLLEXPORT Datum realtime_stat_worker(PG_FUNCTION_ARGS) { return realtime::stat::MakeRow(fcinfo); }

}  // extern "C"
