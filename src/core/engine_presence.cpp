// Presence: who tracks what on a topic, told to its members.
//
// In a small room a change is told at once. In a large one the changes of kMergeMs are told together: ten thousand members
// who come or go one by one would otherwise make a hundred million frames.
#include "core/engine_impl.h"

#include <map>
#include <utility>

#include "core/ascii.h"
#include "core/json.h"

namespace realtime {

namespace {

constexpr size_t kSmallRoom = 100;  // members
constexpr size_t kMaxLatePresence = 8;
constexpr int64_t kMergeMs = 100;

constexpr std::string_view kTooMany = "Too many presence messages per second";

// All that one connection tracks, on all its channels: bounds what a client can make us keep.
constexpr size_t kMaxTrackedBytesPerSession = 8u << 20;

// Public channels hear of presence whether they asked for it or not; private ones when they did or have tracked something.
bool HearsPresence(const Channel& channel) {
  if (!channel.is_private) return true;
  return channel.rights.read_presence && (channel.presence_enabled || channel.has_tracked);
}

// The frames of one message to the members of a room: one for each version and join_ref.
class RoomFrames {
 public:
  RoomFrames(std::string_view event, std::string_view payload) : event_(event), payload_(payload) {}

  SharedBytes For(const Channel& channel, std::string_view join_ref) {
    Vsn vsn = channel.session->vsn;
    SharedBytes& frame = frames_[{vsn, vsn == Vsn::kV1 ? std::string_view() : join_ref}];
    if (frame == nullptr) {
      frame = MakeFrame(Opcode::kText, EncodeText(vsn, join_ref, "null", channel.topic, event_, payload_));
    }
    return frame;
  }

 private:
  std::string_view event_;
  std::string_view payload_;
  std::map<std::pair<Vsn, std::string_view>, SharedBytes> frames_;
};

// Adds to a sum what a room's presence has grown by, also when memory runs out in between.
class Counting {
 public:
  Counting(const Presence& presence, size_t* sum) : presence_(presence), sum_(sum), before_(presence.size()) {}
  ~Counting() { *sum_ += presence_.size() - before_; }
  Counting(const Counting&) = delete;
  Counting& operator=(const Counting&) = delete;

