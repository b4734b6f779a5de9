#include "pg/fetch_missing.h"

#include "pg/key_lookup.h"
#include "pg/text_encoding.h"

extern "C" {
#include "access/genam.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
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
  char kind = rel->rd_rel->relkind;
  if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE) return false;
  if (desc->natts != static_cast<int>(table.columns.size())) return false;
  for (const Column& column : table.columns) {
    Form_pg_attribute att = TupleDescAttr(desc, column.attno - 1);
    if (att->attisdropped != column.dropped || (!column.dropped && att->atttypid != column.type)) return false;
  }
  return true;
}

// The column of the same name: a partition may have its columns in another order than its root. 0: there is none.
AttrNumber Counterpart(Oid from, AttrNumber attno, Oid to) {
  return from == to ? attno : get_attnum(to, get_attname(from, attno, false));
}

// The row's key as conditions on the index; 0 when the row lacks a part of it.
int MakeKeys(Relation index, TableRow* row, ScanKey keys) {
  int count = index->rd_index->indnkeyatts;
  for (int i = 0; i < count; ++i) {
    AttrNumber attno = Counterpart(index->rd_index->indrelid, index->rd_index->indkey.values[i], row->table().oid);
    if (attno <= 0 || row->cell(attno)->kind != Cell::Kind::kText) return 0;
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
    AttrNumber stored = Counterpart(row->table().oid, column.attno, slot->tts_tableOid);
    if (stored <= 0 || TupleDescAttr(slot->tts_tupleDescriptor, stored - 1)->atttypid != column.type) continue;
    bool is_null = false;
    Datum value = slot_getattr(slot, stored, &is_null);
    if (is_null) {
      row->SetLookedUp(column.attno, {Cell::Kind::kNull, {}});
      continue;
    }
    char* kept = MemoryContextStrdup(memory, ToUtf8(OidOutputFunctionCall(column.output_function, value)));
    row->SetLookedUp(column.attno, {Cell::Kind::kText, {kept, strlen(kept)}});
  }
}

bool FetchByIndex(Relation rel, Relation index, TableRow* row, MemoryContext memory) {
  ScanKeyData keys[INDEX_MAX_KEYS];
  int count = MakeKeys(index, row, keys);
  if (count == 0) return false;
  IndexScanDesc scan = compat::BeginIndexScan(rel, index, GetActiveSnapshot(), count);
  index_rescan(scan, keys, count, nullptr, 0);
  TupleTableSlot* slot = table_slot_create(rel, nullptr);
  bool found = index_getnext_slot(scan, ForwardScanDirection, slot);
  if (found) StoreMissing(slot, row, memory);
  ExecDropSingleTupleTableSlot(slot);
  index_endscan(scan);
  return found;
}

bool FetchFrom(Relation rel, TableRow* row, MemoryContext memory) {
  Oid key = compat::PrimaryKeyIndex(rel);
  if (!OidIsValid(key)) return false;
  Relation index = index_open(key, AccessShareLock);
  bool found = FetchByIndex(rel, index, row, memory);
  index_close(index, NoLock);
  return found;
}

// Which partition has the row would take user code to find out (a hash of its key's type): each is asked, until one has it.
void FetchFromPartitions(Relation root, TableRow* row, MemoryContext memory) {
  bool found = false;
  ListCell* cell;
  foreach (cell, find_all_inheritors(RelationGetRelid(root), NoLock, nullptr)) {
    if (found) break;
    Relation leaf = try_relation_open(lfirst_oid(cell), AccessShareLock);
    if (leaf == nullptr) continue;
    found = leaf->rd_rel->relkind == RELKIND_RELATION && leaf->rd_rel->relispartition && FetchFrom(leaf, row, memory);
    relation_close(leaf, NoLock);
  }
}

}  // namespace

void FetchMissing(TableRow* row, MemoryContext memory) {
  if (!HasKey(*row)) return;
  Relation rel = try_relation_open(row->table().oid, AccessShareLock);
  if (rel == nullptr) return;
  if (IsAsMapped(rel, row->table())) {
    if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE) {
      FetchFromPartitions(rel, row, memory);
    } else {
      FetchFrom(rel, row, memory);
    }
  }
  relation_close(rel, NoLock);
}

}  // namespace realtime
