// A page for developers: joins a channel, shows what arrives, sends broadcasts. Served while realtime.inspector is on. It uses
// nothing but its own three files and the socket of the same origin, as any client would: it has no rights but its key's.
#ifndef REALTIME_NET_INSPECTOR_H_
#define REALTIME_NET_INSPECTOR_H_

#include <optional>
#include <string_view>

namespace realtime {

struct InspectorFile {
  std::string_view content_type;
  std::string_view body;
};
std::optional<InspectorFile> FindInspectorFile(std::string_view path);

// Whole header lines for each of the files. The page handles keys and shows what strangers send: nothing but its own script
// runs, which may not turn text into markup, and nobody may frame it.
inline constexpr std::string_view kInspectorHeaders =
    "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'\r\n"
    "x-content-type-options: nosniff\r\n"
    "x-frame-options: DENY\r\n"
    "referrer-policy: no-referrer\r\n"
    "cross-origin-opener-policy: same-origin\r\n"
    "cross-origin-resource-policy: same-origin\r\n";

// Their texts, each in a file of its own.
extern const std::string_view kInspectorPage;
extern const std::string_view kInspectorStyle;
extern const std::string_view kInspectorScript;

}  // namespace realtime

#endif  // REALTIME_NET_INSPECTOR_H_
