// Figures that the database thread keeps, in shared memory (pg/stat.h); any thread and any backend may read them. A figure has
// one writer and is a word of its own, so counting is a plain load and store.
#ifndef REALTIME_CORE_FIGURES_H_
#define REALTIME_CORE_FIGURES_H_

#include "core/pure.h"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace realtime::stat {

enum class Figure : uint8_t {
  // Counters.
  kTransactions,      // decoded, to their end
  kRows,              // decoded; those of a connection that was lost in the midst of a commit come again
  kDeliveries,        // events handed to the network thread, one for each channel that gets it
  kPolicyChecks,      // of rows of subscribed tables; a table whose policies always or never hold needs none
  kSlowPolicyChecks,  // of these: by a look-up of the row's key, or in a role scope and an evaluation state of its own,
                      // because code ran that is not built in or is volatile
  kPolicyFailures,    // raised or ran out of time
  kFilterFailures,
  // Gauges.
  kParkedRows,
  kParkedBytes,
  kHistoryRows,
  kHistoryBytes,
  kQueueBytes,  // in the network thread's mailbox
  kConnections,
  kChannels,
  kSubscriptions,  // channels that are subscribed to changes
  kClientQueueBytes,  // in the clients' queues
  kLoopStallUs,       // 99th percentile of how long the network thread kept everybody waiting, in the last minute or two
  kConfirmedLsn,   // zero: there is no slot
  kReceivedLsn,
  kBehind,          // something of the stream waits to be read
  kOpenCommitTime,  // of the commit in whose midst the stream is; zero: none
  kLastCommitTime,  // of the one before it; microseconds since 2000
  kCount,
};

inline constexpr size_t kFigures = static_cast<size_t>(Figure::kCount);
using Figures = std::atomic<uint64_t>[kFigures];

inline uint64_t Read(const Figures& figures, Figure figure) {
  return figures[static_cast<size_t>(figure)].load(std::memory_order_relaxed);
}

}  // namespace realtime::stat

#endif  // REALTIME_CORE_FIGURES_H_
