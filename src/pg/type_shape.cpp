#include "pg/type_shape.h"

#include "pg/invalidation.h"

extern "C" {
#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "parser/parse_coerce.h"
#include "utils/lsyscache.h"
#include "utils/rangetypes.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
}

namespace realtime {
namespace {

using Kind = TypeShape::Kind;

// The same tree as TypeShape in palloc'd memory, because reading the catalogs may raise.
struct RawShape {
  Kind kind;
  char delimiter;
  RawShape* element;
  int field_count;
  RawShape** fields;
  char** field_names;
};

struct Walk {
  int* budget;
  bool plain = true;
  bool lesser_domain = false;
  bool backend_json = false;
};

RawShape* Read(Oid type, bool nested, Walk* walk);

RawShape* NewShape(Kind kind) {
  auto* shape = static_cast<RawShape*>(palloc0(sizeof(RawShape)));
  shape->kind = kind;
  shape->delimiter = ',';
  return shape;
}

RawShape* ReadArray(Oid element, Walk* walk) {
  RawShape* shape = NewShape(Kind::kArray);
  int16 length;
  bool by_value;
  char align;
  Oid io_param, output;
  get_type_io_data(element, IOFunc_output, &length, &by_value, &align, &shape->delimiter, &io_param, &output);
  shape->element = Read(element, true, walk);
  return shape;
}

RawShape* ReadComposite(Oid type, Walk* walk) {
  RawShape* shape = NewShape(Kind::kComposite);
  invalidation::Track(get_typ_typrelid(type));
  TupleDesc desc = lookup_rowtype_tupdesc_copy(type, -1);
  shape->fields = static_cast<RawShape**>(palloc0(sizeof(RawShape*) * (desc->natts + 1)));
  shape->field_names = static_cast<char**>(palloc0(sizeof(char*) * (desc->natts + 1)));
  for (int i = 0; i < desc->natts; ++i) {
    Form_pg_attribute att = TupleDescAttr(desc, i);
    if (att->attisdropped) continue;
    shape->fields[shape->field_count] = Read(att->atttypid, true, walk);
    shape->field_names[shape->field_count] = NameStr(att->attname);
    ++shape->field_count;
  }
  return shape;
}

bool HasJsonCast(Oid type) {
  Oid function;
  invalidation::TrackCast(type, JSONOID);
  return type >= FirstNormalObjectId &&
         find_coercion_pathway(JSONOID, type, COERCION_EXPLICIT, &function) == COERCION_PATH_FUNC;
}

// Ranges print their bounds through the subtype's output, but read them through its input and a function of their own.
void NoteRange(Oid type, char typtype, Walk* walk) {
  Oid range = typtype == TYPTYPE_MULTIRANGE ? get_multirange_range(type) : type;
  Walk subtype{walk->budget};
  Read(get_range_subtype(range), true, &subtype);
  TypeCacheEntry* entry = lookup_type_cache(range, TYPECACHE_RANGE_INFO);
  bool canonical = entry->rng_canonical_finfo.fn_oid >= FirstNormalObjectId;
  walk->plain = walk->plain && subtype.plain && !canonical;
  walk->lesser_domain = walk->lesser_domain || subtype.lesser_domain;
}

RawShape* BackendShape(Walk* walk) {
  walk->backend_json = true;
  return NewShape(Kind::kCast);
}

RawShape* ReadOther(Oid type, Walk* walk) {
  char typtype = get_typtype(type);
  if (typtype == TYPTYPE_RANGE || typtype == TYPTYPE_MULTIRANGE) NoteRange(type, typtype, walk);
  // In to_jsonb's order: casts of arrays and composites do not count.
  Oid element = get_element_type(type);
  if (OidIsValid(element)) return ReadArray(element, walk);
  if (type_is_rowtype(type) && type != RECORDOID) return ReadComposite(type, walk);
  return HasJsonCast(type) ? BackendShape(walk) : NewShape(Kind::kString);
}

// A domain of domains has the checks of all of them. Returns the type below.
Oid ReadDomains(Oid type, bool nested, Walk* walk) {
  for (;;) {
    invalidation::TrackType(type);
    HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
    if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for type %u", type);
    const FormData_pg_type row = *reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple));
    ReleaseSysCache(tuple);
    if (row.typtype != TYPTYPE_DOMAIN) return type;
    if (nested) {
      walk->plain = false;
      walk->lesser_domain = walk->lesser_domain || !superuser_arg(row.typowner);
    }
    type = row.typbasetype;
  }
}

RawShape* Read(Oid type, bool nested, Walk* walk) {
  check_stack_depth();
  if (nested && --*walk->budget < 0) {
    walk->plain = false;
    walk->lesser_domain = true;
    return NewShape(Kind::kString);
  }
  const Oid base = ReadDomains(type, nested, walk);
  switch (base) {
    case BOOLOID:
      return NewShape(Kind::kBool);
    case INT2OID:
    case INT4OID:
    case INT8OID:
    case FLOAT4OID:
    case FLOAT8OID:
    case NUMERICOID:
      return NewShape(Kind::kNumber);
    case TIMESTAMPOID:
      return NewShape(Kind::kTimestamp);
    case TIMESTAMPTZOID:
      return NewShape(Kind::kTimestamptz);
    case JSONOID:
    case JSONBOID:
      return NewShape(Kind::kJson);
    case BYTEAOID:
      return NewShape(Kind::kBytea);
    case INT2VECTOROID:
    case OIDVECTOROID:
      return BackendShape(walk);  // arrays that print without braces
    default:
      return ReadOther(base, walk);
  }
}

std::shared_ptr<const TypeShape> Convert(const RawShape& raw) {
  auto shape = std::make_shared<TypeShape>();
  shape->kind = raw.kind;
  shape->delimiter = raw.delimiter;
  if (raw.element) shape->element = Convert(*raw.element);
  for (int i = 0; i < raw.field_count; ++i) shape->fields.emplace_back(raw.field_names[i], Convert(*raw.fields[i]));
  return shape;
}

}  // namespace

void LoadTypeFacts(Oid type, int* budget, TypeFacts* facts) {
  Walk walk{budget};
  RawShape* raw = Read(type, false, &walk);
  facts->plain = walk.plain;
  facts->lesser_domain = walk.lesser_domain;
  facts->backend_json = walk.backend_json;
  facts->shape = Convert(*raw);
}

}  // namespace realtime
