// Private channels: what their members may do, asked of the database at the join, for each new token, and again and again;
// and what waits for the database on behalf of a join.
#include "core/engine_impl.h"

#include <algorithm>
#include <utility>

namespace realtime {

namespace {

constexpr int64_t kAnswerMs = 10000;  // what the database may take at least to say what a member may do
constexpr int64_t kReadyMs = 60000;  // what replication_ready waits for, before it gives up the channel

constexpr char kNoAnswer[] = "Realtime was unable to connect to the project database";

// Channels that joined together must not ask again together: between 70 and 95 hundredths of the time that an answer counts,
// so that the next one is there in time.
int64_t SpreadTtl(int64_t ttl_ms, ChannelId id) {
  return ttl_ms * static_cast<int64_t>(70 + id * 7 % 26) / 100;
}

std::string MayNotRead(const Channel& channel) {
  return std::string("You do not have permissions to read from this Channel topic: ").append(channel.subtopic());
}

}  // namespace

void Engine::Impl::AskRights(Channel& channel) {
  ++channel.rights_sequence;
  const bool asking = std::exchange(channel.checking, true);
  // Not later for another question: rights end when nobody says that they go on.
  if (!asking && !channel.joining) ArmRights(channel, now_);
  sink_->ToDatabase(CheckRights{channel.id, channel.rights_sequence, channel.identity,
                                {std::string(channel.subtopic())}, channel.joining, channel.replay});
}

// Answers to channels that have ended arrive late and mean nothing. Each of several tokens in a row counts, in order: those who
// send them all the time would else keep what they had at first. That an earlier one could not be judged says nothing.
void Engine::Impl::OnRights(const RightsResult& result, Now now) {
  now_ = now;
  auto found = channels_.find(result.channel);
  if (found == channels_.end()) {
    if (calls_.contains(result.channel)) OnCallRights(result.channel, result);
    return;
  }
  Channel& channel = *found->second;
  const bool last = channel.rights_sequence == result.sequence;
  if (result.sequence <= channel.rights_answered || (!last && !result.error.empty())) return;
  channel.rights_answered = result.sequence;
  if (last) channel.checking = channel.new_token = false;
  if (channel.joining) {
    OnJoinRights(channel, result, now);
  } else {
    OnNewRights(channel, result, now);
  }
}

void Engine::Impl::OnJoinRights(Channel& channel, const RightsResult& result, Now now) {
  if (!result.error.empty()) return RefuseJoin(channel, result.error);
  channel.rights = result.granted.empty() ? Rights() : result.granted.front();
  const bool may_join = channel.replay ? channel.rights.read_broadcast : channel.rights.can_read();
  if (!may_join) return RefuseJoin(channel, "Unauthorized: " + MayNotRead(channel));
  if (!result.replay_error.empty()) return RefuseJoin(channel, result.replay_error);
  ArmRights(channel, now);
  ReplayStored(channel, result);
  topics_.Join(&channel);
  ContinueJoin(channel);
}

void Engine::Impl::OnNewRights(Channel& channel, const RightsResult& result, Now now) {
  if (!result.error.empty()) {
    const bool cancelled = result.error.starts_with("QueryCanceled");
    return EndForRetry(channel, cancelled ? "Query was cancelled, please try again" : kNoAnswer);
  }
  const bool heard_presence = channel.rights.read_presence;
  channel.rights = result.granted.empty() ? Rights() : result.granted.front();
  if (!channel.rights.can_read()) {
    return EndWithError(channel, std::string("You no longer have permission to read from this Channel topic: ")
                                     .append(channel.subtopic()));
  }
  ArmRights(channel, now);
  // Clients set diffs aside until they have a state, and what they had before may have changed unheard.
  if (!heard_presence && channel.presence_enabled && channel.rights.read_presence) SendPresenceState(channel);
  if (!channel.rights.write_presence) UntrackPresence(channel);
  if (!channel.new_token) TakeLatePresence(channel, now);
}

// They come before whatever was held back: a message sent meanwhile is younger.
void Engine::Impl::ReplayStored(Channel& channel, const RightsResult& result) {
  channel.replay.reset();
  for (const BroadcastPtr& message : result.replayed) {
    channel.replayed.insert(message->id);
    SharedBytes frame = EncodeReplayed(channel.session->vsn, channel.join_ref, *message);
    if (frame != nullptr) Deliver(channel, frame);
  }
}

void Engine::Impl::ArmRights(Channel& channel, Now now) {
  const int64_t ttl_ms = settings_->authorization_ttl_ms;
  const int64_t wait_ms = channel.checking ? std::max(ttl_ms, kAnswerMs) : SpreadTtl(ttl_ms, channel.id);
  deadlines_.Set(Deadline::Kind::kRights, channel.id, now.mono_ms + wait_ms, &channel.rights_deadline);
}

void Engine::Impl::OnRightsDeadline(ChannelId id) {
  auto found = channels_.find(id);
  if (found == channels_.end()) {
    deadlines_.DropFirst();
  } else if (found->second->checking) {
    EndForRetry(*found->second, kNoAnswer);
  } else {
    AskRights(*found->second);
  }
}

void Engine::Impl::Deliver(Channel& channel, const SharedBytes& frame) {
  if (!channel.joining) return sink_->Send(channel.session->id, frame);
  if (channel.held_too_much) return;
  channel.held_bytes += frame->size();
  if (channel.held_bytes <= settings_->max_client_queue / 4) {
    channel.held.push_back(frame);
    return;
  }
  channel.held_too_much = true;
  std::vector<SharedBytes>().swap(channel.held);
}

void Engine::Impl::DropHeld() {
  for (const auto& [id, channel] : channels_) {
    if (channel->held.empty()) continue;
    channel->held_too_much = true;
    std::vector<SharedBytes>().swap(channel->held);
  }
}

void Engine::Impl::SendHeld(Channel& channel) {
  for (SharedBytes& frame : channel.held) sink_->Send(channel.session->id, std::move(frame));
  std::vector<SharedBytes>().swap(channel.held);
  channel.held_bytes = 0;
}

void Engine::Impl::EndForRetry(Channel& channel, std::string_view message) {
  SendSystem(channel, SystemExtension::kSystem, true, message);
  Send(*channel.session, channel.join_ref, channel.join_ref, channel.topic, "phx_error",
       R"({"reason":"authorization_unavailable"})");
  EndChannel(channel);
}

// ---- the stream, on which messages that are sent from SQL arrive ----

void Engine::Impl::NoteListeners() {
  const bool any = !channels_.empty();
  if (any == listening_) return;
  listening_ = any;
  sink_->ToDatabase(Listening{any});
}

void Engine::Impl::NoteReady(Channel& channel) {
  if (!channel.wants_ready) return;
  if (stream_live_) {
    channel.wants_ready = false;
    deadlines_.Cancel(Deadline::Kind::kReady, channel.id, &channel.ready_deadline);
    SendSystem(channel, SystemExtension::kSystem, false, "Replication connection established");
  } else {
    deadlines_.Set(Deadline::Kind::kReady, channel.id, now_.mono_ms + kReadyMs, &channel.ready_deadline);
  }
}

void Engine::Impl::OnStreamState(const StreamState& state) {
  stream_live_ = state.live;
  if (!stream_live_) return;
  for (const auto& [id, channel] : channels_) {
    if (!channel->joining) NoteReady(*channel);
  }
}

void Engine::Impl::OnReadyDeadline(ChannelId id) {
  auto found = channels_.find(id);
  if (found == channels_.end()) {
    deadlines_.DropFirst();
  } else {
    EndWithError(*found->second, "Replication connection was not established in time");
  }
}

}  // namespace realtime
