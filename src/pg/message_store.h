// Messages that clients ask to have stored: rows of realtime.messages, inserted with the sender's rights (role scope, row-level
// security, triggers and all). Database thread only; nothing here raises, except the watchdog's FATAL.
#ifndef REALTIME_PG_MESSAGE_STORE_H_
#define REALTIME_PG_MESSAGE_STORE_H_

#include <cstdint>

#include "core/door.h"

namespace realtime {

// In a transaction of its own, committed when it returns. *xid is the transaction's, which the stream will bring as well and
// whose messages are not to be delivered from there (zero: nothing was written). With request.store unset it only answers.
Stored StoreMessage(const Store& request, uint32_t* xid);

}  // namespace realtime

#endif  // REALTIME_PG_MESSAGE_STORE_H_
