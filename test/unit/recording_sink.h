// An EngineSink that remembers: the text frames of each session, closes, and messages to the database.
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

  void Send(SessionId session, SharedBytes frame) override {
    frames[session].push_back(std::move(frame));
  }
  void Close(SessionId session, CloseCode code, std::string_view reason) override {
    closed.push_back({session, code, std::string(reason)});
  }
  void ToDatabase(realtime::ToDatabase message) override { to_database.push_back(std::move(message)); }
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

  // The payload of one unmasked text frame, or a description of what is wrong with it.
  static std::string TextOf(const std::string& frame) {
    ByteReader reader(frame);
    if (reader.U8() != 0x81) return "not a final text frame";
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
  std::vector<realtime::ToDatabase> to_database;
  std::map<SessionId, int64_t> received_ms;  // what LastReceived answers
};

}  // namespace realtime

#endif  // REALTIME_TEST_UNIT_RECORDING_SINK_H_
