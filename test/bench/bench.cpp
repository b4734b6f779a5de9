// What the extension costs next to a bare logical replication client on the same machine.
//
//   1. Delay of single-row commits at a fixed rate, one subscriber. For both clients: time of receipt minus the commit
//      time in the transaction's commit record (pgoutput's Begin; matched by id for the WebSocket client), one clock, the
//      same commits, the same run.
//   2. Rows per second of one big transaction to one subscriber. For all: from just before COMMIT is sent until the last
//      row was received. The bare client runs first and alone, before the extension has any subscriber.
//
// Environment: PGHOST PGPORT PGDATABASE PGUSER, REALTIME_URL_PORT, ANON_KEY, USER_KEY (a token whose `sub` is a UUID and
// whose role is authenticated); BENCH_RATE (500 per second), BENCH_SECONDS (10), BENCH_ROWS (100000), BENCH_RUNS (3).
#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include "bench/database.h"
#include "bench/measure.h"
#include "bench/stream.h"
#include "bench/ws_client.h"

namespace realtime::bench {
namespace {

constexpr int kPatienceMs = 30000;  // without a single row

void Prepare(Database* database) {
  database->Run("SET client_min_messages = warning");
  database->Run(
      "DROP TABLE IF EXISTS public.bench_single, public.bench_open, public.bench_own;"
      "DROP PUBLICATION IF EXISTS realtime_bench;"
      "CREATE TABLE public.bench_single (id bigint PRIMARY KEY, body text NOT NULL);"
      "CREATE TABLE public.bench_open (id bigint PRIMARY KEY, user_id uuid NOT NULL, body text NOT NULL);"
      "CREATE TABLE public.bench_own (LIKE public.bench_open INCLUDING ALL);"
      "ALTER TABLE public.bench_own ENABLE ROW LEVEL SECURITY;"
      "CREATE POLICY own ON public.bench_own FOR SELECT USING (auth.uid() = user_id);"
      "GRANT SELECT ON public.bench_single, public.bench_open, public.bench_own TO anon, authenticated;"
      "CREATE PUBLICATION realtime_bench FOR TABLE public.bench_single, public.bench_open, public.bench_own;"
      "SELECT realtime.publish('public.bench_single', 'public.bench_open', 'public.bench_own')");
}

void CleanUp(Database* database) {
  database->Run("DROP PUBLICATION realtime_bench; DROP TABLE public.bench_single, public.bench_open, public.bench_own");
}

std::string UserOf(Database* database, const std::string& token) {
  std::string user = database->Run(
      "SELECT convert_from(decode(rpad(p, (length(p) + 3) / 4 * 4, '='), 'base64'), 'UTF8')::jsonb ->> 'sub'"
      "  FROM translate(split_part($1, '.', 2), '-_', '+/') AS p",
      {token});
  if (user.empty()) Die("USER_KEY has no sub");
  return user;
}

// --- 1. delay

struct Samples {
  explicit Samples(size_t rows) : commit_us(rows), bare_us(rows), client_us(rows) {}
  std::vector<int64_t> commit_us, bare_us, client_us;  // by id; each written by one thread
};

void ReadBare(Stream* stream, Samples* samples) {
  StreamedRow streamed;
  for (size_t seen = 0; seen < samples->bare_us.size(); seen++) {
    if (!stream->Next(kPatienceMs, &streamed)) Die("bare client: " + stream->error());
    const Row& row = streamed.row->new_row;
    size_t id = 0;
    std::string_view text = row.empty() ? std::string_view() : row[0].text;
    std::from_chars(text.data(), text.data() + text.size(), id);
    if (text.empty() || id >= samples->bare_us.size()) Die("bare client: an unexpected row");
    samples->bare_us[id] = streamed.received_us;
    samples->commit_us[id] = streamed.commit_us;
  }
}

void ReadClient(RealtimeClient* client, Samples* samples) {
  Change change;
  for (size_t seen = 0; seen < samples->client_us.size(); seen++) {
    if (!client->Next(kPatienceMs, &change)) {
      Die("realtime client: " + (client->failed() ? client->error() : "got only " + std::to_string(seen) + " rows"));
    }
    int64_t id = RecordInteger(change.frame, "id");
    if (id < 0 || static_cast<size_t>(id) >= samples->client_us.size()) Die("no id in " + std::string(change.frame));
    samples->client_us[static_cast<size_t>(id)] = change.received_us;
  }
}

void Write(Database* database, size_t rows, int rate) {
  timespec due;
  clock_gettime(CLOCK_MONOTONIC, &due);
  for (size_t id = 0; id < rows; id++) {
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr);
    database->Run("INSERT INTO public.bench_single VALUES ($1, repeat('x', 100))", {std::to_string(id)});
    due.tv_nsec += 1000000000 / rate;
    due.tv_sec += due.tv_nsec / 1000000000;
    due.tv_nsec %= 1000000000;
  }
}

void ReportDelay(const Samples& samples, size_t warm_up, int rate) {
  std::vector<int64_t> bare, client;
  for (size_t id = warm_up; id < samples.commit_us.size(); id++) {
    bare.push_back(samples.bare_us[id] - samples.commit_us[id]);
    client.push_back(samples.client_us[id] - samples.commit_us[id]);
  }
  double bare50 = Percentile(bare, 0.5), bare99 = Percentile(bare, 0.99);
  double client50 = Percentile(client, 0.5), client99 = Percentile(client, 0.99);
  std::printf("commit to client, %zu commits at %d/s      p50 ms     p99 ms\n", bare.size(), rate);
  std::printf("  %-40s %8.3f   %8.3f\n", "bare pgoutput client", bare50, bare99);
  std::printf("  %-40s %8.3f   %8.3f\n", "realtime, one subscriber", client50, client99);
  std::printf("  %-40s %8.2f   %8.2f\n\n", "ratio", client50 / bare50, client99 / bare99);
}

void MeasureDelay(Database* database, int port, const std::string& key) {
  int rate = Number("BENCH_RATE", 500);
  size_t warm_up = static_cast<size_t>(rate);
  Samples samples(warm_up + static_cast<size_t>(rate) * static_cast<size_t>(Number("BENCH_SECONDS", 10)));
  RealtimeClient client;
  if (!client.Connect(port, key) || !client.Join("bench_single", kPatienceMs)) Die(client.error());
  Stream stream;
  if (!stream.Start("realtime_bench")) Die(stream.error());
  std::thread bare_reader(ReadBare, &stream, &samples);
  std::thread client_reader(ReadClient, &client, &samples);
  Write(database, samples.commit_us.size(), rate);
  bare_reader.join();
  client_reader.join();
  ReportDelay(samples, warm_up, rate);
}

// --- 2. one big transaction

// Inserts and commits; returns the time just before COMMIT was sent. The rows of an earlier run go first, in a
// transaction of their own, which no subscriber hears of.
int64_t BigCommit(Database* database, const std::string& table, const std::string& user, int rows) {
  database->Run("TRUNCATE public." + table);
  database->Run("BEGIN");
  database->Run("INSERT INTO public." + table + " SELECT i, $1::uuid, repeat('x', 100) FROM generate_series(1, $2::int) i",
                {user, std::to_string(rows)});
  int64_t began_us = NowMicros();
  database->Run("COMMIT");
  return began_us;
}

// Median seconds of the runs; `read` returns when it has received that many rows, with the time of the last.
template <typename Read>
double MeasureRows(Database* database, const std::string& table, const std::string& user, Read read) {
  int rows = Number("BENCH_ROWS", 100000);
  std::vector<double> seconds;
  for (int run = Number("BENCH_RUNS", 3); run > 0; run--) {
    int64_t last_us = 0;
    std::thread reader([&] { last_us = read(rows); });
    int64_t began_us = BigCommit(database, table, user, rows);
    reader.join();
    seconds.push_back(static_cast<double>(last_us - began_us) / 1e6);
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

double BareRows(Database* database, const std::string& table, const std::string& user) {
  Stream stream;
  if (!stream.Start("realtime_bench")) Die(stream.error());
  return MeasureRows(database, table, user, [&](int rows) {
    StreamedRow row;
    for (int seen = 0; seen < rows; seen++) {
      if (!stream.Next(kPatienceMs, &row)) Die("bare client: " + stream.error());
    }
    return row.received_us;
  });
}

double ClientRows(Database* database, int port, const std::string& key, const std::string& table,
                  const std::string& user) {
  RealtimeClient client;
  if (!client.Connect(port, key) || !client.Join(table, kPatienceMs)) Die(client.error());
  return MeasureRows(database, table, user, [&](int rows) {
    Change change;
    for (int seen = 0; seen < rows; seen++) {
      if (!client.Next(kPatienceMs, &change)) {
        Die(table + ": " + (client.failed() ? client.error() : "only " + std::to_string(seen) + " rows arrived"));
      }
    }
    return change.received_us;
  });
}

void ReportRows(const char* name, double seconds, double bare) {
  double rows = Number("BENCH_ROWS", 100000);
  std::printf("  %-40s %8.0f   %8.3f   %8.2f\n", name, rows / seconds, seconds, seconds / bare);
}

int Main() {
  int port = Number("REALTIME_URL_PORT", 4000);
  std::string anon = Env("ANON_KEY"), user_key = Env("USER_KEY");
  Database database;
  std::string user = UserOf(&database, user_key);
  Prepare(&database);
  double bare = BareRows(&database, "bench_open", user);
  MeasureDelay(&database, port, anon);
  double open = ClientRows(&database, port, anon, "bench_open", user);
  double own = ClientRows(&database, port, user_key, "bench_own", user);
  std::printf("one transaction of %d rows, median of %d    rows/s    seconds      ratio\n", Number("BENCH_ROWS", 100000),
              Number("BENCH_RUNS", 3));
  ReportRows("bare pgoutput client", bare, bare);
  ReportRows("realtime, no RLS", open, bare);
  ReportRows("realtime, RLS auth.uid() = user_id", own, bare);
  CleanUp(&database);
  return 0;
}

}  // namespace
}  // namespace realtime::bench

int main() { return realtime::bench::Main(); }
