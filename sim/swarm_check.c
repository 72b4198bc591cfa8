/*
 * The checks after every step.  See sim/swarm_check.h.
 *
 * Happy path of a look at a node: its numbers are those of the last look, nothing to do.
 * Otherwise, in this order: new entries are noted in the table of matching; a new leader is noted
 * for its term and its log compared with what is committed; new commits extend the history or are
 * compared with it; what was applied is compared with it, and the digest of the machine.
 *
 * While something waits to be done to the log, it is not what the core believes: then only what
 * was applied is looked at.  What is not in a node's memory any more (released, or only on disk
 * after a start) has chain 0, not known; it is then not compared, but the next entry that is
 * vouches for it.
 */

#include "sim/swarm_check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "entry/entry.h"
#include "raft/raft.h"
#include "sim/swarm_internal.h"
#include "storage/log.h"

_Static_assert((int)SWARM_CHECK_NODES_MAX == (int)SWARM_NODES_MAX, "one of each node");

struct swarm_matching {
    uint64_t index; /* 0: free */
    uint64_t term;
    uint64_t chain;
};

enum { MATCHING_FIRST = 1 << 12 };

static void *grown(void *memory, size_t count, size_t *capacity, size_t size) {
    if (count <= *capacity) {
        return memory;
    }
    size_t wanted = *capacity == 0 ? 1024 : *capacity;
    while (wanted < count) {
        wanted *= 2;
    }
    uint8_t *larger = realloc(memory, wanted * size);
    ASSERT(larger != NULL);
    memset(larger + *capacity * size, 0, (wanted - *capacity) * size);
    *capacity = wanted;
    return larger;
}

void swarm_check_create(struct swarm_check *check, uint32_t founders) {
    memset(check, 0, sizeof(*check));
    swarm_voters_first(check, founders);
    check->matching = calloc(MATCHING_FIRST, sizeof(*check->matching));
    ASSERT(check->matching != NULL);
    check->matching_capacity = MATCHING_FIRST;
}

void swarm_check_destroy(struct swarm_check *check) {
    for (size_t i = 0; i < check->committed_count; i++) {
        free(check->committed[i].bytes);
    }
    for (uint32_t i = 0; i < SWARM_NODES_MAX; i++) {
        free(check->nodes[i].chains);
        free(check->nodes[i].lost_chains);
    }
    free(check->committed);
    free(check->matching);
}

/* ---- log matching --------------------------------------------------------------------------- */

/* The place of an index and term, free or taken. */
static struct swarm_matching *matching_place(struct swarm_matching *table, size_t capacity,
                                             uint64_t index, uint64_t term) {
    ASSERT(index > 0);
    uint64_t words[2] = {index, term};
    size_t at = checksum_64(words, sizeof(words), 0) & (capacity - 1);
    while (table[at].index != 0 && (table[at].index != index || table[at].term != term)) {
        at = (at + 1) & (capacity - 1);
    }
    return &table[at];
}

static void matching_grow(struct swarm_check *check) {
    size_t capacity = 2 * check->matching_capacity;
    struct swarm_matching *table = calloc(capacity, sizeof(*table));
    ASSERT(table != NULL);
    for (size_t i = 0; i < check->matching_capacity; i++) {
        const struct swarm_matching *old = &check->matching[i];
        if (old->index != 0) {
            *matching_place(table, capacity, old->index, old->term) = *old;
        }
    }
    free(check->matching);
    check->matching = table;
    check->matching_capacity = capacity;
}

static void check_matching(struct swarm_check *check, struct swarm *swarm, uint32_t node,
                           uint64_t index, uint64_t term, uint64_t chain) {
    struct swarm_matching *place =
        matching_place(check->matching, check->matching_capacity, index, term);
    if (place->index == 0) {
        *place = (struct swarm_matching){.index = index, .term = term, .chain = chain};
        if (2 * ++check->matching_count > check->matching_capacity) {
            matching_grow(check);
        }
    } else if (place->chain != chain) {
        swarm_find(swarm,
                   "log matching: node %u has another entry at index %" PRIu64 " of term %" PRIu64
                   " than was seen there before",
                   node + 1, index, term);
    }
}

/* ---- a node's log --------------------------------------------------------------------------- */

