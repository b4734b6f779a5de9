// What realtime.stat_worker shows: figures in shared memory, written by the worker's database thread and read by any backend.
//
// A figure has one writer and is a word of its own, so counting is a plain load and store; texts are behind a spinlock. All
// start over with the worker process, except how often it has been started. Figures of one reading may belong to moments
// that lie some microseconds apart.
#ifndef REALTIME_PG_STAT_H_
#define REALTIME_PG_STAT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/figures.h"

namespace realtime::stat {

namespace internal {
// In shared memory; null in all processes but the worker.
extern Figures* figures;
}  // namespace internal

// In the worker, on the database thread.
inline void Set(Figure figure, uint64_t value) {
  (*internal::figures)[static_cast<size_t>(figure)].store(value, std::memory_order_relaxed);
}
inline void Add(Figure figure, uint64_t count = 1) {
  std::atomic<uint64_t>& word = (*internal::figures)[static_cast<size_t>(figure)];
  word.store(word.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
}

// Changes that wait until they can be judged.
inline void SetParked(uint64_t rows, uint64_t bytes) {
  Set(Figure::kParkedRows, rows);
  Set(Figure::kParkedBytes, bytes);
}
// Changes that are kept for clients that come back.
inline void SetHistory(uint64_t rows, uint64_t bytes) {
  Set(Figure::kHistoryRows, rows);
  Set(Figure::kHistoryBytes, bytes);
}

// Texts are cut where they are too long. An empty slot name: there is none.
void SetState(const std::string& state);
void SetSlot(const std::string& name);
// Does nothing in other processes.
void SetError(const std::string& error);

// In the postmaster.
size_t SharedSize();
void Attach(void* memory, bool initialized);

// Once, when the worker process starts: all figures start over. What it leaves at its exit says that it does not run.
void Begin();

}  // namespace realtime::stat

#endif  // REALTIME_PG_STAT_H_
