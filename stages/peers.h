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
 *   control   votes, heartbeats, their answers, digests that differ: small, and polled first.  No
 *             load on the others may delay them.
 *   data      entries, pieces of snapshots, and their answers.
 *
 * A record is an enum peer_record in 8 bytes, and for PEER_RECORD_MESSAGE the message as
 * stages/peer_message.h or stages/peer_digest.h lays it out, entries included: they are copied once
 * into the ring, the very bytes of the log, so that the log's memory is never borrowed by a slow
 * connection.
 *
 * What is in `out` may be lost (a connection that breaks takes it along); it is never altered, and
 * never overtakes within its ring.  If `out` is full the message is dropped: consensus repeats
 * what matters, and of entries it is told that they were not sent (stages/replicate_outgoing.c).
 * If `in` is full whoever fills it waits, and TCP holds the sender back.
 *
 * Connections.  Each member opens two to every other, one of each sort, and speaks on those only;
 * what it hears comes over those that the others have opened.  Whom to open one to says the address
 * book (node_options.peers).
 *
 *   opener    write (stages/write_peers.c), wholly: it connects, introduces itself, sends records
 *             out of `out`, connects again.
 *   acceptor  read (stages/read_peers.c) accepts, receives and closes; parse (stages/parse_peers.c)
 *             judges the introduction and puts what is in frames into `in`.  These two speak by
 *             struct peer_item, over rings of their own that both look at first.
 *
 * Bounds.  All rings are made at start, for CONFIGURATION_MEMBERS_MAX - 1 others: address space
 * until it is used.  A cluster of one has none.  Receive buffers and accepted connections are
 * counted by the address book; control has buffers that data cannot use up, and clients none of
 * either.
 */

#include <stdbool.h>
#include <stdint.h>

#include "entry/address.h"
#include "entry/configuration.h"
#include "queues/record_ring.h"
#include "queues/ring.h"
#include "storage/identity.h"
#include "wire/peer_hello.h"

/* The two sorts of connections. */
enum peer_lane { PEER_CONTROL, PEER_DATA, PEER_LANES };

/* Other members, at most. */
enum { PEERS_MAX = CONFIGURATION_MEMBERS_MAX - 1 };

enum peer_record {
    PEER_RECORD_MESSAGE = 1,
    PEER_RECORD_DISCONNECTED, /* in, control: that connection of the member's has ended */
    PEER_RECORD_REOPEN,       /* out, control, where no data is in its way: break the connection
                                 for data and open it again */
    PEER_RECORD_CONNECTED,    /* in: the member has opened that connection, and this node has
                                 accepted it: a struct peer_introduction, and what follows was said
                                 in the life that it names */
};
enum { PEER_RECORD_HEAD_BYTES = 8 };

/* What a member said when it opened a connection (wire/peer_hello.h). */
struct peer_introduction {
    uint64_t incarnation;         /* its own: not 0 */
    uint64_t known;               /* this node's, as its table has it; 0: it has no table yet */
    struct peer_standing own;     /* its own, when this life of it began */
    struct peer_standing told;    /* this node's, as it knows it */
    struct entry_address address; /* where clients reach it; node id 0: it says nothing of that */
};

/* What a valid HELLO says; an address that clients could not use is left out, and logged.  Any
 * thread. */
struct peer_introduction peer_introduction_of(const struct peer_hello *hello);

enum {
    /* Control messages are below 200 bytes: some hundred of them. */
    PEER_CONTROL_RING_BYTES = 64 * 1024,
    /* Bytes of a tag (base/gmac.h) in a unit of work, at 10 GB/s; and what each costs beside. */
    PEER_TAG_BYTES_PER_UNIT = 500,
    PEER_TAG_UNITS = 3,
    /* Accepted connections: of each member and sort the one in use, and its predecessor until it
       has ended; and so many that have not yet said who they are. */
    PEER_ACCEPTED_EACH = 2,
    PEER_STRANGERS_MAX = 8,
    PEER_ACCEPTED_MAX = PEERS_MAX * PEER_LANES * PEER_ACCEPTED_EACH + PEER_STRANGERS_MAX,
    /* Receive buffers of a connection, before it is held back.  A control buffer has some dozen
       messages; of data 256 KiB are more than a local network delivers in a turn. */
    PEER_CONTROL_BUFFER_BYTES = 4 * 1024,
    PEER_CONTROL_BUFFERS_EACH = 4,
    PEER_DATA_BUFFER_BYTES = 32 * 1024,
    PEER_DATA_BUFFERS_EACH = 8,
    /* An opener receives nothing but the answer. */
    PEER_ANSWER_FRAME_BYTES = PEER_FRAME_HEADER_BYTES + PEER_ANSWER_BYTES,
    PEER_ANSWER_BUFFER_BYTES = 256,
};

enum {
    /*
     * Entries on their way to one member are at most this share of its ring of data.  Messages that
     * are themselves no longer than a quarter always fit then: a quarter less one byte under way,
     * one more message, and as much that is skipped at the end of the memory; that leaves a quarter
     * for questions, answers and a piece of a snapshot.  A longer one may have to wait until others
     * have gone.
     */
    PEER_INFLIGHT_SHARE = 4,
};

