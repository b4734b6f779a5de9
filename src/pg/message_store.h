// Messages that clients ask to have stored: rows of realtime.messages, inserted with the sender's rights (role scope, row-level
// security, triggers and all). Database thread only; nothing here raises, except the watchdog's FATAL.
#ifndef REALTIME_PG_MESSAGE_STORE_H_
#define REALTIME_PG_MESSAGE_STORE_H_

#include <cstdint>

#include "core/door.h"

namespace realtime {

// In a transaction of its own, committed when it returns. *xid is the transaction's, which the stream will bring as well and
// whose message is not to be delivered from there. Zero: nothing was written, or it is to be: the table has a BEFORE trigger,
// which may have made another message of it; the result's message is null then. With request.store unset it only answers.
Stored StoreMessage(const Store& request, uint32_t* xid);

}  // namespace realtime

#endif  // REALTIME_PG_MESSAGE_STORE_H_
