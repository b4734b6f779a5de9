// The first line of a request as it was sent. libwebsockets decodes a target's escapes and then treats what comes out as if it
// had been written so: a%2Fb becomes two segments, %2F%2F one slash, and %0A ends the line, so that what follows would be a
// header of the request's, before those that a reverse proxy has set or taken out.
#ifndef REALTIME_NET_REQUEST_LINE_H_
#define REALTIME_NET_REQUEST_LINE_H_

#include <string>
#include <string_view>

namespace realtime {

struct RequestLine {
  std::string target;      // of a POST
  bool malformed = false;  // to be refused, whatever libwebsockets makes of it
};

// Looks at the beginning of a request. False: more bytes are needed to tell.
bool ReadRequestLine(std::string_view text, RequestLine* line);

}  // namespace realtime

#endif  // REALTIME_NET_REQUEST_LINE_H_
