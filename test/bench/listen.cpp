// Somebody who listens while something else is measured: one subscriber of the extension, or a bare logical replication
// client. Reads everything, keeps nothing, until it is ended.
//   listen realtime TABLE | listen bare PUBLICATION
// Prints `ready` once changes arrive from then on. Wants ANON_KEY, REALTIME_URL_PORT and the PG* variables.
#include <cstdio>
#include <string>

#include "bench/measure.h"
#include "bench/stream.h"
#include "bench/ws_client.h"

namespace realtime::bench {
namespace {

constexpr int kJoinMs = 20000;
constexpr int kWaitMs = 1000;

void Ready() {
  std::puts("ready");
  std::fflush(stdout);
}

void ListenToRealtime(const std::string& table) {
  RealtimeClient client(1 << 22);
  if (!client.Connect(Number("REALTIME_URL_PORT", 4000), Env("ANON_KEY")) || !client.Join(table, kJoinMs)) {
    Die("cannot subscribe to " + table + ": " + client.error());
  }
  Ready();
  Change change;
  while (!client.failed()) client.Next(kWaitMs, &change);
  Die(client.error());
}

void ListenBare(const std::string& publication) {
  Stream stream;
  if (!stream.Start(publication)) Die("cannot stream " + publication + ": " + stream.error());
  Ready();
  StreamedRow row;
  while (stream.error().empty()) stream.Next(kWaitMs, &row);
  Die(stream.error());
}

}  // namespace
}  // namespace realtime::bench

int main(int argc, char** argv) {
  const std::string what = argc == 3 ? argv[1] : "";
  if (what == "realtime") realtime::bench::ListenToRealtime(argv[2]);
  if (what == "bare") realtime::bench::ListenBare(argv[2]);
  realtime::bench::Die("usage: listen realtime TABLE | listen bare PUBLICATION");
}
