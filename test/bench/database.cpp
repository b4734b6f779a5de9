#include "bench/database.h"

#include <chrono>
#include <thread>

#include "bench/measure.h"

namespace realtime::bench {
namespace {

constexpr std::chrono::milliseconds kLookEvery(10);
constexpr std::chrono::seconds kPatience(60);

}  // namespace

Database::Database() : connection_(PQconnectdb("application_name=realtime_bench")) {
  if (PQstatus(connection_) != CONNECTION_OK) Die(PQerrorMessage(connection_));
}

Database::~Database() { PQfinish(connection_); }

std::string Database::Run(const std::string& sql, const std::vector<std::string>& values) {
  std::vector<const char*> texts;
  for (const std::string& value : values) texts.push_back(value.c_str());
  PGresult* result = values.empty() ? PQexec(connection_, sql.c_str())
                                    : PQexecParams(connection_, sql.c_str(), static_cast<int>(texts.size()), nullptr,
                                                   texts.data(), nullptr, nullptr, 0);
  ExecStatusType status = PQresultStatus(result);
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) Die(PQerrorMessage(connection_));
  std::string value = PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "";
  PQclear(result);
  return value;
}

void Database::WaitFor(const std::string& sql, const std::string& what) {
  auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (Run(sql).empty()) {
    if (std::chrono::steady_clock::now() > deadline) Die("waited in vain for " + what);
    std::this_thread::sleep_for(kLookEvery);
  }
}

void Database::Configure(const std::string& name, const std::string& value) {
  Run("ALTER SYSTEM " + (value.empty() ? "RESET " + name : "SET " + name + " = '" + value + "'"));
  Run("SELECT pg_reload_conf()");
}

}  // namespace realtime::bench
