// One REST call on its connection.
#ifndef REALTIME_NET_EXCHANGE_H_
#define REALTIME_NET_EXCHANGE_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>

#include "core/engine.h"
#include "core/rest.h"

namespace realtime {

struct Socket;

//   reading ──(whole body)──> waiting ──(Answer)──> answered ──(written)──> gone
//      └────────(refused, time)──> answered ──(written, body still coming)──> lingering ──> gone
//
// A connection that is closed while the peer still sends is reset, and the peer may never see the answer: so the rest of the
// body is read and thrown away for a while.
struct Exchange {
  enum class State : uint8_t { kReading, kWaiting, kAnswered, kLingering };

  State state = State::kReading;
  CallId id = 0;
  RestCall call;
  size_t expected = 0;    // bytes of the body
  size_t held = 0;        // bytes counted against what all calls together may hold
  size_t discarded = 0;
  bool complete = false;  // nothing of the body is outstanding
  bool is_head = false;
  std::string request_id;
  RestAnswer answer;

  // The list of Sockets that it is in, if any: those that are reading, or lingering.
  std::list<Socket*>* list = nullptr;
  std::list<Socket*>::iterator place;
};

}  // namespace realtime

#endif  // REALTIME_NET_EXCHANGE_H_
