#include "pg/fetch_missing.h"

#include "pg/key_lookup.h"
#include "pg/text_encoding.h"

extern "C" {
#include "access/genam.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "executor/tuptable.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
}

namespace realtime {
namespace {

// The table was not locked when it was looked at; an ALTER TABLE since then makes the row's columns others.
bool IsAsMapped(Relation rel, const Table& table) {
  TupleDesc desc = RelationGetDescr(rel);
  if (rel->rd_rel->relkind != RELKIND_RELATION || desc->natts != static_cast<int>(table.columns.size())) return false;
  for (const Column& column : table.columns) {
    Form_pg_attribute att = TupleDescAttr(desc, column.attno - 1);
    if (att->attisdropped != column.dropped || (!column.dropped && att->atttypid != column.type)) return false;
  }
  return true;
}

// The row's key as conditions on the index; 0 when the row lacks a part of it.
int MakeKeys(Relation index, TableRow* row, ScanKey keys) {
  int count = index->rd_index->indnkeyatts;
  for (int i = 0; i < count; ++i) {
    AttrNumber attno = index->rd_index->indkey.values[i];
    if (row->cell(attno)->kind != Cell::Kind::kText) return 0;
    row->Load(attno);
    Oid type = index->rd_opcintype[i];
    Oid equality = get_opfamily_member(index->rd_opfamily[i], type, type, BTEqualStrategyNumber);
    ScanKeyInit(&keys[i], static_cast<AttrNumber>(i + 1), BTEqualStrategyNumber, get_opcode(equality), row->value(attno));
    keys[i].sk_collation = index->rd_indcollation[i];
  }
  return count;
}

void StoreMissing(TupleTableSlot* slot, TableRow* row, MemoryContext memory) {
  for (const Column& column : row->table().columns) {
    if (column.dropped || row->Has(column.attno)) continue;
    bool is_null = false;
    Datum value = slot_getattr(slot, column.attno, &is_null);
    if (is_null) {
      row->SetLookedUp(column.attno, {Cell::Kind::kNull, {}});
      continue;
    }
    char* kept = MemoryContextStrdup(memory, ToUtf8(OidOutputFunctionCall(column.output_function, value)));
    row->SetLookedUp(column.attno, {Cell::Kind::kText, {kept, strlen(kept)}});
  }
}

void FetchByIndex(Relation rel, Relation index, TableRow* row, MemoryContext memory) {
  ScanKeyData keys[INDEX_MAX_KEYS];
  int count = MakeKeys(index, row, keys);
  if (count == 0) return;
  IndexScanDesc scan = compat::BeginIndexScan(rel, index, GetActiveSnapshot(), count);
  index_rescan(scan, keys, count, nullptr, 0);
  TupleTableSlot* slot = table_slot_create(rel, nullptr);
  if (index_getnext_slot(scan, ForwardScanDirection, slot)) StoreMissing(slot, row, memory);
  ExecDropSingleTupleTableSlot(slot);
  index_endscan(scan);
}

}  // namespace

void FetchMissing(TableRow* row, MemoryContext memory) {
  if (!HasKey(*row)) return;
  Relation rel = try_relation_open(row->table().oid, AccessShareLock);
  if (rel == nullptr) return;
  Oid key = compat::PrimaryKeyIndex(rel);
  if (OidIsValid(key) && IsAsMapped(rel, row->table())) {
    Relation index = index_open(key, AccessShareLock);
    FetchByIndex(rel, index, row, memory);
    index_close(index, NoLock);
  }
  relation_close(rel, NoLock);
}

}  // namespace realtime
