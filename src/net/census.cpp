#include "net/census.h"

#include <utility>

#include "net/loop.h"

namespace realtime {
namespace {

constexpr int64_t kSliceUs = 1000;

}  // namespace

void Census::Forget() {
  busy_ = false;
  std::vector<SessionId>().swap(sessions_);
  std::vector<std::string>().swap(topics_);
}

void Census::Begin(const Inquiry& inquiry) {
  Forget();
  inquiry_ = inquiry;
  next_ = rows_ = bytes_ = 0;
  if (inquiry.kind == InquiryKind::kDisconnect) {
    Findings findings;
    findings.ticket = inquiry.ticket;
    findings.last = true;
    findings.found = engine_->Disconnect(inquiry.connection);
    Post<ToDatabase>(std::move(findings), outbox_);
    return;
  }
  if (inquiry.kind == InquiryKind::kChannels) {
    engine_->ListTopics(&topics_);
  } else {
    engine_->ListSessions(&sessions_);
  }
  busy_ = true;
}

void Census::Work() {
  if (!busy_) return;
  const int64_t stop_us = MonotonicUs() + kSliceUs;
  Findings findings;
  findings.ticket = inquiry_.ticket;
  auto full = [&] {
    return rows_ + findings.rows.count() + findings.subscribers.size() >= kMaxViewRows ||
           bytes_ + findings.rows.bytes().size() >= kMaxViewBytes;
  };
  while (next_ < size() && !full()) {
    Describe(next_++, &findings);
    if (MonotonicUs() >= stop_us) break;
  }
  rows_ += findings.rows.count() + findings.subscribers.size();
  bytes_ += findings.rows.bytes().size();
  findings.more = next_ < size() && (rows_ >= kMaxViewRows || bytes_ >= kMaxViewBytes);
  findings.last = next_ >= size() || findings.more;
  if (findings.last) Forget();
  Post<ToDatabase>(std::move(findings), outbox_);
}

void Census::Describe(size_t index, Findings* findings) {
  switch (inquiry_.kind) {
    case InquiryKind::kChannels: engine_->Describe(topics_[index], &findings->rows); break;
    case InquiryKind::kConnections: DescribeConnection(sessions_[index], &findings->rows); break;
    case InquiryKind::kSubscriptions: engine_->ListSubscribers(sessions_[index], &findings->subscribers); break;
    case InquiryKind::kDisconnect: break;
  }
}

// The columns of realtime.stat_connections.
void Census::DescribeConnection(SessionId session, ViewRows* rows) {
  std::optional<SessionView> view = engine_->Describe(session);
  const Socket* socket = sockets_->Find(session);
  if (!view || socket == nullptr) return;
  rows->Number(session);
  rows->Text(view->peer);
  if (view->client.empty()) {
    rows->Null();
  } else {
    rows->Text(view->client);
  }
  rows->Text(view->role);
  if (view->expires_ms) {
    rows->Seconds(*view->expires_ms);
  } else {
    rows->Null();
  }
  rows->Text(view->protocol);
  rows->Number(view->channels);
  rows->Number(socket->queued());
  rows->Number(socket->bytes_in);
  rows->Number(socket->bytes_out);
  rows->Seconds(view->connected_ms);
  rows->EndRow();
}

}  // namespace realtime
