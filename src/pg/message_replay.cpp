#include "pg/message_replay.h"

#include <algorithm>

#include "core/json.h"
#include "pg/text_encoding.h"
#include "pg/pg.h"

extern "C" {
#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
}

namespace realtime {
namespace {

constexpr int kMaxMessages = 25;
// A joining client's channel holds these until its answer is sent; a fraction of what may wait for one socket.
constexpr size_t kMaxBytes = 8u << 20;
// Clocks of those who insert may be ahead of ours, but not by days: such rows would be replayed for ever.
constexpr int64 kAheadUs = 60 * int64{1000000};
constexpr int64 kEpochMs = int64{POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE} * SECS_PER_DAY * 1000;
constexpr int64 kLastMs = int64{253402300799} * 1000;  // the end of the year 9999

// Rows of one microsecond have their places in the partition to say which came first, as a rule.
constexpr char kQuery[] =
    "SELECT m.id, m.event, m.payload, m.binary_payload FROM realtime.messages m"
    " WHERE m.topic OPERATOR(pg_catalog.=) $1 AND m.extension OPERATOR(pg_catalog.=) 'broadcast'::pg_catalog.text"
    " AND m.private"
    " AND m.inserted_at OPERATOR(pg_catalog.>=) $2 AND m.inserted_at OPERATOR(pg_catalog.<) $3"
    " AND (m.expires_at IS NULL OR m.expires_at OPERATOR(pg_catalog.>) $4)"
    " AND m.event IS NOT NULL AND (m.payload IS NOT NULL OR m.binary_payload IS NOT NULL)"
    " ORDER BY m.inserted_at DESC, m.ctid DESC LIMIT $5";
enum Field { kId = 1, kEvent, kPayload, kBinaryPayload };

Portal OpenCursor(const std::string& topic, const ReplayRequest& request) {
  constexpr int kCount = 5;
  Oid types[kCount] = {TEXTOID, TIMESTAMPOID, TIMESTAMPOID, TIMESTAMPOID, INT8OID};
  // In UTC, as the columns are: a timestamptz is the timestamp of the same number.
  Timestamp now = GetCurrentTimestamp();
  int64 since = (std::clamp<int64>(request.since_ms, 0, kLastMs) - kEpochMs) * 1000;
  Datum values[kCount] = {CStringGetTextDatum(ToServerText(topic)), TimestampGetDatum(since), TimestampGetDatum(now + kAheadUs),
                          TimestampGetDatum(now), Int64GetDatum(std::clamp(request.limit, 1, kMaxMessages))};
  return SPI_cursor_open_with_args(nullptr, kQuery, kCount, types, values, nullptr, true, 0);
}

// A row as text and bytes of the current memory context.
struct StoredMessage {
  char* id;
  char* event;
  const char* payload;
  size_t payload_size;
  bool binary;
};

// False when it is larger than `budget`, which is seen before it is read.
bool ReadRow(HeapTuple tuple, TupleDesc desc, size_t budget, StoredMessage* message) {
  bool is_null = false;
  Datum payload = SPI_getbinval(tuple, desc, kPayload, &is_null);
  message->binary = is_null;
  if (is_null) payload = SPI_getbinval(tuple, desc, kBinaryPayload, &is_null);
  if (toast_raw_datum_size(payload) > budget) return false;
  message->id = SPI_getvalue(tuple, desc, kId);
  message->event = ToUtf8(SPI_getvalue(tuple, desc, kEvent));
  if (message->binary) {
    bytea* bytes = DatumGetByteaPP(payload);
    message->payload = VARDATA_ANY(bytes);
    message->payload_size = VARSIZE_ANY_EXHDR(bytes);
  } else {
    Jsonb* value = DatumGetJsonbP(payload);
    message->payload = ToUtf8(JsonbToCString(nullptr, &value->root, VARSIZE(value)));
    message->payload_size = strlen(message->payload);
  }
  return message->payload_size <= budget;
}

// Not for what a SQL_ASCII database holds without being UTF-8: no client would survive it.
void Append(const std::string& topic, const StoredMessage& row, std::vector<BroadcastPtr>* out) {
  std::string_view payload(row.payload, row.payload_size);
  if (!json::IsValidUtf8(row.event) || (!row.binary && !json::IsValidUtf8(payload))) return;
  auto message = std::make_shared<Broadcast>();
  message->topic = topic;
  message->is_private = true;
  message->form = row.binary ? Broadcast::Form::kBinary : Broadcast::Form::kJson;
  message->event = row.event;
  message->payload = std::make_shared<const std::string>(payload);
  message->id = row.id;
  message->replayed = true;
  out->push_back(std::move(message));
}

}  // namespace

void ReadStoredMessages(const std::string& topic, const ReplayRequest& request, std::vector<BroadcastPtr>* out) {
  SPI_connect();
  Portal cursor = OpenCursor(topic, request);
  size_t first = out->size();
  size_t budget = kMaxBytes;
  for (;;) {
    // One at a time: a payload may be large, and 25 of them more than the memory.
    SPI_cursor_fetch(cursor, true, 1);
    if (SPI_processed == 0) break;
    StoredMessage message = {};
    if (!ReadRow(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, budget, &message)) break;
    Append(topic, message, out);
    budget -= message.payload_size;
    SPI_freetuptable(SPI_tuptable);
  }
  SPI_cursor_close(cursor);
  SPI_finish();
  std::reverse(out->begin() + static_cast<std::ptrdiff_t>(first), out->end());
}

}  // namespace realtime
