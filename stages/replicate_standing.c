/*
 * Nobody comes back with less than it has told: a guard against old copies of a data directory.
 *
 * A member's directory may be put back from a copy that was made while it ran.  It has its id and
 * its incarnation, and it lacks votes that the member cast and entries that it acknowledged since:
 * what a majority holds may then be overruled.  So each member remembers, as long as it runs, how
 * far every other one has told to be: the highest term, and the last index that it acknowledged in
 * that term.  Both were durable before they were told.
 *
 * Happy path: a member begins another life (its process was started again), says in HELLO with
 * which term and last index it began, and that is no less than what it told in earlier lives.
 *
 * Failure mode: it is less.  What that member says is dropped, and it is said; and the member,
 * which is told by HELLO how far it was, ends: nothing that it could do is right.
 *
 * Entries acknowledged in an earlier term are not judged: a leader of a later term may have
 * replaced them.  Nor is anything if all who remember have been started again, too.
 *
 * Connections are opened anew while messages of an older one are still on their way, and the two
 * sorts of a member's connections are not in step: data may wait for room on the disk while its
 * sender is started again.  So each names its life first, and what is said on it counts for that
 * life; a life is judged on the connection for control, which nothing holds up, and data of a life
 * that was not judged there, or of an earlier one, is dropped: it will be sent again.  A host that
 * stood still finds connections of several lives at once, and may look at an earlier one last: that
 * life is behind, and nothing is heard until the later one opens its next connection.
 */

#include "base/assert.h"
#include "base/checksum.h"
#include "base/log.h"
#include "queues/atomic.h"
#include "stages/replicate_internal.h"

static uint32_t row_of(const struct replicate_shard *shard, const struct peer_link *link) {
    return (uint32_t)(link - shard->links->links);
}

void replicate_standing_start(struct replicate_shard *shard, uint64_t vote_term) {
    uint8_t moment[16];
    bytes_put_u64(moment, io_monotonic_ns(shard->io));
    bytes_put_u64(moment + 8, io_wall_ms(shard->io));
    const bool is_promised = shard->node->options->durability == DURABILITY_FSYNC;
    shard->node->standing = (struct peer_standing){
        .life = checksum_64(moment, sizeof(moment), shard->node->options->identity.incarnation) | 1,
        .term = vote_term,
        .index = is_promised ? log_last_index(shard->log) : UINT64_MAX};
    ASSERT(shard->node->standing.life != 0);
}

/* Whether a life that began like that is behind what was told in an earlier one. */
static bool is_behind(const struct peer_standing *began, const struct peer_standing *told) {
    if (told->life == 0 || began->life == 0 || told->life == began->life) {
        return false;
    }
    return began->term < told->term || (began->term == told->term && began->index < told->index);
}

/* ---- what a member has told ---------------------------------------------------------------- */

/* A release: whoever reads one of both (write's standing_of, which acquires) then reads the life
 * that told it, or a later one. */
static void told_set(struct peer_link *link, uint64_t term, uint64_t index) {
    /* The index first: with an index of a later term the earlier one says nothing wrong, since who
       has told the later one is not behind in it; the later term with an index of the earlier one
       would ask for more than was told. */
    atomic_store_release_u64(&link->told.index, index);
    atomic_store_release_u64(&link->told.term, term);
}

void replicate_standing_heard(struct replicate_shard *shard, struct peer_link *link,
                              enum peer_lane lane, const struct raft_message *message) {
    const struct replicate_members *members = &shard->members;
    const uint32_t row = row_of(shard, link);
    const uint64_t life = members->lives[row][lane];
    if (life == 0 || life != link->told.life || members->told_by[row] != members->introduced[row]) {
        return; /* a late word of an earlier life, or of somebody who does not say in which it is */
    }
    /* The term of these two is, or may be, one that is only asked about. */
    if (message->kind == RAFT_MESSAGE_PRE_VOTE || message->kind == RAFT_MESSAGE_PRE_VOTE_ANSWER) {
        return;
    }
    const bool acknowledges = message->kind == RAFT_MESSAGE_APPEND_ANSWER && message->granted;
    const uint64_t index = acknowledges ? message->match_index : 0;
    if (message->term > link->told.term) {
        told_set(link, message->term, index);
    } else if (message->term == link->told.term && index > link->told.index) {
        told_set(link, message->term, index);
    }
}

void replicate_standing_forget(struct replicate_shard *shard, struct peer_link *link) {
    const uint32_t row = row_of(shard, link);
    atomic_store_relaxed_u64(&link->told.life, 0);
    told_set(link, 0, 0);
    shard->members.told_by[row] = 0;
    shard->members.is_behind[row] = false;
    memset(shard->members.lives[row], 0, sizeof(shard->members.lives[row]));
}

/* ---- judging ------------------------------------------------------------------------------- */

/* What a member knows of this node. */
static void judge_own(struct replicate_shard *shard, const struct peer_link *link,
                      const struct peer_standing *told) {
    const struct peer_standing *own = &shard->node->standing;
    if (!is_behind(own, told)) {
        return;
    }
    log_error("behind",
              "peer=%lu term=%lu index=%lu told_term=%lu told_index=%lu what=\"this data directory "
              "is older than what this node has told that member\"",
              link->node_id, own->term, own->index, told->term, told->index);
    replicate_fail(shard, "this data directory is an old copy of this node's: it lacks votes and "
                          "entries that the node has told others of; put the latest one back, or "
                          "remove the member and add it again under a new id");
}

/* Of a member in any life: of a host that stood still connections of several lives are taken one
 * after the other, and the last one need not be the latest. */
static void judge_life(struct replicate_shard *shard, struct peer_link *link,
                       const struct peer_introduction *introduction) {
    const uint32_t row = row_of(shard, link);
    bool *behind = &shard->members.is_behind[row];
    const struct peer_standing told = link->told;
    /* A life is not behind what it has told itself: if it is that one, it is heard again. */
    *behind = is_behind(&introduction->own, &told);
    if (*behind) {
        log_error_limited("member_behind",
                          "peer=%lu term=%lu index=%lu told_term=%lu told_index=%lu what=\"this "
                          "member comes back with less than it had: its data directory is an old "
                          "copy, and nothing that it says counts; put its latest one back, or "
                          "remove it and add it again under a new id\"",
                          link->node_id, introduction->own.term, introduction->own.index, told.term,
                          told.index);
        return;
    }
    atomic_store_relaxed_u64(&link->told.life, introduction->own.life);
}

void replicate_standing_introduced(struct replicate_shard *shard, struct peer_link *link,
                                   enum peer_lane lane,
                                   const struct peer_introduction *introduction) {
    const uint32_t row = row_of(shard, link);
    struct replicate_members *members = &shard->members;
    ASSERT(introduction->incarnation != 0);
    if (members->told_by[row] != introduction->incarnation) {
        replicate_standing_forget(shard, link); /* another directory: that is judged elsewhere */
        members->told_by[row] = introduction->incarnation;
    }
    members->lives[row][lane] = introduction->own.life;
    /* What waits in the lane for data may be of an earlier life, and says nothing of this one. */
    if (lane == PEER_CONTROL) {
        judge_life(shard, link, introduction);
    }
    if (introduction->known == shard->node->options->identity.incarnation) {
        judge_own(shard, link, &introduction->told);
    }
}
