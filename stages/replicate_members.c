/*
 * Who the other members are: their rows, their incarnations, and whether what they say counts.
 *
 * Happy path: a member opens its control connection and introduces itself; what it then says is
 * looked at.  On a node that never took part, whose table of incarnations is blank, nothing is yet:
 * the core gets neither ticks nor messages until every member of the first configuration has
 * introduced itself, each fresh too or with this node's incarnation in its table; then the table is
 * stored, and when it is durable the node takes part.
 *
 * The incarnation that counts is the one in the configuration in force; if that has none (the first
 * configuration has none), the table's.
 *
 * Failure modes: a member comes in another life: it was wiped, or its directory is an old copy; it
 * is said, and what it sends is dropped until it introduces itself again.  A member knows this node
 * in another life: this node was wiped; if it is fresh it stays out for ever, and says so.  The
 * table cannot be written: final.
 */

#include "base/assert.h"
#include "base/log.h"
#include "base/mutant.h"
#include "stages/replicate_internal.h"

static uint32_t row_of(const struct replicate_shard *shard, const struct peer_link *link) {
    return (uint32_t)(link - shard->links->links);
}

static uint64_t own_id(const struct replicate_shard *shard) {
    return shard->node->options->identity.node_id;
}

/* ---- the incarnations in force ------------------------------------------------------------- */

/* As the configuration in force or the durable table has it; 0: not known. */
static uint64_t incarnation_of(const struct replicate_shard *shard, uint64_t node_id) {
    const struct replicate_members *members = &shard->members;
    const struct configuration_member *member = configuration_find(&members->in_force, node_id);
    if (member != NULL && member->incarnation != 0) {
        return member->incarnation;
    }
    member = members->has_table ? configuration_find(&members->table, node_id) : NULL;
    return member == NULL ? 0 : member->incarnation;
}

static bool same_configuration(const struct configuration *a, const struct configuration *b) {
    bool same = a->member_count == b->member_count;
    for (uint32_t i = 0; same && i < a->member_count; i++) {
        same = a->members[i].node_id == b->members[i].node_id &&
               a->members[i].incarnation == b->members[i].incarnation;
    }
    return same;
}

static void incarnations_publish(struct replicate_shard *shard) {
    for (uint32_t i = 0; i < PEERS_MAX; i++) {
        struct peer_link *link = &shard->links->links[i];
        if (link->node_id == 0) {
            continue;
        }
        uint64_t incarnation = incarnation_of(shard, link->node_id);
        /* Who is no member for a while, and comes back, may have kept its connections: it has said
           on them once who it is. */
        if (incarnation != 0 && incarnation != link->incarnation &&
            incarnation != shard->members.told_by[i]) {
            replicate_standing_forget(shard, link);
        }
        /* Partner: write's acquire. */
        atomic_store_release_u64(&link->incarnation, incarnation);
    }
}

void replicate_members_follow_again(struct replicate_shard *shard) {
    const struct configuration *now = &shard->members.in_force;
    for (uint32_t i = 0; i < now->member_count; i++) {
        uint64_t node_id = now->members[i].node_id;
        if (node_id != own_id(shard) && replicate_row(shard, node_id) == NULL) {
            log_warn_limited("member_without_row",
                             "peer=%lu what=\"it gets the row of a node that is no member any "
                             "more, or of none: then the address book has too many others\"",
                             node_id);
        }
    }
    incarnations_publish(shard);
}

void replicate_members_follow(struct replicate_shard *shard) {
    const struct configuration *now = raft_configuration(shard->raft);
    if (shard->links == NULL || same_configuration(now, &shard->members.in_force)) {
        return;
    }
    shard->members.in_force = *now;
    replicate_members_follow_again(shard);
}

/* ---- the table ------------------------------------------------------------------------------ */

int replicate_members_start(struct replicate_shard *shard, uint64_t vote_term,
                            struct error_text *error) {
    struct replicate_members *members = &shard->members;
    const struct identity *identity = &shard->node->options->identity;
    if (shard->links == NULL || !incarnations_needed(identity)) {
        return WEIR_OK;
    }
    int result = incarnations_open(&members->file, shard->io, shard->port, shard->directory,
                                   identity, &members->has_table, &members->table, error);
    if (result != WEIR_OK) {
        return result;
    }
    /* A new directory has term 1 and entry 1, and nothing else before the table is durable. */
    if (!members->has_table && (vote_term > 1 || log_last_index(shard->log) > 1)) {
        error_text_set(error,
                       "incarnations: the table is empty, though this node has taken part (term "
                       "%lu, last index %lu): it was removed; restore the file from a backup of "
                       "this node, or remove the data directory and add the node as a new member",
                       vote_term, log_last_index(shard->log));
        return WEIR_ECORRUPT;
    }
    if (!members->has_table) {
        members->passive = true;
        members->table = identity->members;
        for (uint32_t i = 0; i < members->table.member_count; i++) {
            struct configuration_member *member = &members->table.members[i];
            member->incarnation = member->node_id == identity->node_id ? identity->incarnation : 0;
        }
        log_info("not_introduced",
                 "what=\"this node is new: it takes part when it has met all %u "
                 "members\"",
                 members->table.member_count);
    }
    return WEIR_OK;
}

