// What the DBA's views show of sessions and topics, and the DBA's hand: ending one connection.
#include "core/engine_impl.h"

#include "core/json.h"

namespace realtime {

namespace {

// The end of the year 9999: what expires later never does.
constexpr int64_t kNeverExpiresS = 253402300799;

// What the client's library says of itself.
std::string ClientOf(const Session& session) {
  Result<json::Value> headers = json::ParseShallow(session.headers_json, {});
  if (!headers.ok()) return "";
  const json::Value* client = headers.value.Find("x-client-info");
  return client != nullptr && client->IsString() ? client->string : "";
}

}  // namespace

void Engine::Impl::ListSessions(std::vector<SessionId>* sessions) const {
  for (const auto& [id, session] : sessions_) sessions->push_back(id);
}

std::optional<SessionView> Engine::Impl::Describe(SessionId id) {
  const Session* session = FindSession(id);
  if (session == nullptr) return std::nullopt;
  SessionView view;
  view.peer = session->peer;
  view.client = ClientOf(*session);
  view.role = session->identity == nullptr ? session->role : session->identity->role;
  if (session->token_exp_s < kNeverExpiresS) view.expires_ms = session->token_exp_s * 1000;
  view.protocol = session->vsn == Vsn::kV1 ? "1.0.0" : "2.0.0";
  view.channels = session->channels.size();
  view.connected_ms = session->connected_ms;
  return view;
}

void Engine::Impl::ListSubscribers(SessionId id, std::vector<Subscriber>* subscribers) {
  const Session* session = FindSession(id);
  if (session == nullptr) return;
  for (const auto& [topic, channel] : session->channels) {
    if (!channel->registered) continue;
    subscribers->push_back({id, channel->id, std::string(channel->subtopic()), channel->changes});
  }
}

bool Engine::Impl::Describe(const std::string& key, ViewRows* rows) {
  const Topic* room = topics_.Find(key);
  if (room == nullptr) return false;
  uint64_t present = 0;
  for (const Channel* member : room->members) present += member->meta.tracked();
  rows->Text(room->members.front()->subtopic());
  rows->Bool(room->members.front()->is_private);
  rows->Number(room->members.size());
  rows->Number(present);
  rows->Number(room->broadcasts);
  rows->Number(room->deliveries);
  rows->EndRow();
  return true;
}

// As at a shutdown: clients of all versions understand it, and come back if they may.
bool Engine::Impl::Disconnect(SessionId id) {
  Session* session = FindSession(id);
  if (session == nullptr) return false;
  SayGoodbye(*session, "administrator's request");
  return true;
}

void Engine::ListSessions(std::vector<SessionId>* sessions) const { impl_->ListSessions(sessions); }
void Engine::ListTopics(std::vector<std::string>* keys) const { impl_->ListTopics(keys); }
std::optional<SessionView> Engine::Describe(SessionId session) const { return impl_->Describe(session); }
bool Engine::Describe(const std::string& topic_key, ViewRows* rows) const { return impl_->Describe(topic_key, rows); }
void Engine::ListSubscribers(SessionId session, std::vector<Subscriber>* subscribers) const {
  impl_->ListSubscribers(session, subscribers);
}
bool Engine::Disconnect(SessionId session) { return impl_->Disconnect(session); }
const Traffic& Engine::traffic() const { return impl_->traffic(); }

}  // namespace realtime
