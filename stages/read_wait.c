/*
 * A connection whose WAIT is not answered: what read does about it.  The whole is drawn in
 * stages/batch.h.
 *
 * Happy path: the batch that ended with the WAIT comes home without its answer and gives its buffer
 * back; replicate's word that the wait is over comes, before that or after.  When both are here
 * another one, without a buffer, goes round with the answer, and parse goes on behind it.  The
 * receive stays armed, so that the end of the connection is seen; what arrives goes to parse, which
 * keeps it.
 *
 * Failure modes: the client goes on sending: after as many batches as a connection may have under
 * way its receive is stopped until the wait is over, and only its end is looked for (`watched`).
 * No batch is free for the answer: the connection is in the list `over` until one is.  The
 * connection ends: the answer is dropped.
 */

#include "base/assert.h"
#include "stages/read_internal.h"

static bool is_complete(const struct read_connection *connection) {
    return connection->wait_home && connection->wait_over && !connection->wait_listed &&
           connection->state == READ_OPEN;
}

/* Sends the answer; a batch to bear it is free. */
static void answer_send(struct read_shard *shard, uint32_t slot, uint64_t now_ns) {
    struct read_connection *connection = &shard->connections[slot];
    uint32_t answer = pool_take(shard->answers);
    ASSERT(is_complete(connection) && answer != POOL_NONE);
    connection->wait_home = false;
    connection->wait_over = false;
    connection->wait_batches = 0;
    struct batch *batch =
        read_batch_begin(shard, shard->answer_first + answer, slot, 0, BATCH_GOES_ON);
    batch->wait_reached = connection->wait_reached;
    read_batch_send(shard, batch, now_ns);
    read_go_on(shard, slot);
}

/* Puts the connection last into the list `over`: who waits there goes first. */
static void over_add(struct read_shard *shard, uint32_t slot) {
    struct read_connection *connection = &shard->connections[slot];
    ASSERT(!connection->wait_listed);
    connection->wait_listed = true;
    connection->wait_next = BATCH_NO_BLOCK;
    if (shard->over_head == BATCH_NO_BLOCK) {
        shard->over_head = slot;
    } else {
        shard->connections[shard->over_tail].wait_next = slot;
    }
    shard->over_tail = slot;
}

/* Sends the answer, if it is here and its batch is home; or lists it until a batch is free. */
static void send_if_complete(struct read_shard *shard, uint32_t slot, uint64_t now_ns) {
    if (!is_complete(&shard->connections[slot])) {
        return;
    }
    if (shard->over_head != BATCH_NO_BLOCK || pool_free_count(shard->answers) == 0) {
        over_add(shard, slot);
    } else {
        answer_send(shard, slot, now_ns);
    }
}

bool read_wait_home(struct read_shard *shard, struct batch *batch, uint64_t now_ns) {
    uint32_t slot = batch->connection.slot;
    struct read_connection *connection = &shard->connections[slot];
    ASSERT((batch->flags & (BATCH_CONTINUE | BATCH_END)) == 0 && !connection->wait_home);
    if ((batch->flags & BATCH_WAITING) != 0) {
        connection->wait_home = true;
        connection->wait_batches = 0;
        send_if_complete(shard, slot, now_ns); /* replicate's word may have come before */
        return false;
    }
    batch = read_batch_begin(shard, batch->id, slot, 0, BATCH_GOES_ON);
    batch->wait_reached = BATCH_NO_ANSWER;
    read_batch_send(shard, batch, now_ns);
    return true;
}

/* Those that are listed, as far as there are batches. */
static void over_send(struct read_shard *shard, uint64_t now_ns) {
    while (shard->over_head != BATCH_NO_BLOCK && pool_free_count(shard->answers) > 0) {
        uint32_t slot = shard->over_head;
        struct read_connection *connection = &shard->connections[slot];
        shard->over_head = connection->wait_next;
        connection->wait_listed = false;
        if (is_complete(connection)) {
            answer_send(shard, slot, now_ns);
        }
        read_mark_if_rested(shard, slot, now_ns);
    }
}

void read_wait_over(struct read_shard *shard, uint32_t slot, uint32_t reached, uint64_t now_ns) {
    struct read_connection *connection = &shard->connections[slot];
    ASSERT(!connection->wait_over);
    connection->wait_over = true;
    connection->wait_reached = reached;
    send_if_complete(shard, slot, now_ns);
}

uint32_t read_wait_turn(struct read_shard *shard, uint64_t now_ns) {
    struct home_item items[READ_TAKE_MAX];
    over_send(shard, now_ns);
    uint32_t count = ring_home_dequeue(shard->from_replicate, items, READ_TAKE_MAX);
    for (uint32_t i = 0; i < count; i++) {
        ASSERT(items[i].kind == HOME_WAIT_OVER && items[i].value < shard->connections_max);
        if (shard->connections[items[i].value].generation == items[i].generation) {
            read_wait_over(shard, items[i].value, items[i].wait_reached, now_ns);
        }
    }
    return count;
}
