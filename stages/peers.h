#ifndef WEIR_STAGES_PEERS_H
#define WEIR_STAGES_PEERS_H

/*
 * What moves between the replicate stage and the connections to other members.
 *
 * For every member that there may be, and for each of the two sorts of connections, there is a pair
 * of record rings (queues/record_ring.h):
 *
 *     replicate ──► out ──► write ──► socket ... socket ──► read, parse ──► in ──► replicate
 *
 *   control   votes, heartbeats, their answers: small, and polled first.  No load on the others may
 *             delay them.
 *   data      entries, pieces of snapshots, and their answers.
 *
 * A record is an enum peer_record in 8 bytes, and for PEER_RECORD_MESSAGE the message as
 * stages/peer_message.h lays it out, entries included: they are copied once into the ring, the very
 * bytes of the log, so that the log's memory is never borrowed by a slow connection.
 *
 * What is in `out` may be lost (a connection that breaks takes it along); it is never altered, and
 * never overtakes within its ring.  If `out` is full the message is dropped: consensus repeats what
 * matters.  If `in` is full whoever fills it waits, and TCP holds the sender back.
 *
 * Bounds.  All rings are made at start, for CONFIGURATION_MEMBERS_MAX - 1 others: address space
 * until it is used.  A cluster of one has none.
 */

#include <stdbool.h>
#include <stdint.h>

#include "entry/configuration.h"
#include "queues/record_ring.h"
#include "storage/identity.h"

/* The two sorts of connections. */
enum peer_lane { PEER_CONTROL, PEER_DATA, PEER_LANES };

/* Other members, at most. */
enum { PEERS_MAX = CONFIGURATION_MEMBERS_MAX - 1 };

enum peer_record {
    PEER_RECORD_MESSAGE = 1,
    PEER_RECORD_DISCONNECTED, /* in, control: that connection of the member's has ended */
    PEER_RECORD_REOPEN,       /* out, data: break the connection and open it again */
    PEER_RECORD_CONNECTED,    /* in, control: the member has opened that connection, and this node
                                 has accepted it: a struct peer_introduction */
};
enum { PEER_RECORD_HEAD_BYTES = 8 };

/* What a member said of lives when it opened its control connection (wire/peer_hello.h). */
struct peer_introduction {
    uint64_t incarnation; /* its own: not 0 */
    uint64_t known;       /* this node's, as its table has it; 0: it has no table yet */
};

enum {
    /* Control messages are below 200 bytes: some hundred of them. */
    PEER_CONTROL_RING_BYTES = 64 * 1024,
};

/* One other member. */
struct peer_link {
    uint64_t node_id; /* 0: this row is free.  Writer: replicate, before the rings are used */
    /* As the table of incarnations has it; 0: not yet known.  Writer: replicate (node_figure_set);
     * readers: whoever judges a handshake: one that was judged too early is judged again by
     * replicate, which gets the introduction. */
    uint64_t incarnation;
    struct record_ring *in[PEER_LANES];
    struct record_ring *out[PEER_LANES];
};

/* All of them.  Rows are filled from the first on, and stay. */
struct peers {
    struct peer_link links[PEERS_MAX];
    void *memory;
    size_t memory_bytes;
    uint64_t data_ring_bytes;
};

/*
 * Makes the rings, so that a message of up to message_bytes_max fits twice.  Start-up; allocates.
 * Errors: WEIR_ENOMEM; *peers is then zero.
 */
int peers_create(struct peers *peers, uint64_t message_bytes_max);
void peers_destroy(struct peers *peers);

/* The row of a member; NULL if it has none.  Any thread, once the row was made. */
struct peer_link *peers_find(struct peers *peers, uint64_t node_id);

/* The same, making it if there is a free one; NULL if there is none.  Replicate's thread. */
struct peer_link *peers_row(struct peers *peers, uint64_t node_id);

/*
 * Gives every member of a configuration whose incarnation is 0 the one by which this node knows it
 * (its own: `own`), as far as it does.  The first configuration has none, and who is to begin from
 * a snapshot has no table: so what a snapshot's meta says must have passed through here, and then
 * needs nothing more than to be the configuration in force where it is installed.  Any thread.
 */
void peers_incarnations_fill(struct peers *peers, const struct identity *own,
                             struct configuration *configuration);

#endif
