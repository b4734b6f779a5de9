// What a token says, once its signature is known to be good.
#ifndef REALTIME_CORE_CLAIMS_H_
#define REALTIME_CORE_CLAIMS_H_

#include "core/pure.h"

#include <cstdint>
#include <vector>

#include "core/json.h"
#include "core/token.h"

namespace realtime {

// As exp: later than anything, and arithmetic on it does not overflow.
inline constexpr int64_t kFarFutureSeconds = 9'000'000'000'000'000;

// Checks exp, role, iat and the required claims, and fills in exp_s, role and sub; on failure error and what its text needs.
void CheckClaims(const json::Value& claims, const std::vector<RequiredClaim>& required, int64_t now_unix_ms, Token* token);

}  // namespace realtime

#endif  // REALTIME_CORE_CLAIMS_H_
