// What the worker does while something takes long.
//
//   1. Heartbeats on a socket of their own: while nothing else happens, while one large transaction goes to a subscriber,
//      also to one that reads more slowly than the stream comes, while a policy sleeps, while the creation of the slot
//      waits for an old transaction.
//   2. The large transactions: that every row arrives once and in order, rows per second, and the worker's own memory
//      (RssAnon: without shared buffers), before them and at its highest.
//
// Environment: PGHOST PGPORT PGDATABASE PGUSER (a superuser on the server's machine: /proc is read, settings are changed
// and reset), REALTIME_URL_PORT, ANON_KEY; BENCH_LARGE_ROWS (1000000), BENCH_SLOW_RATE (80000
// rows per second; what waits for such a client is in the worker's memory), BENCH_STALL_SECONDS (3).
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "bench/database.h"
#include "bench/heartbeats.h"
#include "bench/measure.h"
#include "bench/ws_client.h"

namespace realtime::bench {
namespace {

constexpr int kPatienceMs = 60000;
constexpr int kLargePatienceMs = 600000;  // for the first row: the INSERT comes before it
constexpr std::chrono::milliseconds kSampleEvery(10);
constexpr int64_t kPacedRows = 500;  // a slow subscriber reads so many, and waits for their time to be over
constexpr char kSlot[] = "realtime_bench";

int StallSeconds() { return Number("BENCH_STALL_SECONDS", 3); }

struct Server {
  Database database;
  int port = Number("REALTIME_URL_PORT", 4000);
  std::string key = Env("ANON_KEY");
};

void Prepare(Database* database) {
  database->Run("SET client_min_messages = warning");
  database->Run(
      "DROP TABLE IF EXISTS public.bench_large, public.bench_slow;"
      "CREATE TABLE public.bench_large (id bigint PRIMARY KEY, body text NOT NULL);"
      "CREATE TABLE public.bench_slow (id bigint PRIMARY KEY);"
      "ALTER TABLE public.bench_slow ENABLE ROW LEVEL SECURITY;"
      "GRANT SELECT ON public.bench_large, public.bench_slow TO anon;"
      "SELECT realtime.publish('public.bench_large', 'public.bench_slow')");
  database->Run("CREATE POLICY slow ON public.bench_slow USING (pg_sleep(" + std::to_string(StallSeconds()) +
                ") IS NOT NULL)");
}

void Subscribe(const Server& server, const std::string& table, RealtimeClient* client) {
  if (!client->Connect(server.port, server.key) || !client->Join(table, kPatienceMs)) Die(table + ": " + client->error());
}

void ReportHeartbeats(const std::string& name, const std::vector<int64_t>& delays_us) {
  std::printf("  %-44s %8.3f   %8.3f   %8.3f\n", name.c_str(), Percentile(delays_us, 0.5), Percentile(delays_us, 0.99),
              Percentile(delays_us, 1));
  std::fflush(stdout);
}

void LetPass(int64_t from_us) {
  int64_t left_us = from_us + int64_t{StallSeconds()} * 1000000 - NowMicros();
  if (left_us > 0) std::this_thread::sleep_for(std::chrono::microseconds(left_us));
}

void MeasureQuiet(Server* server) {
  Heartbeats heartbeats(server->port, server->key);
  int64_t began_us = NowMicros();
  LetPass(began_us);
  ReportHeartbeats("nothing else happens", heartbeats.Stop(began_us));
}

// --- the large transaction

// In KiB.
int64_t MemoryOf(const std::string& pid) {
  std::ifstream status("/proc/" + pid + "/status");
  for (std::string word; status >> word;) {
    int64_t kilobytes = 0;
    if (word == "RssAnon:" && status >> kilobytes) return kilobytes;
  }
  Die("no RssAnon of process " + pid + ": does the server run on this machine?");
}

// The highest that was seen until Stop.
class MemoryWatch {
 public:
  explicit MemoryWatch(const std::string& pid) : before_(MemoryOf(pid)), highest_(before_), thread_([this, pid] {
      while (!stopped_) {
        highest_ = std::max(highest_, MemoryOf(pid));
        std::this_thread::sleep_for(kSampleEvery);
      }
    }) {}
  void Stop() {
    stopped_ = true;
    thread_.join();
  }
  double before() const { return static_cast<double>(before_) / 1024; }
  double highest() const { return static_cast<double>(highest_) / 1024; }  // after Stop