static uint64_t chain_of(const struct swarm_seen *seen, uint64_t index) {
    return index < seen->chain_count ? seen->chains[index] : 0;
}

/* Makes room for indexes up to last. */
static void chains_reserve(struct swarm_seen *seen, uint64_t last) {
    seen->chains = grown(seen->chains, last + 1, &seen->chain_capacity, sizeof(*seen->chains));
    seen->chain_count = last + 1 > seen->chain_count ? last + 1 : seen->chain_count;
}

/* Forgets those behind last. */
static void chains_cut(struct swarm_seen *seen, uint64_t last) {
    ASSERT(seen->chain_count > last);
    for (size_t i = last + 1; i < seen->chain_count; i++) {
        seen->chains[i] = 0;
    }
    seen->chain_count = last + 1;
}

/* Whether what was seen up to index is what the log has: only what is behind it is in memory. */
static bool vouched_for(const struct swarm_seen *seen, const struct log *log, uint64_t index) {
    uint64_t chain = chain_of(seen, index);
    if (index == log_last_index(log)) {
        return log_tail(log)->chain == chain;
    }
    const uint8_t *next = log_entry(log, index + 1);
    ASSERT(next != NULL);
    struct entry_header header = entry_header_read(next);
    return entry_chain(next, header.length_bytes, chain) == header.chain;
}

/* The first index behind what is unchanged: entries may have been replaced since the last look. */
static uint64_t first_changed(struct swarm_seen *seen, const struct log *log) {
    for (uint64_t index = log_last_index(log); index > 0; index--) {
        const uint8_t *entry = log_entry(log, index);
        if (entry == NULL) {
            if (!vouched_for(seen, log, index)) {
                memset(seen->chains, 0, (index + 1) * sizeof(*seen->chains));
            }
            return index + 1;
        }
        if (entry_header_read(entry).chain == chain_of(seen, index)) {
            return index + 1;
        }
    }
    return 1;
}

/* What was in the log from `first` on is not there any more: no entry of the present term is. */
static void check_removed(struct swarm_check *check, struct swarm *swarm, uint32_t node,
                          uint64_t first, uint64_t term) {
    const struct swarm_seen *seen = &check->nodes[node];
    for (uint64_t i = first; i <= seen->last_index; i++) {
        const struct swarm_matching *place =
            matching_place(check->matching, check->matching_capacity, i, term);
        if (seen->chains[i] != 0 && place->index != 0 && place->chain == seen->chains[i]) {
            swarm_find(swarm,
                       "node %u removes the entry at index %" PRIu64 " of term %" PRIu64
                       ", which is the present one: its leader has it",
                       node + 1, i, term);
            return;
        }
    }
}

static void look_at_log(struct swarm_check *check, struct swarm *swarm, uint32_t index,
                        const struct log *log, const struct raft *raft) {
    struct swarm_seen *seen = &check->nodes[index];
    uint64_t last = log_last_index(log);
    if (last == seen->last_index && log_tail(log)->chain == chain_of(seen, last)) {
        return;
    }
    chains_reserve(seen, last);
    uint64_t first = first_changed(seen, log);
    check_removed(check, swarm, index, first, raft_term(raft));
    chains_cut(seen, last);
    for (uint64_t i = first; i <= last; i++) {
        const uint8_t *entry = log_entry(log, i);
        struct entry_header header = entry_header_read(entry);
        seen->chains[i] = header.chain;
        check_matching(check, swarm, index, i, header.term, header.chain);
        if (header.kind == ENTRY_CONFIGURATION) {
            swarm_voters_saw(swarm, index, entry, raft_commit_index(raft));
        }
    }
    if (seen->chains[last] == 0) {
        seen->chains[last] = log_tail(log)->chain;
        check_matching(check, swarm, index, last, log_tail(log)->term, log_tail(log)->chain);
    }
    seen->last_index = last;
    swarm_voters_in_force(swarm, index);
}

/* ---- what is committed ---------------------------------------------------------------------- */

static const struct swarm_entry *committed_at(const struct swarm_check *check, uint64_t index) {
    return index == 0 || index > check->committed_count ? NULL : &check->committed[index - 1];
}

