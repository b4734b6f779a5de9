#include "pg/predicate_index.h"

#include <algorithm>
#include <limits>

#include "pg/relation_feed.h"

extern "C" {
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"
#include "utils/typcache.h"
}

namespace realtime {
namespace {

bool ByPosition(const Seat* one, const Seat* other) { return one->position < other->position; }

bool BuiltIn(Oid object) { return OidIsValid(object) && object < FirstNormalObjectId; }

// Texts cannot be compared without a collation, and equal ones need not hash alike under a nondeterministic one.
bool CollationFits(Oid type, Oid collation) {
  if (!OidIsValid(get_typcollation(type))) return true;
  return OidIsValid(collation) && get_collation_isdeterministic(collation);
}

}  // namespace

IndexKey FindIndexKey(const Column& column, Oid type, Oid equality, Oid collation) {
  // Arrays, rows, ranges and enums take operators of their parts along.
  bool simple = BuiltIn(column.base_type) && BuiltIn(type) && column.facts.plain && !column.dropped &&
                get_typtype(type) == TYPTYPE_BASE && !OidIsValid(get_element_type(type));
  if (!simple) return {};
  TypeCacheEntry* entry = lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_HASH_PROC);
  if (OidIsValid(equality) && entry->eq_opr != equality) return {};
  bool usable = BuiltIn(entry->eq_opr) && BuiltIn(entry->hash_proc) && op_strict(entry->eq_opr);
  if (!usable || !CollationFits(type, collation)) return {};
  return {column.attno, entry->hash_proc, collation};
}

uint32_t HashValue(const IndexKey& key, Datum value) {
  return DatumGetUInt32(OidFunctionCall1Coll(key.hash_function, key.collation, value));
}

PredicateIndex::~PredicateIndex() {
  if (values_) MemoryContextDelete(values_);
}

Datum PredicateIndex::Keep(Datum value, bool by_value, int length) {
  if (by_value) return value;
  if (values_ == nullptr) {
    values_ = AllocSetContextCreate(TopMemoryContext, "realtime index values", ALLOCSET_SMALL_SIZES);
  }
  MemoryContext caller = MemoryContextSwitchTo(values_);
  Datum copy = datumCopy(value, by_value, length);
  MemoryContextSwitchTo(caller);
  return copy;
}

void PredicateIndex::Clear() {
  if (values_) MemoryContextDelete(values_);
  values_ = nullptr;
  for_all_.clear();
  columns_.clear();
  by_policy_ = false;
}

const PredicateIndex::IndexedColumn* PredicateIndex::Look(const IndexKey& key) const {
  auto same = [&](const IndexedColumn& column) { return column.key == key; };
  auto found = std::find_if(columns_.begin(), columns_.end(), same);
  return found == columns_.end() ? nullptr : &*found;
}

void PredicateIndex::Add(Seat* seat, const SeatPlace& place) {
  by_policy_ = by_policy_ || place.by_policy;
  if (place.rows == SeatPlace::Rows::kAll) for_all_.push_back(seat);
  if (place.rows != SeatPlace::Rows::kWithValue) return;
  auto* column = const_cast<IndexedColumn*>(Look(place.key));
  if (column == nullptr) column = &columns_.emplace_back(IndexedColumn{place.key, {}, {}});
  column->seats.Add(place.hash, seat);
  // A policy's demand is the new row's in any case.
  if (!place.by_policy && seat->audience->old) column->leavable.Add(place.hash, seat);
}

size_t PredicateIndex::Count(const SeatPlace& place) const {
  if (place.rows == SeatPlace::Rows::kAll) return std::numeric_limits<size_t>::max();
  if (place.rows == SeatPlace::Rows::kNone) return 0;
  const IndexedColumn* column = Look(place.key);
  return column == nullptr ? 0 : column->seats.Find(place.hash).size();
}

bool PredicateIndex::Find(TableRow* row, bool policies_judge_it, std::vector<Seat*>* found) const {
  found->clear();
  if (by_policy_ && !policies_judge_it) return false;
  for (const IndexedColumn& column : columns_) {
    AttrNumber attno = column.key.attno;
    if (!row->Has(attno)) return false;
    row->Load(attno);
    if (row->is_null(attno)) continue;
    auto seats = column.seats.Find(HashValue(column.key, row->value(attno)));
    found->insert(found->end(), seats.begin(), seats.end());
  }
  if (found->size() > 1) std::sort(found->begin(), found->end(), ByPosition);
  size_t matched = found->size();
  found->insert(found->end(), for_all_.begin(), for_all_.end());
  std::inplace_merge(found->begin(), found->begin() + static_cast<std::ptrdiff_t>(matched), found->end(), ByPosition);
  return true;
}

void PredicateIndex::FindLeft(TableRow* old_row, TableRow* new_row, std::vector<Seat*>* found) const {
  auto matched = static_cast<std::ptrdiff_t>(found->size());
  for (const IndexedColumn& column : columns_) {
    AttrNumber attno = column.key.attno;
    if (column.leavable.empty() || !old_row->Has(attno)) continue;
    new_row->ForgetLoaded();
    old_row->Load(attno);
    if (old_row->is_null(attno)) continue;
    auto seats = column.leavable.Find(HashValue(column.key, old_row->value(attno)));
    found->insert(found->end(), seats.begin(), seats.end());
  }
  old_row->ForgetLoaded();
  if (static_cast<size_t>(matched) == found->size()) return;
  std::sort(found->begin() + matched, found->end(), ByPosition);
  std::inplace_merge(found->begin(), found->begin() + matched, found->end(), ByPosition);
  found->erase(std::unique(found->begin(), found->end()), found->end());
}

}  // namespace realtime
