#include "net/inspector.h"

namespace realtime {

std::optional<InspectorFile> FindInspectorFile(std::string_view path) {
  if (path == "/inspector") return InspectorFile{"text/html; charset=utf-8", kInspectorPage};
  if (path == "/inspector.css") return InspectorFile{"text/css; charset=utf-8", kInspectorStyle};
  if (path == "/inspector.js") return InspectorFile{"text/javascript; charset=utf-8", kInspectorScript};
  return std::nullopt;
}

}  // namespace realtime
