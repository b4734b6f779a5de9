#include "pg/table_row.h"

#include "pg/lesser_code.h"
#include "pg/text_encoding.h"

extern "C" {
#include "catalog/pg_type.h"
}

namespace realtime {

void TableRow::Start(const Table* table, ParamListInfo params) {
  table_ = table;
  params_ = params;
  cells_.assign(table->columns.size(), Cell{});
  loaded_.assign(table->columns.size(), false);
  looked_up_.assign(table->columns.size(), false);
}

void TableRow::Load(AttrNumber attno) {
  if (loaded_[attno - 1]) return;
  const Column& column = table_->columns[attno - 1];
  const Cell& cell = cells_[attno - 1];
  ParamExternData* param = &params_->params[attno - 1];
  param->isnull = cell.kind != Cell::Kind::kText;
  param->value = 0;
  if (!param->isnull) {
    if (column.facts.lesser_domain) lesser_code::RefuseDomains(column.name.c_str());
    char* text = ToServerText(cell.text);
    param->value = OidInputFunctionCall(column.input_function, text, column.input_param, -1);
  }
  loaded_[attno - 1] = column.facts.plain;
}

ParamListInfo MakeColumnParams(const Table& table) {
  ParamListInfo params = makeParamList(static_cast<int>(table.columns.size()));
  for (size_t i = 0; i < table.columns.size(); ++i) {
    ParamExternData* param = &params->params[i];
    param->ptype = table.columns[i].dropped ? INT4OID : table.columns[i].type;
    param->isnull = true;
    param->pflags = 0;
    param->value = 0;
  }
  return params;
}

}  // namespace realtime
