// The payloads of the server's own messages, as JSON text.
#ifndef REALTIME_CORE_PAYLOADS_H_
#define REALTIME_CORE_PAYLOADS_H_

#include "core/pure.h"

#include <string>
#include <string_view>

namespace realtime {

// Appends a text as a JSON string. Messages of the database are in its own encoding, which under SQL_ASCII can be anything. A
// browser ends the connection at the first text frame that is not UTF-8, so such a message loses what is not ASCII.
void AppendMessage(std::string_view message, std::string* out);

// {"status":"ok","response":{}}
std::string OkPayload();
// {"status":"ok","response":{"postgres_changes":[...]}}
std::string JoinedPayload(std::string_view bindings_echo);
// {"status":"error","response":{"reason":"..."}}
std::string ErrorPayload(std::string_view reason);
// {"status":"error","response":{"error":"..."}}: the newest client's send() resolves with the text.
std::string RejectionPayload(std::string_view error);

enum class SystemExtension { kPostgresChanges, kSystem };

// {"message":...,"status":...,"extension":...,"channel":...}; `message` may be any bytes.
std::string SystemPayload(SystemExtension extension, bool is_error, std::string_view message, std::string_view channel);
// What a drain answers joins with.
inline constexpr std::string_view kRestarting = "RealtimeRestarting: Realtime is restarting, please standby";
// What a drain tells each topic; it names no channel.
std::string DrainPayload();

}  // namespace realtime

#endif  // REALTIME_CORE_PAYLOADS_H_
