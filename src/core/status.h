// Results as values. Nothing in core throws on purpose or logs; a function that can fail returns a
// Status (or a Result) whose message is already the text that the client or the DBA will read.
#ifndef REALTIME_CORE_STATUS_H_
#define REALTIME_CORE_STATUS_H_

#include "core/pure.h"

#include <cstdint>
#include <string>
#include <utility>

namespace realtime {

// What kind of failure it was; the text beside it says which.
enum class Code : uint8_t {
  kOk,
  kMalformed,     // bytes that are not what the format says
  kTooLarge,      // a bound was exceeded (size, depth, count)
  kInvalid,       // well-formed, but not acceptable (unknown operator, missing field)
  kUnauthorized,  // a token or a right is missing
};

class Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  static Status Ok() { return {}; }

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

// A value or the reason there is none. `value` is default-constructed when `status` is not ok.
template <typename T>
struct Result {
  Result(T v) : value(std::move(v)) {}              // NOLINT: implicit, so that `return value;` reads well
  Result(Status s) : status(std::move(s)) {}        // NOLINT
  bool ok() const { return status.ok(); }

  T value{};
  Status status;
};

// WebSocket close codes we send (RFC 6455 section 7.4.1). supabase-js reconnects after every one of them.
enum class CloseCode : uint16_t {
  kNormal = 1000,          // idle for longer than realtime.idle_timeout
  kPolicyViolation = 1008, // slow client: its queue passed realtime.max_client_queue
  kTooBig = 1009,          // a message over realtime.max_message_size
  kServiceRestart = 1012,  // drain: shutdown, DROP EXTENSION, lack of memory
};

}  // namespace realtime

#endif  // REALTIME_CORE_STATUS_H_