/* Which nodes have this entry on their disks, as far as their processes say. */
static uint32_t durable_on(const struct swarm_check *check, const struct swarm *swarm,
                           uint64_t index, uint64_t chain) {
    uint32_t nodes = 0;
    for (uint32_t i = 0; i < swarm->plan->node_count; i++) {
        const struct swarm_seen *seen = &check->nodes[i];
        uint64_t durable = swarm->nodes[i].node != NULL
                               ? log_durable_index(sim_node_log(swarm->nodes[i].node))
                               : seen->ended_durable_index;
        uint64_t own = chain_of(seen, index);
        uint64_t lost = index < seen->lost_chain_count ? seen->lost_chains[index] : 0;
        if ((durable >= index && (own == chain || own == 0)) ||
            (seen->lost_durable_index >= index && (lost == chain || lost == 0))) {
            nodes |= 1U << i;
        }
    }
    return nodes;
}

/* The chain of an entry of this node's log; 0: not known.  What is only on its disk is known if it
 * was seen in any log: index and term are enough. */
static uint64_t chain_on_disk(const struct swarm_check *check, const struct swarm_seen *seen,
                              const struct log *log, uint64_t index) {
    uint64_t chain = chain_of(seen, index);
    uint64_t term = log_term(log, index);
    if (chain != 0 || term == 0) {
        return chain;
    }
    const struct swarm_matching *place =
        matching_place(check->matching, check->matching_capacity, index, term);
    return place->index != 0 ? place->chain : 0;
}

/* Whether what a node commits there for the first time may be. */
static void first_commit(struct swarm_check *check, struct swarm *swarm, uint32_t node,
                         uint64_t index, const struct log *log) {
    struct swarm_seen *seen = &check->nodes[node];
    const uint8_t *bytes = log_entry(log, index);
    struct swarm_entry *entry;
    check->committed =
        grown(check->committed, index, &check->committed_capacity, sizeof(*check->committed));
    ASSERT(index == check->committed_count + 1);
    entry = &check->committed[check->committed_count++];
    *entry = (struct swarm_entry){.commit_term = seen->term,
                                  .chain = chain_on_disk(check, seen, log, index)};
    if (bytes != NULL) {
        struct entry_header header = entry_header_read(bytes);
        entry->term = header.term;
        entry->bytes = malloc(header.length_bytes);
        ASSERT(entry->bytes != NULL);
        memcpy(entry->bytes, bytes, header.length_bytes);
    }
    if (entry->chain == 0) {
        return;
    }
    uint32_t nodes = durable_on(check, swarm, index, entry->chain);
    if (!swarm_voters_may_commit(swarm, node, index, nodes)) {
        swarm_find(swarm,
                   "node %u commits index %" PRIu64
                   ", which is durable on %d nodes: no quorum of the configuration in force",
                   node + 1, index, __builtin_popcount(nodes));
    }
}

static void look_at_commit(struct swarm_check *check, struct swarm *swarm, uint32_t index,
                           const struct log *log, uint64_t commit) {
    struct swarm_seen *seen = &check->nodes[index];
    if (commit < seen->commit_index) {
        swarm_find(swarm, "node %u: the commit index falls from %" PRIu64 " to %" PRIu64, index + 1,
                   seen->commit_index, commit);
    }
    for (uint64_t i = seen->commit_index + 1; i <= commit && !swarm_broken(swarm); i++) {
        const struct swarm_entry *entry = committed_at(check, i);
        if (entry == NULL) {
            first_commit(check, swarm, index, i, log);
        } else if (entry->chain != 0 && chain_of(seen, i) != 0 &&
                   entry->chain != chain_of(seen, i)) {
            swarm_find(swarm,
                       "node %u commits another entry at index %" PRIu64
                       " than was committed there "
                       "before",
                       index + 1, i);
        }
    }
    seen->commit_index = commit;
    seen->commit_most = commit > seen->commit_most ? commit : seen->commit_most;
}

/* What a node committed in the very step that put it out of step, as a leader that hears of a later
 * term behind the answers to its own, was not seen: it is looked at once the node is in step. */
