// Stored messages for a channel that has just been joined: what the current role may see of them. Database thread only,
// inside a transaction; may raise.
#ifndef REALTIME_PG_MESSAGE_REPLAY_H_
#define REALTIME_PG_MESSAGE_REPLAY_H_

#include <string>
#include <vector>

#include "core/broadcast.h"
#include "core/rights.h"

namespace realtime {

// Appends the newest private broadcasts of the topic since request.since_ms, at most request.limit of them, oldest first,
// all within a few megabytes: what does not fit any more is left out, the older first. The topic must be storable text.
void ReadStoredMessages(const std::string& topic, const ReplayRequest& request, std::vector<BroadcastPtr>* out);

}  // namespace realtime

#endif  // REALTIME_PG_MESSAGE_REPLAY_H_
