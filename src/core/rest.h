// The REST side of broadcast: what a request says, and what it is answered with. Pure; fuzzed.
#ifndef REALTIME_CORE_REST_H_
#define REALTIME_CORE_REST_H_

#include "core/pure.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/broadcast.h"
#include "core/url.h"

namespace realtime {

// A POST to /api/broadcast or /api/broadcast/:topic/events/:event, as the network room reads it.
struct RestCall {
  std::string path;                          // without the query, not decoded
  std::string query;                         // raw, without the question mark
  std::optional<std::string> authorization;  // header
  std::optional<std::string> api_key;        // header apikey, else x-api-key, else query apikey
  std::optional<std::string> content_type;
  std::string headers_json = "{}";           // what policies see in request.headers
  std::string peer;                          // for the log
  std::string body;
};

struct RestAnswer {
  int status = 0;
  std::string body;  // JSON text, or empty
  std::vector<std::pair<std::string, std::string>> headers;  // lower-case names; besides the usual ones
};

// The two routes, with and without the prefix /realtime/v1.
enum class RestRoute : uint8_t { kNone, kBatch, kSingle };
RestRoute RouteOf(std::string_view path);

// The messages of a call.
struct RestRequest {
  std::vector<BroadcastPtr> messages;
  bool is_batch = false;
  bool persist = false;    // the single route only
  int64_t ttl_s = 0;       // zero: none given
};

// Reads route, query, content type and body. On failure *answer is what to send (400, 415, 422, 429) and the result is false.
bool ReadRestCall(const RestCall& call, size_t max_payload_size, int max_json_depth, RestRequest* request, RestAnswer* answer);

// {"message":"..."} and {"error":"..."}; the text may be any bytes.
RestAnswer MessageAnswer(int status, std::string_view message);
RestAnswer ErrorAnswer(int status, std::string_view error);
// 429, for a batch that is too large or exceeds what is left of the caller's rate.
RestAnswer TooManyMessagesAnswer();

}  // namespace realtime

#endif  // REALTIME_CORE_REST_H_
