#include "core/claims.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace realtime {
namespace {

constexpr size_t kMaxRequiredBytes = 16 * 1024;
constexpr double kFarFuture = static_cast<double>(kFarFutureSeconds);

bool IsNumber(const json::Value& value) { return value.type == json::Type::kNumber && !std::isnan(value.number); }

bool Equal(const json::Value& a, const json::Value& b);

bool EqualNumbers(const json::Value& a, const json::Value& b) {
  if (a.is_integer && b.is_integer) return a.integer == b.integer;
  return a.number == b.number;
}

bool EqualElements(const json::Value& a, const json::Value& b) {
  return std::equal(a.elements.begin(), a.elements.end(), b.elements.begin(), b.elements.end(), Equal);
}

// Of equal names the last one counts, on both sides.
bool EqualMembers(const json::Value& a, const json::Value& b) {
  for (const json::Member& member : a.members) {
    const json::Value* other = b.Find(member.first);
    if (other == nullptr || !Equal(*a.Find(member.first), *other)) return false;
  }
  return std::all_of(b.members.begin(), b.members.end(),
                     [&a](const json::Member& member) { return a.Find(member.first) != nullptr; });
}

bool Equal(const json::Value& a, const json::Value& b) {
  if (a.type != b.type) return false;
  switch (a.type) {
    case json::Type::kNull: return true;
    case json::Type::kBool: return a.boolean == b.boolean;
    case json::Type::kNumber: return EqualNumbers(a, b);
    case json::Type::kString: return a.string == b.string;
    case json::Type::kArray: return EqualElements(a, b);
    case json::Type::kObject: return EqualMembers(a, b);
  }
  return false;
}

bool HasRequired(const json::Value& claims, const std::vector<RequiredClaim>& required) {
  return std::all_of(required.begin(), required.end(), [&claims](const RequiredClaim& claim) {
    const json::Value* actual = claims.Find(claim.name);
    Result<json::Value> expected = json::Parse(claim.value);
    return actual != nullptr && expected.ok() && Equal(expected.value, *actual);
  });
}

// The backend would read a NUL as the end, and so take one role or user for another.
bool IsName(const json::Value* value) {
  return value != nullptr && value->IsString() && !value->string.empty() && value->string.find('\0') == std::string::npos;
}

TokenError Check(const json::Value& claims, const std::vector<RequiredClaim>& required, int64_t now_s, Token* token) {
  const json::Value* exp = claims.Find("exp");
  const json::Value* iat = claims.Find("iat");
  if (!IsName(claims.Find("role")) || exp == nullptr || exp->IsNull()) return TokenError::kMissingClaims;
  if (!IsNumber(*exp) || (iat != nullptr && !IsNumber(*iat))) return TokenError::kInvalidClaim;
  token->exp_s = static_cast<int64_t>(std::round(std::clamp(exp->number, -kFarFuture, kFarFuture)));
  if (token->exp_s <= now_s) {
    token->expired_for_s = now_s - token->exp_s;
    return TokenError::kExpired;
  }
  return HasRequired(claims, required) ? TokenError::kNone : TokenError::kInvalidClaim;
}

}  // namespace

Result<std::vector<RequiredClaim>> ParseRequiredClaims(std::string_view text) {
  if (text.size() > kMaxRequiredBytes) return Status(Code::kTooLarge, "longer than 16 kB");
  Result<json::Value> parsed = json::Parse(text);
  if (!parsed.ok()) return parsed.status;
  if (!parsed.value.IsObject()) return Status(Code::kInvalid, "not a JSON object");
  std::vector<RequiredClaim> required;
  for (const json::Member& member : parsed.value.members) {
    required.push_back({member.first, std::string(member.second.raw)});
  }
  return required;
}

void CheckClaims(const json::Value& claims, const std::vector<RequiredClaim>& required, int64_t now_unix_ms, Token* token) {
  token->error = Check(claims, required, now_unix_ms / 1000, token);
  if (!token->ok()) return;
  token->role = claims.Find("role")->string;
  const json::Value* sub = claims.Find("sub");
  if (IsName(sub)) token->sub = sub->string;
}

}  // namespace realtime