/* Groups of receive buffers at a door; clients' is 0 (stages/read_buffers.h). */
enum peer_group { PEER_GROUP_CONTROL = 1, PEER_GROUP_DATA = 2, PEER_GROUP_ANSWER = 3 };

/*
 * One other member.
 *
 * Its row is its own until it is needed for another one (stages/replicate_rows.c), which those of
 * the address book never are:
 *
 *     free ──named──> in use ──is_leaving, no connection left──> is_vacant ──cleared──> free
 *
 * A node that is no member any more, nor in the address book, has its row asked back by replicate
 * once there is no free one; parse lets nobody in for it from then on, ends its connections, and
 * says when there are none; then replicate empties the rings, and the row may get another name.
 */
struct peer_link {
    uint64_t node_id; /* 0: this row is free.  Writer: replicate, before the rings are used */
    /* As the table of incarnations has it; 0: not yet known.  Writer: replicate (node_figure_set);
     * readers: whoever judges a handshake: one that was judged too early is judged again by
     * replicate, which gets the introduction. */
    uint64_t incarnation;
    /* Its standing, as it has told it: stages/replicate_standing.c.  Writer: replicate, which
     * publishes what a life has told with release, behind the life; reader: write, for HELLO, which
     * acquires it and then reads the life: so nothing is taken for an earlier life's. */
    struct peer_standing told;
    /* When a control message of its came last; 0: never.  Writer: parse; reader: write, at a
     * glance: a late one only delays that a connection is opened again. */
    CACHE_ALIGNED uint64_t heard_ns;
    /* Writer: parse, once no connection has the row, nor will get it; and until it has seen that
     * is_leaving is 0 again.  Partner of its release: replicate's acquire. */
    uint32_t is_vacant;
    /* Writer: replicate.  Partner of its release of 0: parse's acquire, behind which it sees that
     * the row has lost its name. */
    CACHE_ALIGNED uint32_t is_leaving;
    bool is_booked; /* it is in the address book; constant once the cores have started */
    struct record_ring *in[PEER_LANES];
    struct record_ring *out[PEER_LANES];
};

/* Receive buffers of one group: `count`, a power of two, of buffer_bytes each. */
struct peer_buffers {
    uint8_t *memory;
    uint32_t count;
    uint32_t buffer_bytes;
};

/* What read and parse tell each other of accepted connections.  A connection has a slot, from its
 * OPEN until its ENDED. */
enum peer_item_kind {
    PEER_ITEM_OPEN = 1, /* read: the slot has a connection */
    PEER_ITEM_BYTES,    /* read: `length_bytes` in `buffer` of the group of `lane` */
    PEER_ITEM_END,      /* read: there will be no more */
    PEER_ITEM_BUFFER,   /* parse: `buffer` of the group of `lane` is done with */
    PEER_ITEM_ANSWER,   /* parse: send the slot's answer, which has `accepted` it; without a secret
                           it is one for `lane` then */
    PEER_ITEM_CLOSE,    /* parse: end this connection; after an answer that refuses it */
    PEER_ITEM_ENDED,    /* parse, after END: the slot is free, and its buffers are back */
    PEER_ITEM_MEMBER, /* parse, in a cluster with a secret: the slot has proved whose it is, and is
                           one for `lane` from now on; an ANSWER accepts it for now */
};
struct peer_item {
    uint8_t kind; /* enum peer_item_kind */
    uint8_t lane; /* enum peer_lane */
    uint8_t accepted;
    uint8_t reserved;
    uint32_t slot; /* [0, connections_max) */
    uint32_t buffer;
    uint32_t length_bytes;
};
_Static_assert(sizeof(struct peer_item) == 16, "a ring item: a power of two");
RING_TYPED(ring_peer, struct peer_item);

/* All of them.  Those of the address book are named before the cores start.  Free rows may stand
 * between others. */
struct peers {
    struct peer_link links[PEERS_MAX];
    struct peer_buffers buffers[PEER_LANES]; /* of accepted connections */
    struct peer_buffers answers_received;    /* of those that were opened */
    uint32_t connections_max;                /* accepted, at once */
    /* Of each accepted connection: the frame that answers its introduction.  Written by parse
     * before its PEER_ITEM_ANSWER, once, and read's from then on until the slot is free. */
    uint8_t (*answers)[PEER_ANSWER_FRAME_BYTES];
    void *memory;
    size_t memory_bytes;
    uint64_t data_ring_bytes;
};

/*
 * Makes the rings, so that a message of up to message_bytes_max fits twice, and buffers for
 * `others` members [1, PEERS_MAX] to be talked to, with or without tags.  Start-up; allocates.
 * Errors: WEIR_ENOMEM; *peers is then zero.
 */
int peers_create(struct peers *peers, uint64_t message_bytes_max, uint32_t others, bool has_secret);
void peers_destroy(struct peers *peers);

/* The longest message that a ring takes. */
uint32_t peers_message_bytes_max(const struct record_ring *ring);

/* So many bytes of entries may be under way to one member: see PEER_INFLIGHT_SHARE. */
uint64_t peers_inflight_bytes_max(const struct peers *peers);

/* Items that can be under way to parse, and back, at once: so long are the rings between them. */
uint32_t peers_items_max(const struct peers *peers);

/* The row of a member; NULL if it has none.  Any thread. */
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
