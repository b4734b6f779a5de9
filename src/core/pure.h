// Core and net never see the backend: its macros (Min, LOG, snprintf, ...) break C++, and its functions may only be
// called from the database thread. Every header of core includes this one, so the wrong include order fails to compile
// unless the includer is pg/ or worker/, which define REALTIME_BACKEND in pg/pg.h.
#ifndef REALTIME_CORE_PURE_H_
#define REALTIME_CORE_PURE_H_

#if defined(POSTGRES_H) && !defined(REALTIME_BACKEND)
#error "core and net must not include postgres.h"
#endif

#endif  // REALTIME_CORE_PURE_H_
