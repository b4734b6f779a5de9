// An EngineSink that remembers: the frames of each session, closes, messages to the database, answers to REST calls.
#ifndef REALTIME_TEST_UNIT_RECORDING_SINK_H_
#define REALTIME_TEST_UNIT_RECORDING_SINK_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/bytes.h"
#include "core/engine.h"

namespace realtime {

class RecordingSink : public EngineSink {
 public:
  struct Closed {
    SessionId session;
    CloseCode code;
    std::string reason;
  };
  struct Answered {
    CallId call;
    RestAnswer answer;
  };
  struct Slowed {
    SessionId session;
    int64_t ms;
  };

  void Send(SessionId session, SharedBytes frame) override {
    frames[session].push_back(std::move(frame));
  }
  void Close(SessionId session, CloseCode code, std::string_view reason) override {
    closed.push_back({session, code, std::string(reason)});
  }
  void ToDatabase(realtime::ToDatabase message) override {
    if (const auto* listening = std::get_if<Listening>(&message)) {
      listenings.push_back(listening->any);
    } else {
      to_database.push_back(std::move(message));
    }
  }
  void Answer(CallId call, RestAnswer answer) override { answers.push_back({call, std::move(answer)}); }
  void SlowDown(SessionId session, int64_t ms, Now) override { slowed.push_back({session, ms}); }
  int64_t LastReceived(SessionId session, Now) override { return received_ms[session]; }

  // The session's messages since the last call, without their frame headers.
  std::vector<std::string> TakeTexts(SessionId session) {
    std::vector<std::string> texts;
    for (const SharedBytes& frame : frames[session]) texts.push_back(TextOf(*frame));
    frames[session].clear();
    return texts;
  }

  // Messages of one kind since the last call; the others are kept.
  template <typename T>
  std::vector<T> Take() {
    std::vector<T> taken;
    std::vector<realtime::ToDatabase> kept;
    for (realtime::ToDatabase& message : to_database) {
      if (std::holds_alternative<T>(message)) {
        taken.push_back(std::get<T>(std::move(message)));
      } else {
        kept.push_back(std::move(message));
      }
    }
    to_database = std::move(kept);
    return taken;
  }

  // Likewise, when all of them are binary.
  std::vector<std::string> TakeBinaries(SessionId session) {
    std::vector<std::string> messages;
    for (const SharedBytes& frame : frames[session]) messages.push_back(BinaryOf(*frame));
    frames[session].clear();
    return messages;
  }

  // The payload of one unmasked text frame, or a description of what is wrong with it.
  static std::string TextOf(const std::string& frame) { return PayloadOf(frame, 0x81); }
  static std::string BinaryOf(const std::string& frame) { return PayloadOf(frame, 0x82); }

  static std::string PayloadOf(const std::string& frame, uint8_t first_byte) {
    ByteReader reader(frame);
    if (reader.U8() != first_byte) return "not a final frame of the kind";
    uint64_t size = reader.U8();
    if (size == 126) {
      size = reader.U16();
    } else if (size == 127) {
      size = reader.U64();
    }
    if (!reader.ok() || reader.remaining() != size) return "wrong frame length";
    return std::string(reader.Take(size));
  }

  std::map<SessionId, std::vector<SharedBytes>> frames;
  std::vector<Closed> closed;
  std::vector<realtime::ToDatabase> to_database;  // all but Listening,
  std::vector<bool> listenings;                   // which is noted here
  std::vector<Answered> answers;
  std::vector<Slowed> slowed;
  std::map<SessionId, int64_t> received_ms;  // what LastReceived answers
};

}  // namespace realtime

#endif  // REALTIME_TEST_UNIT_RECORDING_SINK_H_
