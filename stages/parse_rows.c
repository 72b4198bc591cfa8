/*
 * Rows that replicate asks back: see struct peer_link.
 *
 * Happy path: a note comes, a row is leaving; its connections are ended, read says so of each, and
 * at the next look there is none left: the row is given up, and replicate told.  When that has
 * taken its name away the row is like any other.
 *
 * There is no failure mode: a connection that is ended does end.  Who is let in before the row is
 * given up is ended with the others.
 */

#include "base/assert.h"
#include "stages/parse_peers_internal.h"

/* Ends what has the row; whether something still has it. */
static bool row_is_used(struct parse_peers *peers, uint32_t row) {
    const struct parse_link *link = &peers->links[row];
    bool is_used = link->owes_disconnected || link->owes_connected;
    for (uint32_t i = 0; i < peers->peers->connections_max; i++) {
        struct parse_peer *peer = &peers->slots[i];
        if (peer->state == PEER_CLOSED || peer->row != row) {
            continue;
        }
        is_used = true;
        if (peer->state == PEER_TALKING || peer->state == PEER_PROVING) {
            parse_peer_break(peers, peer);
        }
    }
    return is_used;
}

void parse_rows_turn(struct parse_peers *peers) {
    peers->looks_at_rows = false;
    for (uint32_t row = 0; row < PEERS_MAX; row++) {
        struct peer_link *link = &peers->peers->links[row];
        struct parse_link *own = &peers->links[row];
        /* Partner: replicate's release of 0, when the row has lost its name. */
        bool is_leaving = atomic_load_acquire_u32(&link->is_leaving) != 0;
        if (own->is_given_up && !is_leaving) {
            own->is_given_up = false;
            atomic_store_relaxed_u32(&link->is_vacant, 0);
        } else if (is_leaving && !own->is_given_up && !row_is_used(peers, row)) {
            ASSERT(!link->is_booked && !own->is_told);
            own->is_given_up = true;
            node_figure_set(&link->heard_ns, 0);
            /* Partner: replicate's acquire, before it takes the rings. */
            atomic_store_release_u32(&link->is_vacant, 1);
            parse_replicate_wake(peers);
        }
        peers->looks_at_rows |= is_leaving || own->is_given_up;
    }
}