 private:
  const Presence& presence_;
  size_t* const sum_;
  const size_t before_;
};

}  // namespace

// Always answered. Whatever is refused is refused alone: the channel stays, and so does what it has tracked before.
void Engine::Impl::OnPresence(Channel& channel, const ClientMessage& message, Now now) {
  if (!DeferPresence(channel, message)) AnswerPresence(channel, message.ref, message.payload, now);
}

void Engine::Impl::AnswerPresence(Channel& channel, std::string_view ref, std::string_view payload, Now now) {
  Status status = ChangePresence(channel, payload, now);
  Send(*channel.session, channel.join_ref, ref, channel.topic, "phx_reply",
       status.ok() ? OkPayload() : ErrorPayload(status.message()));
}

// Who signs in and tracks at once means the new token's rights. More than a few, or large ones, are judged by those of now.
bool Engine::Impl::DeferPresence(Channel& channel, const ClientMessage& message) {
  if (!channel.new_token || channel.late_presence.size() >= kMaxLatePresence) return false;
  const size_t size = message.payload.size() + message.ref.size();
  if (!CheckJoinBytes(*channel.session, size).ok()) return false;
  channel.late_presence.emplace_back(message.ref, message.payload);
  channel.late_bytes += size;
  channel.cost += size;
  channel.session->join_cost += size;
  joins_bytes_ += size;
  return true;
}

void Engine::Impl::TakeLatePresence(Channel& channel, Now now) {
  const size_t size = std::exchange(channel.late_bytes, 0);
  channel.cost -= size;
  channel.session->join_cost -= size;
  joins_bytes_ -= size;
  for (const auto& [ref, payload] : std::exchange(channel.late_presence, {})) AnswerPresence(channel, ref, payload, now);
}

Status Engine::Impl::ChangePresence(Channel& channel, std::string_view payload, Now now) {
  Result<json::Value> parsed = json::ParseShallow(payload, {.max_depth = settings_->max_json_depth});
  if (!parsed.ok()) return {parsed.status.code(), "Unreadable presence message: " + parsed.status.message()};
  const json::Value* event = parsed.value.Find("event");
  if (event == nullptr) return Status::Ok();
  const bool track = event->IsString() && EqualsIgnoringCase(event->string, "track");
  if (!track && !(event->IsString() && EqualsIgnoringCase(event->string, "untrack"))) {
    return {Code::kInvalid, "Unknown presence event"};
  }
  if (channel.joining || channel.room == nullptr) return {Code::kInvalid, "The channel is not joined yet"};
  if (!channel.presence_calls.Take(settings_->presence_calls, now.mono_ms)) {
    return {Code::kTooLarge, "Client presence rate limit exceeded"};
  }
  ++traffic_.presence_events;
  if (track) {
    const json::Value* tracked = parsed.value.Find("payload");
    return TrackPresence(channel, tracked == nullptr ? "{}" : tracked->raw, now);
  }
  // Needs no right: whoever may not write can still take back what is theirs.
  if (!channel.meta.tracked()) return Status::Ok();
  if (!presence_events_.Take(settings_->presence_events, now.mono_ms)) return {Code::kTooLarge, std::string(kTooMany)};
  UntrackPresence(channel);
  return Status::Ok();
}

Status Engine::Impl::TrackPresence(Channel& channel, std::string_view payload, Now now) {
  if (!channel.rights.write_presence) {
    return {Code::kUnauthorized, std::string("Unauthorized: You do not have permissions to write presence on this "
                                             "Channel topic: ").append(channel.subtopic())};
  }
  if (payload.size() > settings_->max_payload_size) return {Code::kTooLarge, "Track message size exceeded"};
  Result<json::Value> parsed = json::ParseShallow(payload, {.max_depth = settings_->max_json_depth});
  if (!parsed.ok()) return {parsed.status.code(), "Track message size exceeded"};
  if (!parsed.value.IsObject()) return {Code::kInvalid, "Presence track payload must be a map"};
  Status fits = CheckTrackedBytes(channel, payload.size());
  if (!fits.ok()) return fits;
  if (!presence_events_.Take(settings_->presence_events, now.mono_ms)) return {Code::kTooLarge, std::string(kTooMany)};
  channel.has_tracked = true;
  bool changed = false;
  {
    Counting counting(channel.room->presence, &tracked_bytes_);
    changed = channel.room->presence.Track(&channel.meta, parsed.value, &names_);
  }
  if (changed) ShowPresence(*channel.room, 0);
  return Status::Ok();
}

// `size` more bytes in place of what the channel tracks.
Status Engine::Impl::CheckTrackedBytes(const Channel& channel, size_t size) const {
  size_t of_session = size;
  for (const auto& [topic, other] : channel.session->channels) {
    if (other.get() != &channel) of_session += other->meta.body.size();
  }
  if (of_session > kMaxTrackedBytesPerSession) return {Code::kTooLarge, "This connection tracks too much"};
  // A state is one message, and so is a diff, which may hold all of it twice, as it was and as it is: what no client's queue
  // can take would cut off everybody who joins, or is there.
  const size_t before = channel.meta.tracked() ? channel.meta.size() : 0;
  const size_t of_key = channel.meta.size() - channel.meta.body.size();
  const size_t of_room = channel.room->presence.size() - before + of_key + size;
  if (of_room > settings_->max_client_queue / 4) return {Code::kTooLarge, "Too much is tracked on this topic"};
  if (tracked_bytes_ - before + of_key + size > settings_->max_queue_memory / 4) {
    return {Code::kTooLarge, "Too much is tracked by all clients"};
  }
  return Status::Ok();
}

bool Engine::Impl::ForgetTracked(Channel& channel) {
  if (channel.room == nullptr) return false;
  Counting counting(channel.room->presence, &tracked_bytes_);
  return channel.room->presence.Untrack(&channel.meta);
}

void Engine::Impl::UntrackPresence(Channel& channel) {
  if (ForgetTracked(channel)) ShowPresence(*channel.room, 0);
}

void Engine::Impl::EndPresence(Channel& channel) {
  if (ForgetTracked(channel)) ShowPresence(*channel.room, channel.id);
}

// Only a diff changes the state: what is kept until then is what would be made.
void Engine::Impl::SendPresenceState(Channel& channel) {
  Topic& room = *channel.room;
  PresenceState& state = room.state;
  const Vsn vsn = channel.session->vsn;
  SharedBytes& frame = state.frame[vsn == Vsn::kV1 ? 0 : 1];
  if (frame == nullptr || (vsn == Vsn::kV2 && state.join_ref != channel.join_ref)) {
    if (state.payload.empty()) state.payload = room.presence.State();
    frame = MakeFrame(Opcode::kText, EncodeText(vsn, channel.join_ref, "null", channel.topic, "presence_state",
                                                state.payload));
    if (vsn == Vsn::kV2) state.join_ref = channel.join_ref;
  }
  sink_->Send(channel.session->id, frame);
  if (room.members.size() <= kSmallRoom) room.state = PresenceState();
}

void Engine::Impl::ShowPresence(Topic& room, ChannelId except) {
  if (draining_ || room.diff_due) return;
  if (room.members.size() <= kSmallRoom) return PublishDiff(room, except);
  room.diff_due = true;
  rooms_due_.push_back(room.key);
  if (presence_deadline_ != Deadlines::kNever) return;
  deadlines_.Set(Deadline::Kind::kPresence, 0, now_.mono_ms + kMergeMs, &presence_deadline_);
}

void Engine::Impl::OnPresenceDeadline() {
  deadlines_.Cancel(Deadline::Kind::kPresence, 0, &presence_deadline_);
  for (const std::string& key : std::exchange(rooms_due_, {})) {
    Topic* room = topics_.Find(key);
    if (room == nullptr) continue;
    room->diff_due = false;
    PublishDiff(*room, 0);
  }
}

void Engine::Impl::PublishDiff(Topic& room, ChannelId except) {
  const std::string diff = room.presence.TakeDiff();
  if (diff.empty()) return;
  room.state = PresenceState();
  RoomFrames frames("presence_diff", diff);
  for (Channel* member : room.members) {
    // Who is still joining gets the state with the answer, and this diff is in it.
    if (member->id == except || member->joining || !HearsPresence(*member)) continue;
    // As on the reference: who did not ask at the join is told by the channel itself, under its join_ref.
    const bool asked = !member->is_private || member->presence_enabled;
    Deliver(*member, frames.For(*member, asked ? std::string_view("null") : member->join_ref));
  }
}

}  // namespace realtime