static void look_at_applied(struct swarm_check *check, struct swarm *swarm, uint32_t index,
                            bool in_step) {
    struct swarm_seen *seen = &check->nodes[index];
    const struct node_apply_figures *figures = &sim_node_figures(swarm->nodes[index].node)->apply;
    uint64_t applied = node_figure(&figures->applied_index);
    if (applied == seen->applied_index) {
        return;
    }
    if (applied < seen->applied_index) {
        swarm_find(swarm, "node %u: the applied index falls from %" PRIu64 " to %" PRIu64,
                   index + 1, seen->applied_index, applied);
    }
    const struct swarm_entry *entry = committed_at(check, applied);
    bool by_its_core = applied <= raft_commit_index(sim_node_raft(swarm->nodes[index].node));
    if (entry == NULL && !in_step && by_its_core) {
        return;
    }
    seen->applied_index = applied;
    if (entry == NULL) {
        swarm_find(swarm, "node %u has applied index %" PRIu64 ", which nobody has committed",
                   index + 1, applied);
        return;
    }
    if (entry->chain != 0 && entry->chain != node_figure(&figures->applied_chain)) {
        swarm_find(swarm,
                   "node %u has applied other entries up to index %" PRIu64 " than were committed",
                   index + 1, applied);
    }
    uint64_t digest_index;
    uint64_t digest;
    if (!sim_node_digest(swarm->nodes[index].node, &digest_index, &digest) ||
        committed_at(check, digest_index) == NULL) {
        return;
    }
    struct swarm_entry *digested = &check->committed[digest_index - 1];
    if (digested->digest_known && digested->digest != digest) {
        swarm_find(swarm,
                   "node %u has another digest of its data after index %" PRIu64
                   " than another node had",
                   index + 1, digest_index);
    }
    digested->digest = digest;
    digested->digest_known = true;
}

/* ---- terms ---------------------------------------------------------------------------------- */

/* A leader has everything that was committed in earlier terms. */
static void check_complete(struct swarm_check *check, struct swarm *swarm, uint32_t index,
                           uint64_t term) {
    const struct swarm_seen *seen = &check->nodes[index];
    size_t last = check->committed_count;
    while (last > 0 && check->committed[last - 1].commit_term >= term) {
        last--;
    }
    const struct swarm_entry *entry = committed_at(check, last);
    if (entry == NULL) {
        return;
    }
    uint64_t own = chain_of(seen, last);
    if (seen->last_index < last || (own != 0 && entry->chain != 0 && own != entry->chain)) {
        swarm_find(swarm,
                   "node %u leads term %" PRIu64 " and lacks index %zu, which was committed "
                   "in term %" PRIu64,
                   index + 1, term, last, entry->commit_term);
    }
}

static void look_at_term(struct swarm_check *check, struct swarm *swarm, uint32_t index,
                         const struct raft *raft) {
    static const char *const roles[] = {"follows", "asks whether to campaign", "campaigns",
                                        "leads"};
    struct swarm_seen *seen = &check->nodes[index];
    uint64_t term = raft_term(raft);
    uint64_t role = (uint64_t)raft_role(raft);
    if (term == seen->term && role == seen->role) {
        return;
    }
    swarm_say(swarm, "node %u %s%s in term %" PRIu64, index + 1,
              seen->role == RAFT_LEADER ? "leads no more, " : "", roles[role], term);
    if (term < seen->term) {
        swarm_find(swarm, "node %u: the term falls from %" PRIu64 " to %" PRIu64, index + 1,
                   seen->term, term);
    }
    seen->term = term;
    seen->role = role;
    if (term >= SWARM_CHECK_TERMS_MAX) {
        swarm_find(swarm, "node %u is in term %" PRIu64 ": elections never end", index + 1, term);
    } else if (role == RAFT_LEADER) {
        if (check->leaders[term] == 0) {
            check->leaders[term] = (uint8_t)(index + 1);
            swarm->result->counts.elections++;
        } else if (check->leaders[term] != index + 1) {
            swarm_find(swarm, "nodes %u and %u both lead term %" PRIu64, check->leaders[term],
                       index + 1, term);
        }
        swarm_check_leader_votes(swarm, index, term);
        check_complete(check, swarm, index, term);
    }
}

