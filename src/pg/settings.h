// The realtime.* settings (GUCs): one table in settings.cpp, read here. Database thread only.
#ifndef REALTIME_PG_SETTINGS_H_
#define REALTIME_PG_SETTINGS_H_

#include <string>

#include "core/settings.h"

namespace realtime::guc {

// Defines every setting; from _PG_init, in the postmaster.
void Define();

// Current values. Strings are never null; they are valid until the next reload.
const char* Database();
const char* Conninfo();
const char* SlotName();
const char* Publication();
int PolicyTimeoutMs();
int MaxSlotLagMb();
int MaxSlotAgeMs();  // zero: no limit
int DrainTimeoutMs();
int MessageRetentionMinutes();
size_t MaxPayloadSize();  // bytes
size_t MaxRecordBytes();
size_t HistoryBytes();
size_t MaxParkedBytes();

// A snapshot for the network thread.
SettingsPtr ForNetwork(bool serving);

}  // namespace realtime::guc

#endif  // REALTIME_PG_SETTINGS_H_
