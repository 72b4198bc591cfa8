/*
 * What others say of connections: CLIENT KILL, and the end of a pause.
 *
 * Happy path of a kill: validate has marked the connection's record and names its slot here.  Its
 * socket is shut, so that what is under way to it ends, and it goes the way of every connection
 * that has ended: no batch of it is lost, and none is sent any more.
 *
 * Happy path of a pause: parse has left a command in a connection's carry; the batch before it is
 * home and gives its buffer back.  The connection is listed; when the pause is over, by time or
 * since it was taken back, another batch goes round without bytes, and parse goes on.  What arrives
 * meanwhile is bounded as behind a WAIT (read_wait.c), whose batches and lists these share.
 *
 * Failure modes: the slot has another connection by now: its generation says so.  Somebody pauses
 * again before all have gone on: parse sees that, and they come back here.
 */

#include "base/assert.h"
#include "stages/read_internal.h"

/* Connections that go on in one poll: some 50 ns each. */
enum { READ_PAUSE_SLICE = 256 };

/* ---- a kill -------------------------------------------------------------------------------- */

static void kill(struct read_shard *shard, uint32_t slot, uint32_t generation, uint64_t now_ns) {
    struct read_connection *connection = &shard->connections[slot];
    /* Behind its marker write may have closed the socket already. */
    if (connection->generation != generation ||
        (connection->state != READ_OPEN && connection->state != READ_ENDING)) {
        return;
    }
    io_shutdown(shard->io, connection->socket);
    if (connection->starved) {
        return; /* taken out of its list by the next arming, which will see the end */
    }
    read_end(shard, slot, now_ns);
}

/* ---- a pause ------------------------------------------------------------------------------- */

static bool pause_is_over(const struct read_shard *shard, uint64_t now_ns) {
    return node_pause(shard->node, now_ns) == NODE_PAUSE_NONE;
}

static void list_add(struct read_shard *shard, uint32_t slot) {
    struct read_connection *connection = &shard->connections[slot];
    ASSERT(!connection->wait_listed && !connection->pause_listed);
    connection->pause_listed = true;
    connection->wait_next = BATCH_NO_BLOCK;
    connection->pause_previous = shard->paused_tail;
    if (shard->paused_tail == BATCH_NO_BLOCK) {
        shard->paused_head = slot;
    } else {
        shard->connections[shard->paused_tail].wait_next = slot;
    }
    shard->paused_tail = slot;
}

void read_pause_forget(struct read_shard *shard, uint32_t slot) {
    struct read_connection *connection = &shard->connections[slot];
    if (!connection->pause_listed) {
        return;
    }
    connection->pause_listed = false;
    if (connection->pause_previous == BATCH_NO_BLOCK) {
        ASSERT(shard->paused_head == slot);
        shard->paused_head = connection->wait_next;
    } else {
        shard->connections[connection->pause_previous].wait_next = connection->wait_next;
    }
    if (connection->wait_next == BATCH_NO_BLOCK) {
        ASSERT(shard->paused_tail == slot);
        shard->paused_tail = connection->pause_previous;
    } else {
        shard->connections[connection->wait_next].pause_previous = connection->pause_previous;
    }
}

bool read_pause_home(struct read_shard *shard, struct batch *batch, uint64_t now_ns) {
    uint32_t slot = batch->connection.slot;
    struct read_connection *connection = &shard->connections[slot];
    ASSERT((batch->flags & (BATCH_CONTINUE | BATCH_WAITS | BATCH_END)) == 0);
    if (connection->state != READ_OPEN) {
        return false; /* what it still wanted is not done any more */
    }
    if (pause_is_over(shard, now_ns)) {
        batch = read_batch_begin(shard, batch->id, slot, 0, BATCH_GOES_ON);
        batch->wait_reached = BATCH_NO_ANSWER;
        read_batch_send(shard, batch, now_ns);
        return true;
    }
    ASSERT(!connection->wait_home);
    connection->wait_home = true;
    connection->wait_batches = 0;
    list_add(shard, slot);
    return false;
}

/* Those whose pause is over go on; returns how many. */
static uint32_t pause_turn(struct read_shard *shard, uint64_t now_ns) {
    uint32_t count = 0;
    if (shard->paused_head == BATCH_NO_BLOCK) {
        return 0;
    }
    if (!pause_is_over(shard, now_ns)) {
        read_timer(shard, node_pause_end_ns(shard->node));
        return 0;
    }
    while (shard->paused_head != BATCH_NO_BLOCK && count < READ_PAUSE_SLICE) {
        uint32_t slot = shard->paused_head;
        read_pause_forget(shard, slot);
        read_wait_over(shard, slot, BATCH_NO_ANSWER, now_ns);
        count++;
    }
    return count;
}

/* ---- the turn ------------------------------------------------------------------------------ */

uint32_t read_clients_turn(struct read_shard *shard, uint64_t now_ns) {
    struct home_item items[READ_TAKE_MAX];
    uint32_t count = ring_home_dequeue(shard->from_validate, items, READ_TAKE_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].kind == HOME_KILL) {
            ASSERT(items[i].value < shard->connections_max);
            kill(shard, items[i].value, items[i].generation, now_ns);
        } else {
            ASSERT(items[i].kind == HOME_PAUSE_OVER); /* seen below */
        }
    }
    return count + pause_turn(shard, now_ns);
}
