/*
 * WAIT: how many other members have what this connection wrote, and who waits for more of them.
 *
 * Happy path: a batch that ends with a WAIT comes by on its way to apply, so all that its
 * connection has proposed is committed.  The leader knows up to where each other member has the log
 * durable (raft_peers: match_index).  If enough have the connection's last entry, the answer is
 * their number, at once.  Otherwise what it waits for is kept with the connection, in the list of
 * those who wait, and the batch goes home.  When members have more, or a time-out is over, the list
 * is looked through; who has waited long enough is answered by way of read (stages/batch.h).
 *
 * Failure modes.  Leadership is lost, or the log fails: all are answered with the number reached,
 * which stays true: what they wait for was committed, or, if the answer to it was -UNKNOWN, nothing
 * of it is counted.  Who comes later is refused, as reads are.  The connection ends: forgotten.
 * This node leads, but nothing of its own term is committed: nobody is counted before that.
 *
 * Cost: none while nobody waits.  The list is looked through in slices, only when a member has more
 * than at the last look or a time-out is over.
 */

#include "base/assert.h"
#include "stages/connection_commands.h"
#include "stages/replicate_internal.h"

/* Looks at so many in one poll; a look is some ten instructions for each member: 20 us at most. */
enum { REPLICATE_WAIT_SLICE = 256 };

/* A time-out that is later than any clock can be is none. */
#define WAIT_TIMEOUT_MS_MAX (UINT64_MAX / 4 / 1000000)

void replicate_wait_init(struct replicate_shard *shard) {
    shard->wait = (struct replicate_wait){.head = BATCH_NO_BLOCK,
                                          .tail = BATCH_NO_BLOCK,
                                          .cursor = BATCH_NO_BLOCK,
                                          .due_ns = UINT64_MAX,
                                          .due_next_ns = UINT64_MAX};
}

/* How many other members are known to have, durable, all up to the index; 0: nobody counts. */
static uint32_t members_with(const struct raft_peer_status *peers, uint32_t count, uint64_t index) {
    uint32_t with = 0;
    for (uint32_t i = 0; i < count && index > 0; i++) {
        with += peers[i].match_index >= index;
    }
    return with;
}

/* What the others must have: the connection's last entry in this term as leader.  If it has none,
 * whatever it wrote before is before this term's first entry, or was replaced.  0: that entry is
 * not committed yet. */
static uint64_t wanted_index(const struct replicate_shard *shard,
                             const struct replicate_connection *connection) {
    if (connection->leadership == shard->leadership && connection->last_index != 0) {
        return connection->last_index;
    }
    return raft_serving(shard->raft) ? shard->led_from : 0;
}

static void list_add(struct replicate_shard *shard, uint32_t slot) {
    struct replicate_wait *wait = &shard->wait;
    struct replicate_connection *connection = &shard->connections[slot];
    connection->wait_on = true;
    connection->wait_next = BATCH_NO_BLOCK;
    connection->wait_previous = wait->tail;
    if (wait->tail == BATCH_NO_BLOCK) {
        wait->head = slot;
    } else {
        shard->connections[wait->tail].wait_next = slot;
    }
    wait->tail = slot;
    wait->count++;
    if (connection->wait_until_ns < wait->due_ns) {
        wait->due_ns = connection->wait_until_ns;
    }
    if (connection->wait_until_ns < wait->due_next_ns) {
        wait->due_next_ns = connection->wait_until_ns;
    }
}

static void list_remove(struct replicate_shard *shard, uint32_t slot) {
    struct replicate_wait *wait = &shard->wait;
    struct replicate_connection *connection = &shard->connections[slot];
    ASSERT(connection->wait_on && wait->count > 0);
    connection->wait_on = false;
    if (wait->cursor == slot) {
        wait->cursor = connection->wait_next;
    }
    if (connection->wait_previous == BATCH_NO_BLOCK) {
        wait->head = connection->wait_next;
    } else {
        shard->connections[connection->wait_previous].wait_next = connection->wait_next;
    }
    if (connection->wait_next == BATCH_NO_BLOCK) {
        wait->tail = connection->wait_previous;
    } else {
        shard->connections[connection->wait_next].wait_previous = connection->wait_previous;
    }
    wait->count--;
    node_figure_set(&shard->node->replicate.waiting, wait->count);
}

/* The wait is over: read is told the answer. */
static void answer(struct replicate_shard *shard, uint32_t slot) {
    const struct replicate_connection *connection = &shard->connections[slot];
    struct home_item item = {.kind = HOME_WAIT_OVER,
                             .value = slot,
                             .generation = connection->generation,
                             .wait_reached = connection->wait_reached};
    list_remove(shard, slot);
    uint32_t taken = ring_home_enqueue(shard->to_read, &item, 1);
    ASSERT(taken == 1); /* one a connection, and read takes some in each of its polls */
}

