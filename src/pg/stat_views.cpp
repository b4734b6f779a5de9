// The functions behind realtime.stat_channels, stat_connections and stat_subscriptions, and realtime.disconnect(). Rights are
// the functions' privileges.
#include <cstring>

#include "pg/inquiry_desk.h"

#include "pg/pg.h"

extern "C" {
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/tuplestore.h"
}

namespace realtime {

namespace {

constexpr int kMaxColumns = 16;

// Clients' text is UTF-8, this database's may be another; the worker's own words are ASCII.
void MakeValid(char* text) {
  const bool utf8 = GetDatabaseEncoding() == PG_UTF8;
  if (utf8 && pg_verifymbstr(text, static_cast<int>(strlen(text)), true)) return;
  for (char* at = text; *at != '\0'; ++at) *at = IS_HIGHBIT_SET(*at) ? '?' : *at;
}

// One value; *at moves behind it.
char* ReadValue(const char** at, const char* end) {
  int32 length;
  if (end - *at < static_cast<ptrdiff_t>(sizeof(length))) elog(ERROR, "the realtime worker's answer is cut off");
  memcpy(&length, *at, sizeof(length));
  *at += sizeof(length);
  if (length < 0) return nullptr;
  if (end - *at < length) elog(ERROR, "the realtime worker's answer is cut off");
  char* text = pnstrdup(*at, static_cast<Size>(length));
  *at += length;
  MakeValid(text);
  return text;
}

void PutRows(const desk::Received& received, ReturnSetInfo* result) {
  AttInMetadata* input = TupleDescGetAttInMetadata(result->setDesc);
  const int columns = result->setDesc->natts;
  if (columns > kMaxColumns) elog(ERROR, "too many columns");
  MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "realtime row", ALLOCSET_DEFAULT_SIZES);
  MemoryContext caller = MemoryContextSwitchTo(scratch);
  const char* at = received.bytes;
  const char* end = received.bytes + received.size;
  for (uint64_t i = 0; i < received.rows; ++i) {
    CHECK_FOR_INTERRUPTS();
    char* values[kMaxColumns];
    for (int column = 0; column < columns; ++column) values[column] = ReadValue(&at, end);
    tuplestore_puttuple(result->setResult, BuildTupleFromCStrings(input, values));
    MemoryContextReset(scratch);
  }
  MemoryContextSwitchTo(caller);
  MemoryContextDelete(scratch);
}

Datum Show(FunctionCallInfo fcinfo, InquiryKind kind) {
  InitMaterializedSRF(fcinfo, 0);
  const desk::Received received = desk::Ask(kind, 0);
  PutRows(received, reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo));
  if (received.more) {
    ereport(WARNING, (errmsg("only the first %llu rows are shown", static_cast<unsigned long long>(received.rows))));
  }
  return Datum{0};
}

}  // namespace
}  // namespace realtime

extern "C" {

PG_FUNCTION_INFO_V1(realtime_stat_channels);
PG_FUNCTION_INFO_V1(realtime_stat_connections);
PG_FUNCTION_INFO_V1(realtime_stat_subscriptions);
PG_FUNCTION_INFO_V1(realtime_disconnect);

PGDLLEXPORT Datum realtime_stat_channels(PG_FUNCTION_ARGS) {
  return realtime::Show(fcinfo, realtime::InquiryKind::kChannels);
}
PGDLLEXPORT Datum realtime_stat_connections(PG_FUNCTION_ARGS) {
  return realtime::Show(fcinfo, realtime::InquiryKind::kConnections);
}
PGDLLEXPORT Datum realtime_stat_subscriptions(PG_FUNCTION_ARGS) {
  return realtime::Show(fcinfo, realtime::InquiryKind::kSubscriptions);
}
PGDLLEXPORT Datum realtime_disconnect(PG_FUNCTION_ARGS) {
  const int64 connection = PG_GETARG_INT64(0);
  if (connection <= 0) PG_RETURN_BOOL(false);
  PG_RETURN_BOOL(realtime::desk::Ask(realtime::InquiryKind::kDisconnect, static_cast<uint64_t>(connection)).found);
}

}  // extern "C"
