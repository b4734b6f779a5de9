// How a type's text becomes JSON, from the catalogs. Database thread only; may raise.
#ifndef REALTIME_PG_TYPE_SHAPE_H_
#define REALTIME_PG_TYPE_SHAPE_H_

#include <memory>

#include "core/value_json.h"
#include "pg/pg.h"

namespace realtime {

struct TypeFacts {
  std::shared_ptr<const TypeShape> shape;
  // Converting a value runs no user code: base types are made by superusers only, so what remains are domains inside
  // arrays, rows and ranges. (A domain itself is converted as its base type.)
  bool plain = true;
  // One of these domains belongs to somebody who is no superuser, or there are too many to tell.
  bool lesser_domain = false;
  // Somewhere inside is a type with a user-defined cast to json, which PostgreSQL's to_json would call, or one of the rare
  // built-in ones that are left to it.
  bool backend_json = false;
};

// Composite types nest, so few definitions can make a tree that no memory holds: *budget counts down the nested parts, and
// what is beyond it is sent as text.
void LoadTypeFacts(Oid type, int* budget, TypeFacts* facts);

}  // namespace realtime

#endif  // REALTIME_PG_TYPE_SHAPE_H_
