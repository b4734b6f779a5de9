// Code of others does not run with a superuser's rights.
//
// What is worked out as the owner of a table (generated columns, casts to json, domains' checks) calls functions that need
// not be the owner's: those of the types and functions that he uses, which may be replaced at any time. For a superuser's
// table that would be a way to become one, without a statement of his own: nothing but an INSERT of anybody's.
// Database thread only.
#ifndef REALTIME_PG_LESSER_CODE_H_
#define REALTIME_PG_LESSER_CODE_H_

#include <cstdint>

namespace realtime::lesser_code {

// Once, at worker start.
void InstallGuard();

// A role scope was entered: if `role` is a superuser, a call in it of a function that is neither a superuser's nor SECURITY
// DEFINER raises, wherever it comes from. Code that a lesser role calls is not concerned, superusers' SECURITY DEFINER
// functions included.
void OnScopeEntered(uint32_t role);

// Raises in such a scope: a value is about to be converted whose type has a domain of a lesser role's in it. Its checks may call
// what is built in, which is nobody's, and they are not his statements either.
void RefuseDomains(const char* column);

}  // namespace realtime::lesser_code

#endif  // REALTIME_PG_LESSER_CODE_H_
