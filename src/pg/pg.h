// The one way to include the backend: last, after every C++ header, and only in pg/ and worker/.
#ifndef REALTIME_PG_PG_H_
#define REALTIME_PG_PG_H_

#define REALTIME_BACKEND 1

// Everything is hidden unless it says PGDLLEXPORT, which is empty before PostgreSQL 16.
#define PGDLLEXPORT __attribute__((visibility("default")))

extern "C" {
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/elog.h"
#include "utils/memutils.h"
}

// PostgreSQL's printf family and these short names would otherwise rewrite C++ code that follows.
#undef Min
#undef Max
#undef Abs

#include "pg/compat.h"

#endif  // REALTIME_PG_PG_H_