/* A node whose disk was lost does no harm: the others know that it is not who it was. */
static void check_stranger(const struct swarm_check *check, struct swarm *swarm, uint32_t index,
                           const struct raft *raft) {
    const struct swarm_seen *seen = &check->nodes[index];
    uint64_t voted_for = raft_voted_for(raft);
    if (seen->last_index > 1 || seen->role == RAFT_LEADER ||
        (voted_for != 0 && voted_for != index + 1)) {
        swarm_find(swarm,
                   "node %u has lost its disk, and has a log up to index %" PRIu64
                   " in term %" PRIu64 ", a vote for %" PRIu64 "%s",
                   index + 1, seen->last_index, seen->term, voted_for,
                   seen->role == RAFT_LEADER ? ", and leads" : "");
    }
}

/* ---- all of it ------------------------------------------------------------------------------ */

void swarm_check_node(struct swarm_check *check, struct swarm *swarm, uint32_t index) {
    struct swarm_seen *seen = &check->nodes[index];
    const struct raft *raft = sim_node_raft(swarm->nodes[index].node);
    const struct log *log = sim_node_log(swarm->nodes[index].node);
    ASSERT(index < swarm->plan->node_count);
    bool in_step = sim_node_in_step(swarm->nodes[index].node);
    swarm_reads_look(check, swarm, index);
    if (in_step) {
        uint64_t commit = raft_commit_index(raft);
        swarm_check_counted(swarm, index);
        look_at_log(check, swarm, index, log, raft);
        look_at_term(check, swarm, index, raft);
        if (commit != seen->commit_index) {
            look_at_commit(check, swarm, index, log, commit);
        }
        swarm_stored_check(check, swarm, index);
    }
    look_at_applied(check, swarm, index, in_step);
    const struct swarm_node *node = &swarm->nodes[index];
    if (node->lost && !node->wipe && !node->added_anew) {
        check_stranger(check, swarm, index, raft);
    }
}

void swarm_check_lost(struct swarm_check *check, uint32_t index) {
    struct swarm_seen *seen = &check->nodes[index];
    free(seen->lost_chains);
    seen->lost_durable_index = seen->ended_durable_index;
    seen->lost_chains = seen->chains;
    seen->lost_chain_count = seen->chain_count;
    seen->ended_durable_index = 0;
    seen->chains = NULL;
    seen->chain_count = 0;
    seen->chain_capacity = 0;
    seen->last_index = 0;
}

void swarm_check_started(struct swarm_check *check, struct swarm *swarm, uint32_t index) {
    struct swarm_seen *seen = &check->nodes[index];
    const struct log *log = sim_node_log(swarm->nodes[index].node);
    uint64_t last = log_last_index(log);
    if (last < seen->ended_durable_index) {
        swarm_find(swarm,
                   "node %u: the log ended with index %" PRIu64 ", and %" PRIu64
                   " was durable before it ended",
                   index + 1, last, seen->ended_durable_index);
    }
    chains_reserve(seen, last);
    chains_cut(seen, last);
    memset(seen->chains, 0, seen->chain_count * sizeof(*seen->chains));
    seen->chains[last] = log_tail(log)->chain;
    if (last > 0) {
        check_matching(check, swarm, index, last, log_tail(log)->term, log_tail(log)->chain);
    }
    seen->last_index = last;
    seen->term = 0;
    seen->role = RAFT_FOLLOWER;
    seen->commit_index = 0;
    seen->applied_index = 0;
    seen->reads_at_once = 0;
    swarm_check_vote_read(swarm, index);
    swarm_check_node(check, swarm, index);
}

void swarm_check_ending(struct swarm_check *check, struct swarm *swarm, uint32_t index) {
    struct swarm_seen *seen = &check->nodes[index];
    const struct log *log = sim_node_log(swarm->nodes[index].node);
    seen->ended_durable_index = log_durable_index(log);
}

void swarm_check_peace(struct swarm_check *check, struct swarm *swarm) {
    for (uint32_t i = 0; i < swarm->plan->node_count; i++) {
        const struct swarm_seen *seen = &check->nodes[i];
        if (swarm_voters_counts(swarm, i) && seen->applied_index < check->committed_count) {
            swarm_find(swarm, "node %u has applied %" PRIu64 " of %zu entries that were committed",
                       i + 1, seen->applied_index, check->committed_count);
        }
    }
}
