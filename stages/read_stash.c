/*
 * What a connection has sent beyond its limit: batches that wait here, in order.
 *
 * A connection may have only so many batches under way, and its receive is stopped at that.  But
 * the kernel goes on until the stop has reached it, and where much lies in the socket it fills a
 * hundred buffers by then.  Those are kept, and are sent as others come home: so a connection that
 * sends without end takes no more of the stages' time than its turn, whatever it has sent.
 *
 * Failure modes: the connection is broken, or cut: what is kept is given back unseen.  Who has
 * ended its sending half only is served to the last byte.
 */

#include "base/assert.h"
#include "stages/node_settings.h"
#include "stages/read_internal.h"

/* Of who does not read its replies: nothing is gained by more, and others wait behind them. */
enum { READ_UNREAD_BATCHES_MAX = 2 };

/* How many the connection may have under way, at a glance at what validate and write say of it. */
static uint32_t batches_max(const struct read_shard *shard, uint32_t slot) {
    const struct node_options *options = shard->node->options;
    const struct node_record *record = &shard->node->records[slot];
    if (node_password_required(shard->node) &&
        atomic_load_relaxed_u32(&record->authenticated) == 0) {
        return 1; /* who has not said who it is needs one to do so */
    }
    const uint32_t most = options->connection_batches_max;
    return most > READ_UNREAD_BATCHES_MAX && atomic_load_relaxed_u32(&record->unread) != 0
               ? READ_UNREAD_BATCHES_MAX
               : most;
}

bool read_stash_at_limit(const struct read_shard *shard, uint32_t slot) {
    const struct read_connection *connection = &shard->connections[slot];
    return connection->stash_count > 0 || connection->in_flight >= batches_max(shard, slot);
}

void read_stash_push(struct read_shard *shard, struct batch *batch) {
    struct read_connection *connection = &shard->connections[batch->connection.slot];
    ASSERT(connection->state == READ_OPEN && batch->owner == STAGE_READ);
    ASSERT((batch->flags & BATCH_OPEN) == 0); /* the first one never waits */
    batch->next = BATCH_NO_BLOCK;
    if (connection->stash_count == 0) {
        connection->stash_head = batch->id;
    } else {
        pipeline_batch(shard->pipeline, connection->stash_tail)->next = batch->id;
    }
    connection->stash_tail = batch->id;
    connection->stash_count++;
}

static struct batch *pop(struct read_shard *shard, struct read_connection *connection) {
    ASSERT(connection->stash_count > 0);
    struct batch *batch = pipeline_batch(shard->pipeline, connection->stash_head);
    connection->stash_head = batch->next;
    connection->stash_count--;
    batch->next = BATCH_NO_BLOCK;
    return batch;
}

void read_stash_send(struct read_shard *shard, uint32_t slot, uint64_t now_ns) {
    struct read_connection *connection = &shard->connections[slot];
    const uint32_t limit = batches_max(shard, slot);
    while (connection->stash_count > 0 && connection->in_flight < limit) {
        read_batch_send(shard, pop(shard, connection), now_ns);
    }
}

void read_stash_drop(struct read_shard *shard, uint32_t slot) {
    struct read_connection *connection = &shard->connections[slot];
    while (connection->stash_count > 0) {
        read_buffers_home(&shard->buffers, pop(shard, connection)->id);
    }
}