/* Judges a WAIT at its place in the order: all that its connection wrote is on its way to apply. */
static void wait_begin(struct replicate_shard *shard, struct batch *batch,
                       struct batch_command *command) {
    uint32_t slot = batch->connection.slot;
    struct replicate_connection *connection = &shard->connections[slot];
    struct raft_peer_status peers[CONFIGURATION_MEMBERS_MAX];
    ASSERT(connection->generation == batch->connection.generation && !connection->wait_on);
    if (shard->failed || raft_role(shard->raft) != RAFT_LEADER) {
        command->fate = FATE_REFUSED;
        command->refusal = REFUSAL_NOT_LEADER;
        return;
    }
    uint32_t count = raft_peers(shard->raft, peers, CONFIGURATION_MEMBERS_MAX);
    uint32_t reached = members_with(peers, count, wanted_index(shard, connection));
    if (reached >= batch->wait_members) {
        batch->wait_reached = reached;
        return;
    }
    bool forever = batch->wait_timeout_ms == 0 || batch->wait_timeout_ms > WAIT_TIMEOUT_MS_MAX;
    connection->wait_until_ns =
        forever ? UINT64_MAX : shard->now_ns + batch->wait_timeout_ms * 1000000;
    connection->wait_members = batch->wait_members;
    connection->wait_reached = reached;
    batch->flags |= BATCH_WAITING;
    list_add(shard, slot);
    node_figure_set(&shard->node->replicate.waiting, shard->wait.count);
}

void replicate_wait_batch(struct replicate_shard *shard, struct batch *batch) {
    ASSERT((batch->flags & (BATCH_WAITS | BATCH_END)) != 0);
    if ((batch->flags & BATCH_END) != 0) {
        if (shard->connections[batch->connection.slot].wait_on) {
            list_remove(shard, batch->connection.slot);
        }
        return;
    }
    struct batch_command *last =
        batch->command_count == 0 ? NULL : &batch->commands[batch->command_count - 1];
    if (last != NULL && connection_waits(last)) {
        wait_begin(shard, batch, last);
    }
}

/* Whether a look can bring anything: members have more than at the last one, or it is time. */
static bool look_due(struct replicate_shard *shard, const struct raft_peer_status *peers,
                     uint32_t count, uint64_t now_ns) {
    struct replicate_wait *wait = &shard->wait;
    /* A member's index may go back (it has lost its log); a change of members counts as well. */
    uint64_t seen = count + raft_serving(shard->raft);
    for (uint32_t i = 0; i < count; i++) {
        seen += peers[i].match_index;
    }
    bool due = seen != wait->seen || wait->due_ns <= now_ns;
    wait->seen = seen;
    return due;
}

uint32_t replicate_wait_turn(struct replicate_shard *shard, uint64_t now_ns, uint64_t *due_ns) {
    struct replicate_wait *wait = &shard->wait;
    if (wait->count == 0) {
        wait->left = 0;
        wait->due_ns = UINT64_MAX;
        return 0;
    }
    ASSERT(!shard->failed && raft_role(shard->raft) == RAFT_LEADER);
    struct raft_peer_status peers[CONFIGURATION_MEMBERS_MAX];
    uint32_t count = raft_peers(shard->raft, peers, CONFIGURATION_MEMBERS_MAX);
    uint32_t work = 0;
    if (look_due(shard, peers, count, now_ns)) {
        wait->left = wait->count;
        wait->due_ns = UINT64_MAX; /* the end of this look says it anew */
        wait->due_next_ns = UINT64_MAX;
    }
    uint32_t slice = wait->left < REPLICATE_WAIT_SLICE ? wait->left : REPLICATE_WAIT_SLICE;
    wait->left -= slice;
    for (; slice > 0 && wait->count > 0; slice--) {
        uint32_t slot = wait->cursor == BATCH_NO_BLOCK ? wait->head : wait->cursor;
        struct replicate_connection *connection = &shard->connections[slot];
        wait->cursor = connection->wait_next;
        uint32_t reached = members_with(peers, count, wanted_index(shard, connection));
        connection->wait_reached =
            reached > connection->wait_reached ? reached : connection->wait_reached;
        if (connection->wait_reached >= connection->wait_members ||
            connection->wait_until_ns <= now_ns) {
            answer(shard, slot);
        } else if (connection->wait_until_ns < wait->due_next_ns) {
            wait->due_next_ns = connection->wait_until_ns;
        }
        work++;
    }
    if (wait->left == 0) {
        wait->due_ns = wait->due_next_ns;
    }
    *due_ns = wait->due_ns < *due_ns ? wait->due_ns : *due_ns;
    return work;
}

void replicate_wait_end(struct replicate_shard *shard) {
    while (shard->wait.head != BATCH_NO_BLOCK) {
        answer(shard, shard->wait.head);
    }
    ASSERT(shard->wait.count == 0);
}