/* Starts to store the table if everybody is in it. */
static void table_complete(struct replicate_shard *shard) {
    struct replicate_members *members = &shard->members;
    for (uint32_t i = 0; i < members->table.member_count; i++) {
        if (members->table.members[i].incarnation == 0) {
            return;
        }
    }
    incarnations_store(members->file, &members->table);
}

bool replicate_members_completion(struct replicate_shard *shard,
                                  const struct io_completion *completion) {
    struct replicate_members *members = &shard->members;
    bool stored = false;
    int failed = 0;
    if (members->file == NULL ||
        !incarnations_completion(members->file, completion, &stored, &failed)) {
        return false;
    }
    if (failed != 0) {
        replicate_fail(shard, "writing the table of incarnations failed: nothing can be promised; "
                              "check the disk, then start again");
    } else if (stored) {
        members->has_table = true;
        members->passive = false;
        incarnations_publish(shard);
        log_info("introduced", "members=%u", members->table.member_count);
    }
    return true;
}

bool replicate_members_busy(const struct replicate_shard *shard) {
    return shard->members.file != NULL && incarnations_busy(shard->members.file);
}

/* ---- introductions -------------------------------------------------------------------------- */

/* A fresh node collects what it is told, until all of it is on its way to the disk. */
static void collect(struct replicate_shard *shard, const struct peer_link *link,
                    const struct peer_introduction *introduction) {
    struct replicate_members *members = &shard->members;
    uint64_t own = shard->node->options->identity.incarnation;
    if (introduction->known != 0 && introduction->known != own) {
        log_error_limited("wiped",
                          "peer=%lu known=%lx own=%lx what=\"that member knows this node from an "
                          "earlier data directory: this one is new, and is not let in under the "
                          "old id; remove the member and add this node under a new id\"",
                          link->node_id, introduction->known, own);
    }
    bool fits =
        MUTANT(WIPED_NODE_VOTES, true, introduction->known == 0 || introduction->known == own);
    for (uint32_t i = 0; i < members->table.member_count; i++) {
        if (members->table.members[i].node_id == link->node_id) {
            members->table.members[i].incarnation = fits ? introduction->incarnation : 0;
        }
    }
    table_complete(shard);
}

void replicate_members_introduced(struct replicate_shard *shard, const struct peer_link *link,
                                  const struct peer_introduction *introduction) {
    struct replicate_members *members = &shard->members;
    ASSERT(introduction->incarnation != 0);
    members->introduced[row_of(shard, link)] = introduction->incarnation;
    if (members->passive && !replicate_members_busy(shard)) {
        collect(shard, link, introduction);
        return;
    }
    uint64_t expected = incarnation_of(shard, link->node_id);
    if (expected != 0 && expected != introduction->incarnation) {
        log_error_limited("member_wiped",
                          "peer=%lu known=%lx now=%lx what=\"this member comes with another data "
                          "directory than the one it joined with: it was wiped or replaced, and "
                          "gets no vote and no entry; remove it and add it again under a new id\"",
                          link->node_id, expected, introduction->incarnation);
    } else if (introduction->known != 0 &&
               introduction->known != shard->node->options->identity.incarnation) {
        log_error_limited("wiped",
                          "peer=%lu what=\"that member knows this node from another data "
                          "directory, and refuses what it says\"",
                          link->node_id);
    }
}

bool replicate_members_heard(const struct replicate_shard *shard, const struct peer_link *link,
                             enum peer_lane lane) {
    const struct replicate_members *members = &shard->members;
    uint64_t life = members->lives[row_of(shard, link)][lane];
    if (lane == PEER_DATA && life != link->told.life) {
        return false; /* of an earlier life, or of one that is not judged yet */
    }
    uint64_t introduced = members->introduced[row_of(shard, link)];
    uint64_t expected = incarnation_of(shard, link->node_id);
    return !members->passive && introduced != 0 && !members->is_behind[row_of(shard, link)] &&
           MUTANT(WIPED_NODE_VOTES, true, expected == 0 || expected == introduced);
}

uint64_t replicate_members_incarnation(const struct replicate_shard *shard, uint64_t node_id) {
    if (node_id == own_id(shard)) {
        return shard->node->options->identity.incarnation;
    }
    uint64_t known = incarnation_of(shard, node_id);
    const struct peer_link *link =
        known != 0 || shard->links == NULL ? NULL : peers_find(shard->links, node_id);
    return link == NULL ? known : shard->members.introduced[row_of(shard, link)];
}
