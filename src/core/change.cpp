#include "core/change.h"

namespace realtime {

std::string_view ChangeKindName(ChangeKind kind) {
  switch (kind) {
    case ChangeKind::kInsert: return "INSERT";
    case ChangeKind::kUpdate: return "UPDATE";
    case ChangeKind::kDelete: return "DELETE";
  }
  return "";
}

}  // namespace realtime
