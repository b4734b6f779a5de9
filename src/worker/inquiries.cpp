#include "worker/inquiries.h"

#include "pg/inquiry_desk.h"

namespace realtime {

std::optional<Inquiry> Inquiries::Take() {
  std::optional<Inquiry> inquiry = desk::Take();
  if (!inquiry) return inquiry;
  ticket_ = inquiry->ticket;
  rows_ = ViewRows();
  more_ = false;
  return inquiry;
}

void Inquiries::Add(const Findings& findings) {
  if (findings.ticket != ticket_) return;
  rows_.Append(findings.rows);
  for (const Subscriber& subscriber : findings.subscribers) {
    more_ = more_ || !feed_->Describe(subscriber, &rows_);
  }
  more_ = more_ || findings.more;
  if (!findings.last) return;
  desk::Answer(ticket_, rows_, {findings.found, more_});
  ticket_ = 0;
  rows_ = ViewRows();
}

}  // namespace realtime
