#include "pg/json_cast.h"

#include "core/json.h"
#include "core/value_json.h"
#include "pg/failure_log.h"
#include "pg/guard.h"
#include "pg/lesser_code.h"
#include "pg/log.h"
#include "pg/text_encoding.h"
#include "pg/watchdog.h"

extern "C" {
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "utils/fmgroids.h"
}

namespace realtime {
namespace {

// to_json(anyelement) finds out what its argument is from the call expression.
Datum ToJson(Oid type, Datum value) {
  Node* argument = reinterpret_cast<Node*>(makeNullConst(type, -1, InvalidOid));
  FmgrInfo function;
  fmgr_info(F_TO_JSON, &function);
  fmgr_info_set_expr(reinterpret_cast<Node*>(makeFuncExpr(F_TO_JSON, JSONOID, list_make1(argument), InvalidOid,
                                                          InvalidOid, COERCE_EXPLICIT_CALL)),
                     &function);
  return FunctionCall1(&function, value);
}

char* ToJsonText(const Column& column, std::string_view text) {
  if (column.facts.lesser_domain) lesser_code::RefuseDomains(column.name.c_str());
  Datum value = OidInputFunctionCall(column.input_function, ToServerText(text), column.input_param, column.typmod);
  return ToUtf8(OidOutputFunctionCall(F_JSON_OUT, ToJson(column.type, value)));
}

}  // namespace

bool AppendBackendJson(const Table& table, const Column& column, std::string_view text, Batch* batch,
                       std::string* out) {
  if (!batch->Open(false)) return false;  // the error of an earlier value has ended the transaction, and it was refused another
  PgError error;
  size_t before = out->size();
  bool done = PgTry(
      [&] {
        MemoryContext caller = MemoryContextSwitchTo(batch->row_context());
        batch->scope()->Ensure(table.owner, table.owner_name.c_str(), nullptr, false);
        char* json_text = nullptr;
        watchdog::Watched([&] { json_text = ToJsonText(column, text); });
        batch->NoteUserCode();
        batch->scope()->Leave();
        MemoryContextSwitchTo(caller);
        // A text frame with what is not UTF-8 would cost the client its connection.
        if (json::IsValidUtf8(json_text)) {
          out->append(json_text);
        } else {
          AppendText(text, out);
        }
      },
      &error);
  if (done) return true;
  out->resize(before);
  batch->Abort();
  batch->Open(false);
  if (failure_log::Due(table.sql_name + " " + column.name)) {
    LogError(
        "realtime could not convert column \"" + column.name + "\" of table " + table.sql_name + " to json: " +
            error.Text(),
        "Check the cast from type " + column.type_name + " to json. The value was sent as text.");
  }
  return false;
}

}  // namespace realtime
