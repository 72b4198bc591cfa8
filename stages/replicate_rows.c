/*
 * Rows of members: named when they are first needed, and asked back when there are no more.
 *
 * Happy path: a member has a row, or gets a free one.
 *
 * Failure modes: there is none.  Then the first that is neither a member's nor of the address book
 * is asked back, which takes until parse has ended its connections; whoever wanted one asks again.
 * If there is no such row, nor will there be: there are never more members than rows, but a node
 * may have been let in to be added, or the address book may name others.
 *
 * stages/peers.h draws the states of a row.
 */

#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "stages/replicate_internal.h"

/* Wakes parse. */
static void parse_wake(struct replicate_shard *shard) {
    uint32_t note = 0;
    (void)ring_u32_enqueue(shard->to_parse, &note, 1); /* parse has notes then, and looks */
}

/* Asks one back, unless that was done already. */
static void row_ask(struct replicate_shard *shard) {
    const struct configuration *members = raft_configuration(shard->raft);
    struct peer_link *found = NULL;
    for (uint32_t i = 0; i < PEERS_MAX; i++) {
        struct peer_link *link = &shard->links->links[i];
        if (atomic_load_relaxed_u32(&link->is_leaving) != 0) {
            return;
        }
        bool is_needed = link->node_id == 0 || link->is_booked ||
                         configuration_find(members, link->node_id) != NULL;
        /* Vacant still: parse has not seen yet that it was named anew. */
        if (found == NULL && !is_needed && atomic_load_relaxed_u32(&link->is_vacant) == 0) {
            found = link;
        }
    }
    if (found != NULL) {
        shard->members.row_leaves = true;
        atomic_store_release_u32(&found->is_leaving, 1);
        parse_wake(shard);
    }
}

struct peer_link *replicate_row(struct replicate_shard *shard, uint64_t node_id) {
    struct peer_link *link = peers_row(shard->links, node_id);
    if (link == NULL) {
        row_ask(shard);
    }
    return link;
}

static void ring_empty(struct record_ring *ring) {
    uint32_t length_bytes;
    while (record_ring_peek(ring, &length_bytes) != NULL) {
        record_ring_consume(ring);
    }
}

/* Nobody else touches it: parse has given it up, and write has no connection to who is not in the
 * address book. */
static void row_clear(struct replicate_shard *shard, struct peer_link *link) {
    uint32_t row = (uint32_t)(link - shard->links->links);
    ASSERT(!link->is_booked && link->node_id != 0);
    log_info("row_reused", "peer=%lu what=\"it is no member any more\"", link->node_id);
    for (uint32_t lane = 0; lane < PEER_LANES; lane++) {
        ring_empty(link->in[lane]);
        ring_empty(link->out[lane]);
    }
    shard->members.introduced[row] = 0;
    replicate_standing_forget(shard, link);
    shard->peers->addresses.announced[row] = (struct entry_address){0};
    shard->dispute.voices[row] = (struct replicate_voice){0};
    node_figure_set(&link->incarnation, 0);
    atomic_store_relaxed_u64(&link->node_id, 0);
    /* Partner: parse's acquire: from then on it finds the row by no old name. */
    atomic_store_release_u32(&link->is_leaving, 0);
    parse_wake(shard);
}

uint32_t replicate_rows_turn(struct replicate_shard *shard) {
    uint32_t cleared = 0;
    if (!shard->members.row_leaves) {
        return 0;
    }
    shard->members.row_leaves = false;
    for (uint32_t i = 0; i < PEERS_MAX; i++) {
        struct peer_link *link = &shard->links->links[i];
        bool is_read = shard->peers->incoming.ring == link->in[PEER_DATA];
        if (atomic_load_relaxed_u32(&link->is_leaving) == 0) {
            continue;
        }
        /* Partner: parse's release, when nothing of it has the row any more. */
        if (is_read || atomic_load_acquire_u32(&link->is_vacant) == 0) {
            shard->members.row_leaves = true;
            continue;
        }
        if (configuration_find(raft_configuration(shard->raft), link->node_id) != NULL) {
            /* It is a member again: the row stays its own. */
            atomic_store_release_u32(&link->is_leaving, 0);
            parse_wake(shard);
            continue;
        }
        row_clear(shard, link);
        cleared++;
    }
    if (cleared > 0) {
        replicate_members_follow_again(shard);
    }
    return cleared;
}
