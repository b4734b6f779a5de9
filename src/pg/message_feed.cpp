#include "pg/message_feed.h"

#include <string>
#include <utility>

#include "pg/failure_log.h"
#include "pg/invalidation.h"
#include "pg/log.h"
#include "pg/settings.h"

#include "pg/pg.h"

extern "C" {
#include "catalog/pg_publication.h"
#include "utils/lsyscache.h"
}

namespace realtime {

void MessageFeed::Skip(uint32_t xid, std::string id) {
  if (skipped_xids_.insert(xid).second) skipped_.emplace_back(xid, std::move(id));
}

void MessageFeed::ForgetSkipped() {
  skipped_.clear();
  skipped_xids_.clear();
}

void MessageFeed::OnBegin(uint32_t xid) {
  xid_ = xid;
  skipped_id_.clear();
  if (!skipped_xids_.contains(xid)) return;
  for (const auto& [skipped, id] : skipped_) {
    if (skipped == xid) skipped_id_ = id;
  }
}

// The stream is in the order of commits: those before it in the queue will not come any more.
void MessageFeed::OnCommit() {
  if (skipped_id_.empty()) return;
  skipped_id_.clear();
  while (!skipped_.empty()) {
    const uint32_t first = skipped_.front().first;
    skipped_.pop_front();
    skipped_xids_.erase(first);
    if (first == xid_) return;
  }
}

void MessageFeed::Deliver(const RelationInfo& relation, const Row& row) {
  Result<BroadcastPtr> read = ReadMessageRow(relation, row, guc::MaxPayloadSize());
  if (read.ok()) {
    const bool delivered = read.value == nullptr || (!skipped_id_.empty() && read.value->id == skipped_id_);
    if (!delivered) output_(DatabaseBroadcast{std::move(read.value)});
    return;
  }
  const bool too_large = read.status.code() == Code::kTooLarge;
  if (!failure_log::Due(too_large ? "message: too large" : "message: malformed")) return;
  Log(LogLevel::kWarning, "UnableToBroadcastChanges: a row of realtime.messages is not delivered: " + read.status.message(),
      too_large ? "Raise realtime.max_payload_size, or send less at once." : "");
}

// By name, by schema, or because it carries every table's. May raise.
void MessageFeed::LookUp(uint32_t relation) {
  Publication* publication = GetPublicationByName(guc::Publication(), true);
  if (publication == nullptr) return;
  const bool has_table = publication->alltables || list_member_oid(GetRelationPublications(relation), publication->oid) ||
                         list_member_oid(GetSchemaPublications(get_rel_namespace(relation)), publication->oid);
  if (!has_table) return;
  published_[static_cast<size_t>(ChangeKind::kInsert)] = publication->pubactions.pubinsert;
  published_[static_cast<size_t>(ChangeKind::kUpdate)] = publication->pubactions.pubupdate;
  published_[static_cast<size_t>(ChangeKind::kDelete)] = publication->pubactions.pubdelete;
}

bool MessageFeed::IsPublished(uint32_t relation, ChangeKind kind) {
  if (relation_ != relation || generation_ != invalidation::Generation()) {
    relation_ = 0;
    published_ = {};
    generation_ = invalidation::Generation();
    invalidation::Track(relation);
    LookUp(relation);
    relation_ = relation;
  }
  return published_[static_cast<size_t>(kind)];
}

}  // namespace realtime
