// One version of a row (old or new) in today's column order: as text, and as datums on demand.
// Database thread only, inside a batch.
#ifndef REALTIME_PG_TABLE_ROW_H_
#define REALTIME_PG_TABLE_ROW_H_

#include <cstdint>
#include <vector>

#include "core/change.h"
#include "pg/catalog.h"
#include "pg/pg.h"

extern "C" {
#include "nodes/params.h"
}

namespace realtime {

class TableRow {
 public:
  // Starts a new row of the table: all cells absent. The parameter list is the table's, renewed per transaction.
  void Start(const Table* table, ParamListInfo params);

  Cell* cell(AttrNumber attno) { return &cells_[attno - 1]; }
  const Cell& cell(AttrNumber attno) const { return cells_[attno - 1]; }
  const Table& table() const { return *table_; }
  size_t size() const { return cells_.size(); }

  bool Has(AttrNumber attno) const {
    Cell::Kind kind = cell(attno).kind;
    return kind == Cell::Kind::kText || kind == Cell::Kind::kNull;
  }

  // What came with the change (or was computed from it) is for clients; what was looked up later is for judging only.
  bool InPayload(AttrNumber attno) const { return Has(attno) && !looked_up_[attno - 1]; }
  void SetLookedUp(AttrNumber attno, Cell value) {
    cells_[attno - 1] = value;
    looked_up_[attno - 1] = true;
  }

  // The column as a datum in params(), converted by its type's input function and kept for the row when the conversion
  // runs no user code; otherwise it is converted at each call, under the caller's role scope. May raise. The column must
  // be there (Has).
  void Load(AttrNumber attno);
  Datum value(AttrNumber attno) const { return params_->params[attno - 1].value; }
  bool is_null(AttrNumber attno) const { return params_->params[attno - 1].isnull; }
  ParamListInfo params() const { return params_; }

  // Makes params() hold this row again after another row of the same table was loaded into it.
  void Rebind(ParamListInfo params) {
    params_ = params;
    ForgetLoaded();
  }
  void ForgetLoaded() { loaded_.assign(loaded_.size(), false); }

 private:
  const Table* table_ = nullptr;
  ParamListInfo params_ = nullptr;
  std::vector<Cell> cells_;
  std::vector<bool> loaded_;
  std::vector<bool> looked_up_;
};

// One external parameter per column, numbered by attno, in the current memory context.
ParamListInfo MakeColumnParams(const Table& table);

}  // namespace realtime

#endif  // REALTIME_PG_TABLE_ROW_H_
