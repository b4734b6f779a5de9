// Where a backend asks the worker for what lives in the worker's two threads, and gets the answer: the views behind pg/stat_views.
//
//   free ──(a backend asks)──> asked ──(worker takes)──> taken ──(worker answers)──> answered ──(the backend has read)──> free
//
// One question at a time, under a spinlock in shared memory; others wait for their turn. The answer is a segment of dynamic
// shared memory that the worker makes once all rows are known, and keeps until they have been read: so it never waits for a
// backend, what the backends may hold is bounded, and the worker's end takes everything with it. A backend waits kPatienceMs;
// a question whose backend has vanished is taken over by the next after kAbandonedMs.
#ifndef REALTIME_PG_INQUIRY_DESK_H_
#define REALTIME_PG_INQUIRY_DESK_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/inquiry.h"

namespace realtime::desk {

// In the postmaster.
size_t SharedSize();
void Attach(void* memory, bool initialized);

// ---- the worker's database thread ----

// Once: from here on questions are taken.
void Open();
// A question that waits. Frees the last answer when it has been read.
std::optional<Inquiry> Take();
struct Reply {
  bool found = false;
  bool more = false;
};
// Nothing happens when nobody waits for it any more. Not inside a transaction.
void Answer(uint64_t ticket, const ViewRows& rows, Reply reply);

// ---- a backend ----

// Of the caller's memory context.
struct Received {
  char* bytes;
  size_t size;
  uint64_t rows;
  bool found;
  bool more;
};
// Raises when there is no worker, or no answer in time.
Received Ask(InquiryKind kind, uint64_t connection);

}  // namespace realtime::desk

#endif  // REALTIME_PG_INQUIRY_DESK_H_
