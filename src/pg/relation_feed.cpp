#include "pg/relation_feed.h"

#include <algorithm>
#include <set>

#include "core/value_json.h"
#include "pg/failure_log.h"
#include "pg/failure_report.h"
#include "pg/guard.h"
#include "pg/log.h"
#include "pg/text_encoding.h"
#include "pg/watchdog.h"

extern "C" {
#include "utils/inval.h"
#include "utils/lsyscache.h"
}

namespace realtime {

namespace {

constexpr size_t kSpareProjections = 64;
constexpr size_t kNodeBytes = 64;  // of a name on the heap
constexpr int kMaxFailedReads = 100;  // of the catalogs in a row: some seconds, as what is parked is retried

}  // namespace

void RelationFeed::FindListeners() {
  if (layout_ != registry_->layout()) {
    layout_ = registry_->layout();
    cursor_ = 0;
    listeners_.clear();
    loaded_ = false;  // seats follow listeners_
  }
  const auto& audiences = registry_->audiences();
  for (; cursor_ < audiences.size(); ++cursor_) {
    const std::shared_ptr<Audience>& audience = audiences[cursor_];
    if (!audience->dead() && audience->Matches(info_.schema, info_.table)) listeners_.push_back(audience);
  }
}

bool RelationFeed::HasListeners() {
  FindListeners();
  return !listeners_.empty();
}

bool RelationFeed::IsCurrent() {
  return loaded_ && !dependencies_.Stale() && seated_ == listeners_.size() && placed_ == seats_.size();
}

size_t RelationFeed::TakeBytes() {
  if (counted_) return 0;
  counted_ = true;
  return sizeof(RelationFeed) + info_.columns.size() * (sizeof(RelationColumn) + kNodeBytes);
}

void RelationFeed::Release() {
  Unload();
  layout_ = 0;
  cursor_ = 0;
  listeners_ = {};
  map_ = {};
}

void RelationFeed::Unload() {
  if (placed_ < seats_.size()) {
    ++lost_placings_;
  } else if (placed_ > 0) {
    lost_placings_ = 0;
  }
  index_.Clear();
  placed_ = 0;
  events_ = 0;
  seats_.clear();
  seat_of_.clear();
  seated_ = 0;
  access_.clear();
  projections_.clear();
  params_ = nullptr;
  table_ = Table();
  loaded_ = false;
}

Readiness RelationFeed::LoadToday(Batch* batch) {
  Unload();
  dependencies_.Restart();
  PgError error;
  bool* exists = &exists_;
  if (!PgTry([this, exists] { *exists = LoadTable(info_.oid, &table_); }, &error)) return CannotRead(error, batch);
  loaded_ = true;
  if (exists_) MapColumns();
  return exists_ ? Readiness::kReady : Readiness::kGone;
}

// The catalogs are being rewritten (VACUUM FULL, REINDEX), memory was short, or it was cancelled: worth another try, but what
// never can be read must not be kept for ever.
Readiness RelationFeed::CannotRead(const PgError& error, Batch* batch) {
  const bool locked = batch->LockedOut(error);
  batch->Abort();
  if (!batch->Open(false) || locked) return Readiness::kLocked;
  const bool give_up = ++failed_reads_ > kMaxFailedReads;
  const std::string name = "\"" + info_.schema + "." + info_.table + "\"";
  if (failure_log::Due((give_up ? "unreadable " : "read ") + name)) {
    LogError("realtime cannot read table " + name + ": " + error.Text(),
             give_up ? "Its changes are not delivered." : "Its changes wait, and it is tried again.");
  }
  return give_up ? Readiness::kGone : Readiness::kLocked;
}

// Where a column has the name while the one that is remembered is still there, under another, the announcement is of before.
bool RelationFeed::LookAtColumns() {
  AcceptInvalidationMessages();
  attnos_.resize(info_.columns.size(), 0);
  for (size_t i = 0; i < attnos_.size(); ++i) {
    const AttrNumber today = FindAttno(info_.oid, info_.columns[i].name, info_.columns[i].type_oid);
    if (!columns_known_) attnos_[i] = today;
    if (today == 0 || today == attnos_[i]) continue;
    if (attnos_[i] == 0 || !OidIsValid(get_atttype(info_.oid, attnos_[i]))) return false;
  }
  columns_known_ = true;
  columns_doubted_ = false;
  return true;
}

// By name only where it was not possible to look when the rows came.
void RelationFeed::MapColumns() {
  map_.clear();
  attnos_.resize(info_.columns.size(), 0);
  for (size_t i = 0; i < attnos_.size(); ++i) {
    const RelationColumn& stream = info_.columns[i];
    const Column* column = table_.Find(stream.name);
    if (!columns_known_) attnos_[i] = column != nullptr && column->type == stream.type_oid ? column->attno : 0;
    const auto attno = static_cast<size_t>(attnos_[i]);
    const Column* remembered = attno > 0 && attno <= table_.columns.size() ? &table_.columns[attno - 1] : nullptr;
    const bool same = remembered != nullptr && !remembered->dropped && remembered->type == stream.type_oid;
    map_.push_back(same ? remembered->attno : 0);
  }
  columns_known_ = true;
}

Readiness RelationFeed::Prepare(Batch* batch) {
  if (!loaded_ || dependencies_.Stale()) {
    const Readiness loaded = LoadToday(batch);
    if (loaded != Readiness::kReady) return loaded;
  }
  if (!exists_) return Readiness::kGone;
  for (; seated_ < listeners_.size(); ++seated_) {
    if (!listeners_[seated_]->dead() && !TakeSeat(listeners_[seated_], batch)) return Readiness::kLocked;
  }
  failed_reads_ = 0;
  DropUnusedProjections();
  return Readiness::kReady;
}

Seat* RelationFeed::SeatOf(const Audience* audience) const {
  auto found = seat_of_.find(audience);
  return found == seat_of_.end() ? nullptr : found->second;
}

// Selections of columns come and go with their subscribers.
void RelationFeed::DropUnusedProjections() {
  if (projections_.size() <= seats_.size() + kSpareProjections) return;
  std::set<const Projection*> used;
  for (const std::unique_ptr<Seat>& seat : seats_) used.insert(seat->projection);
  std::erase_if(projections_, [&](const auto& entry) { return !used.contains(entry.second.get()); });
}

// An error leaves this frame without its destructors: what is half made must be reachable, and is made anew the next time.
Access* RelationFeed::AccessOf(const std::string& role) {
  std::unique_ptr<Access>& slot = access_[role];
  if (slot && slot->complete) return slot.get();
  slot = std::make_unique<Access>();
  slot->privileges.columns.assign(table_.columns.size(), false);
  slot->role = FindRole(role);
  if (OidIsValid(slot->role)) {
    slot->role_name = GetUserNameFromId(slot->role, false);
    LoadPrivileges(table_, slot->role, &slot->privileges);
  }
  slot->complete = true;
  return slot.get();
}

// The role's columns, or those selected plus the primary key.
const Projection* RelationFeed::ProjectionOf(const Access& access, const std::vector<std::string>& columns) {
  std::vector<bool> visible = access.privileges.columns;
  for (const Column& column : table_.columns) {
    bool wanted = columns.empty() || column.in_primary_key ||
                  std::find(columns.begin(), columns.end(), column.name) != columns.end();
    if (!wanted) visible[column.attno - 1] = false;
  }
  std::unique_ptr<Projection>& slot = projections_[visible];
  if (slot) return slot.get();
  slot = std::make_unique<Projection>();
  slot->visible = visible;
  slot->columns_json = "[";
  for (const Column& column : table_.columns) {
    if (!visible[column.attno - 1]) continue;
    if (slot->columns_json.size() > 1) slot->columns_json += ',';
    AppendText(column.name, &(slot->columns_json += "{\"name\":"));
    AppendText(column.type_name, &(slot->columns_json += ",\"type\":"));
    slot->columns_json += '}';
  }
  slot->columns_json += ']';
  return slot.get();
}

// False: a catalog, or a table that code of a type needs which a filter compares, is locked.
bool RelationFeed::TakeSeat(const std::shared_ptr<Audience>& audience, Batch* batch) {
  auto seat = std::make_unique<Seat>();
  seat->audience = audience;
  PgError error;
  Seat* raw = seat.get();
  bool ready = PgTry(
      [this, raw, batch] {
        raw->access = AccessOf(raw->audience->identity->role);
        if (!OidIsValid(raw->access->role) || raw->audience->filters.empty()) return;
        batch->scope()->Ensure(raw->access->role, raw->access->role_name.c_str(), raw->audience->identity.get(), false);
        batch->NoteUserCode();
        watchdog::Watched(
            [&] { raw->filter.Compile(table_, raw->access->privileges, raw->audience->filters, false); });
        batch->scope()->Leave();
      },
      &error);
  if (!ready && raw->access == nullptr) return CannotRead(error, batch) == Readiness::kGone;
  if (!ready) {
    const bool locked = batch->LockedOut(error);
    batch->Abort();
    if (!batch->Open(false) || locked) return false;
    seat->filter_failed = true;
    ReportFilterFailure({*audience, info_.schema, info_.table, info_.oid, seat->access->role}, nullptr, error);
  }
  seat->projection = ProjectionOf(*seat->access, audience->columns);
  seat->position = seats_.size();
  events_ |= audience->events;
  seat_of_[audience.get()] = raw;
  seats_.push_back(std::move(seat));
  return true;
}

void RelationFeed::Fill(const Row& tuple, bool identity_only, TableRow* row) {
  size_t count = tuple.size() < map_.size() ? tuple.size() : map_.size();
  for (size_t i = 0; i < count; ++i) {
    if (map_[i] == 0 || (identity_only && !info_.columns[i].identity)) continue;
    *row->cell(map_[i]) = tuple[i];
  }
}

ParamListInfo RelationFeed::Params(Batch* batch) {
  if (params_ == nullptr || params_transaction_ != batch->transaction()) {
    MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
    params_ = MakeColumnParams(table_);
    MemoryContextSwitchTo(caller);
    params_transaction_ = batch->transaction();
  }
  return params_;
}

}  // namespace realtime