 private:
  std::atomic<bool> stopped_{false};
  int64_t before_;
  int64_t highest_;
  std::thread thread_;
};

// Returns when the last one was received. `rate` is in rows per second at most; zero: as fast as they come.
int64_t ReadRows(RealtimeClient* client, int rows, int rate) {
  Change change;
  auto due = std::chrono::steady_clock::time_point::min();
  for (int64_t wanted = 1; wanted <= rows; wanted++) {
    if (rate > 0 && wanted % kPacedRows == 0) {
      due = std::max(due, std::chrono::steady_clock::now()) + std::chrono::microseconds(kPacedRows * 1000000 / rate);
      std::this_thread::sleep_until(due);
    }
    if (!client->Next(wanted == 1 ? kLargePatienceMs : kPatienceMs, &change)) {
      Die("large transaction: " + (client->failed() ? client->error() : "only " + std::to_string(wanted - 1) + " rows arrived"));
    }
    int64_t id = RecordInteger(change.frame, "id");
    if (id != wanted) Die("row " + std::to_string(id) + " came instead of row " + std::to_string(wanted));
  }
  return change.received_us;
}

struct Large {
  std::string subscriber;
  double seconds = 0;
  double before_mib = 0;
  double highest_mib = 0;
};

Large MeasureLarge(Server* server, int rate) {
  int rows = Number("BENCH_LARGE_ROWS", 1000000);
  std::string pid = server->database.Run("SELECT pid FROM pg_stat_activity WHERE backend_type = 'realtime worker'");
  RealtimeClient client;
  Subscribe(*server, "bench_large", &client);
  server->database.Run("TRUNCATE public.bench_large");
  Heartbeats heartbeats(server->port, server->key);
  MemoryWatch memory(pid);
  int64_t last_us = 0;
  std::thread reader([&] { last_us = ReadRows(&client, rows, rate); });
  server->database.Run("BEGIN");
  server->database.Run("INSERT INTO public.bench_large SELECT i, repeat('x', 100) FROM generate_series(1, $1::int) i",
                       {std::to_string(rows)});
  int64_t began_us = NowMicros();
  server->database.Run("COMMIT");
  reader.join();
  std::string subscriber = rate > 0 ? "who reads " + std::to_string(rate) + "/s" : "who reads all at once";
  ReportHeartbeats(std::to_string(rows) + " rows to one " + subscriber, heartbeats.Stop(began_us));
  memory.Stop();
  // Nothing may come behind the last row but the next change.
  server->database.Run("INSERT INTO public.bench_large VALUES (0, '')");
  Change change;
  if (!client.Next(kPatienceMs, &change) || RecordInteger(change.frame, "id") != 0) Die("a row was repeated");
  return {subscriber, static_cast<double>(last_us - began_us) / 1e6, memory.before(), memory.highest()};
}

void ReportLarge(const std::vector<Large>& larges) {
  int rows = Number("BENCH_LARGE_ROWS", 1000000);
  std::printf("\none commit of %7d rows to one subscriber                  worker's own memory, MiB\n", rows);
  std::printf("each once and in order                rows/s    seconds     before    highest     growth\n");
  for (const Large& large : larges) {
    std::printf("  %-32s %9.0f   %8.3f   %8.1f   %8.1f   %8.1f\n", large.subscriber.c_str(), rows / large.seconds, large.seconds,
                large.before_mib, large.highest_mib, large.highest_mib - large.before_mib);
  }
  std::printf("\n");
}

// --- stalls

void MeasureSlowPolicy(Server* server) {
  server->database.Configure("realtime.policy_timeout", std::to_string(StallSeconds() * 5) + "s");
  RealtimeClient client;
  Subscribe(*server, "bench_slow", &client);
  Heartbeats heartbeats(server->port, server->key);
  int64_t began_us = NowMicros();
  server->database.Run("INSERT INTO public.bench_slow VALUES (1)");
  Change change;
  if (!client.Next(kPatienceMs, &change)) Die("bench_slow: " + (client.failed() ? client.error() : "no change arrived"));
  if (RecordInteger(change.frame, "id") != 1) Die("bench_slow: " + std::string(change.frame));
  if (change.received_us - began_us < int64_t{StallSeconds()} * 1000000) Die("the policy did not sleep");
  ReportHeartbeats("a policy sleeps " + std::to_string(StallSeconds()) + " s", heartbeats.Stop(began_us));
  server->database.Configure("realtime.policy_timeout", "");
}

// A new name makes the worker create a new slot, which takes until every transaction with an id has ended.
void MeasureSlotCreation(Server* server) {
  RealtimeClient client;
  Subscribe(*server, "bench_large", &client);
  Database old;
  old.Run("BEGIN");
  old.Run("SELECT txid_current()");
  Heartbeats heartbeats(server->port, server->key);
  const std::string waits = std::string("SELECT 1 FROM pg_replication_slots WHERE slot_name = '") + kSlot +
                            "' AND confirmed_flush_lsn IS NULL";
  server->database.Configure("realtime.slot_name", kSlot);
  server->database.WaitFor(waits, "the creation of a slot");
  int64_t began_us = NowMicros();
  LetPass(began_us);
  if (server->database.Run(waits).empty()) Die("the slot's creation did not wait");
  std::vector<int64_t> delays_us = heartbeats.Stop(began_us);
  old.Run("COMMIT");
  ReportHeartbeats("slot creation waits for a transaction", delays_us);
  server->database.Configure("realtime.slot_name", "");
  server->database.WaitFor(std::string("SELECT 1 FROM pg_replication_slots WHERE active AND slot_name = "
                                       "current_setting('realtime.slot_name') AND slot_name <> '") + kSlot + "'",
                           "the usual slot");
}

int Main() {
  Server server;
  Prepare(&server.database);
  std::printf("heartbeats, %d/s, while ...                      p50 ms     p99 ms   worst ms\n", kHeartbeatsPerSecond);
  MeasureQuiet(&server);
  std::vector<Large> larges{MeasureLarge(&server, 0), MeasureLarge(&server, Number("BENCH_SLOW_RATE", 80000))};
  MeasureSlowPolicy(&server);
  MeasureSlotCreation(&server);
  ReportLarge(larges);
  server.database.Run("DROP TABLE public.bench_large, public.bench_slow");
  return 0;
}

}  // namespace
}  // namespace realtime::bench

int main() { return realtime::bench::Main(); }
