// From the commit of one row to its subscribers, with ever more of them: each listening to a row of its own, and all to the
// same row. Next to a bare logical replication client that reads the same commits in the same run; both are measured from
// the commit time in the transaction's commit record, on one clock. Where all listen to one row, the time is that of each.
//
// Environment: PGHOST PGPORT PGDATABASE PGUSER, REALTIME_URL_PORT, ANON_KEY; BENCH_LATENCY_LISTENERS ("1 100 1000"),
// BENCH_LATENCY_RATE (200 commits per second), BENCH_LATENCY_SECONDS (5).
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "bench/database.h"
#include "bench/listeners.h"
#include "bench/measure.h"
#include "bench/stream.h"
#include "bench/ws_client.h"

namespace realtime::bench {
namespace {

constexpr int kPatienceMs = 30000;
// Where every commit goes to all, so many messages per second at most: the rate of commits is lowered. More of them would
// measure throughput.
constexpr size_t kMostMessages = 20000;

struct Plan {
  size_t listeners = 0;
  bool own_row_each = true;
  int rate = 0;
  size_t warm_up = 0;
  size_t commits = 0;  // with those of the warm-up
};

Plan PlanFor(size_t listeners, bool own_row_each) {
  Plan plan{listeners, own_row_each, Number("BENCH_LATENCY_RATE", 200)};
  if (!own_row_each) plan.rate = std::min(plan.rate, static_cast<int>(std::max<size_t>(kMostMessages / listeners, 1)));
  plan.warm_up = static_cast<size_t>(plan.rate);
  plan.commits = plan.warm_up + static_cast<size_t>(plan.rate) * static_cast<size_t>(Number("BENCH_LATENCY_SECONDS", 5));
  return plan;
}

struct Times {
  explicit Times(size_t commits) : commit_us(commits), bare_us(commits) {}
  std::vector<int64_t> commit_us, bare_us;  // by number of the commit
  struct Arrival {
    size_t commit;
    int64_t received_us;
  };
  std::vector<Arrival> arrivals;  // at the listeners
};

void Prepare(Database* database, size_t rows) {
  database->Run("SET client_min_messages = warning");
  database->Run(
      "DROP TABLE IF EXISTS public.bench_rows;"
      "DROP PUBLICATION IF EXISTS realtime_bench;"
      "CREATE TABLE public.bench_rows (id int PRIMARY KEY, n bigint NOT NULL, body text NOT NULL) WITH (fillfactor = 50);"
      "GRANT SELECT ON public.bench_rows TO anon;"
      "CREATE PUBLICATION realtime_bench FOR TABLE public.bench_rows;"
      "SELECT realtime.publish('public.bench_rows')");
  database->Run("INSERT INTO public.bench_rows SELECT i, -1, repeat('x', 100) FROM generate_series(0, $1::int - 1) i",
                {std::to_string(rows)});
}

void ReadBare(Stream* stream, Times* times) {
  StreamedRow streamed;
  for (size_t seen = 0; seen < times->bare_us.size(); seen++) {
    if (!stream->Next(kPatienceMs, &streamed)) Die("bare client: " + stream->error());
    const Row& row = streamed.row->new_row;
    size_t n = SIZE_MAX;
    if (row.size() > 1) std::from_chars(row[1].text.data(), row[1].text.data() + row[1].text.size(), n);
    if (n >= times->bare_us.size()) Die("bare client: an unexpected row");
    times->bare_us[n] = streamed.received_us;
    times->commit_us[n] = streamed.commit_us;
  }
}

// Each change must come, once and in order, to whom it is for.
void ReadListeners(Listeners* listeners, const Plan& plan, Times* times) {
  const size_t wanted = plan.own_row_each ? plan.commits : plan.commits * plan.listeners;
  std::vector<size_t> next(plan.listeners, 0);
  for (size_t i = 0; plan.own_row_each && i < plan.listeners; i++) next[i] = i;
  auto on_change = [&](size_t listener, std::string_view frame, int64_t received_us) {
    int64_t n = RecordInteger(frame, "n");
    if (n < 0 || static_cast<size_t>(n) != next[listener]) Die("unexpected: " + std::string(frame));
    next[listener] += plan.own_row_each ? plan.listeners : 1;
    times->arrivals.push_back({static_cast<size_t>(n), received_us});
  };
  int64_t last_us = NowMicros();
  while (times->arrivals.size() < wanted) {
    size_t before = times->arrivals.size();
    if (!listeners->Poll(1000, on_change)) Die("listeners: " + listeners->error());
    if (times->arrivals.size() != before) last_us = NowMicros();
    if (NowMicros() - last_us > int64_t{kPatienceMs} * 1000) {
      Die("only " + std::to_string(before) + " of " + std::to_string(wanted) + " changes arrived");
    }
  }
}

void Write(Database* database, const Plan& plan) {
  timespec due;
  clock_gettime(CLOCK_MONOTONIC, &due);
  for (size_t n = 0; n < plan.commits; n++) {
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr);
    size_t row = plan.own_row_each ? n % plan.listeners : 0;
    database->Run("UPDATE public.bench_rows SET n = $1 WHERE id = $2", {std::to_string(n), std::to_string(row)});
    due.tv_nsec += 1000000000 / plan.rate;
    due.tv_sec += due.tv_nsec / 1000000000;
    due.tv_nsec %= 1000000000;
  }
}

void Report(const Plan& plan, const Times& times) {
  std::vector<int64_t> bare, ours;
  for (size_t n = plan.warm_up; n < plan.commits; n++) bare.push_back(times.bare_us[n] - times.commit_us[n]);
  for (const Times::Arrival& arrival : times.arrivals) {
    if (arrival.commit >= plan.warm_up) ours.push_back(arrival.received_us - times.commit_us[arrival.commit]);
  }
  char name[80];
  std::snprintf(name, sizeof(name), "%5zu subscriber%s of %s, %d/s", plan.listeners, plan.listeners == 1 ? "" : "s",
                plan.own_row_each ? "one row each" : "the same row", plan.rate);
  double bare50 = Percentile(bare, 0.5), bare99 = Percentile(bare, 0.99);
  double ours50 = Percentile(ours, 0.5), ours99 = Percentile(ours, 0.99);
  std::printf("  %-42s %7.3f  %7.3f  %7.3f  %7.3f  %6.2f  %6.2f\n", name, bare50, bare99, ours50, ours99, ours50 / bare50,
              ours99 / bare99);
  std::fflush(stdout);
}

void Measure(Database* database, size_t count, bool own_row_each) {
  Plan plan = PlanFor(count, own_row_each);
  Times times(plan.commits);
  Listeners listeners;
  if (!listeners.Join(Number("REALTIME_URL_PORT", 4000), Env("ANON_KEY"), "bench_rows", count, own_row_each)) {
    Die(listeners.error());
  }
  Stream stream;
  if (!stream.Start("realtime_bench")) Die(stream.error());
  std::thread bare(ReadBare, &stream, &times);
  std::thread ours([&] { ReadListeners(&listeners, plan, &times); });
  Write(database, plan);
  bare.join();
  ours.join();
  Report(plan, times);
}

std::vector<size_t> Sizes() {
  rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  const char* wanted = std::getenv("BENCH_LATENCY_LISTENERS");
  std::istringstream in(wanted == nullptr ? "1 100 1000" : wanted);
  std::vector<size_t> sizes;
  for (size_t size; in >> size;) sizes.push_back(size);
  if (sizes.empty() || *std::min_element(sizes.begin(), sizes.end()) == 0) Die("BENCH_LATENCY_LISTENERS must be positive numbers");
  return sizes;
}

int Main() {
  std::vector<size_t> sizes = Sizes();
  Database database;
  Prepare(&database, *std::max_element(sizes.begin(), sizes.end()));
  std::printf("commit to client, ms                         bare p50      p99      p50      p99  ratios of p50, p99\n");
  for (size_t size : sizes) Measure(&database, size, true);
  for (size_t size : sizes) {
    if (size > 1) Measure(&database, size, false);
  }
  database.Run("DROP PUBLICATION realtime_bench; DROP TABLE public.bench_rows");
  return 0;
}

}  // namespace
}  // namespace realtime::bench

int main() { return realtime::bench::Main(); }
