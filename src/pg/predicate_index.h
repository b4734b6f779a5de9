// Which seats a row can concern at all: found by the row's values instead of asked one after the other.
//
// A seat whose filter or policy demands `column = value`, with a value that stays the same as long as the seat does, can be
// skipped for rows with another value in that column. The index holds hashes only, and whoever it finds is judged in full:
// it must never miss a seat, and may well find too many.
// Database thread only.
#ifndef REALTIME_PG_PREDICATE_INDEX_H_
#define REALTIME_PG_PREDICATE_INDEX_H_

#include <cstdint>
#include <vector>

#include "pg/catalog.h"
#include "pg/pg.h"
#include "pg/seat_table.h"
#include "pg/table_row.h"

namespace realtime {

struct Seat;

// A column and the equality that its values are compared by.
struct IndexKey {
  AttrNumber attno = 0;
  Oid hash_function = InvalidOid;
  Oid collation = InvalidOid;

  bool valid() const { return attno != 0; }
  bool operator==(const IndexKey&) const = default;
};

// The key for comparing values of the column as values of `type` by the operator `equality` (InvalidOid: the type's own).
// Not valid unless this is the type's default equality, equal values hash alike, and none of it runs user code. May raise.
IndexKey FindIndexKey(const Column& column, Oid type, Oid equality, Oid collation);
// May raise.
uint32_t HashValue(const IndexKey& key, Datum value);

// The rows that can concern a seat.
struct SeatPlace {
  enum class Rows : uint8_t { kAll, kWithValue, kNone };
  Rows rows = Rows::kAll;
  bool by_policy = false;  // a policy says so, not a filter: it does not judge a DELETE of which only the key is known
  IndexKey key;            // kWithValue: the column ...
  uint32_t hash = 0;       // ... and its value's hash
};

class PredicateIndex {
 public:
  PredicateIndex() = default;
  ~PredicateIndex();
  PredicateIndex(const PredicateIndex&) = delete;
  PredicateIndex& operator=(const PredicateIndex&) = delete;

  void Clear();

  // A copy that lives until Clear(): the values of the seats. May raise.
  Datum Keep(Datum value, bool by_value, int length);

  // Seats are added in order of their position.
  void Add(Seat* seat, const SeatPlace& place);
  // How many seats are there already.
  size_t Count(const SeatPlace& place) const;

  // The seats that the row can concern, in order of their position. False when only asking all of them can tell: a column
  // is missing, or no policy judges the row and it matters. May raise; the caller has entered the row's memory context.
  bool Find(TableRow* row, bool policies_judge_it, std::vector<Seat*>* found) const;
  // Adds the seats whose filter the UPDATE's row may have left, if they want to know it; the rows share their parameters.
  void FindLeft(TableRow* old_row, TableRow* new_row, std::vector<Seat*>* found) const;

 private:
  struct IndexedColumn {
    IndexKey key;
    SeatTable seats;
    SeatTable leavable;  // those of them that are found by the old row's value too
  };
  const IndexedColumn* Look(const IndexKey& key) const;

  std::vector<Seat*> for_all_;
  std::vector<IndexedColumn> columns_;  // few: one for each way in which policies and filters name a column
  bool by_policy_ = false;  // a seat's place is
  MemoryContext values_ = nullptr;
};

}  // namespace realtime

#endif  // REALTIME_PG_PREDICATE_INDEX_H_
