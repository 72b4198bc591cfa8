/*
 * The read stage.  See stages/read.h for the life of a connection.
 *
 * Happy path of a poll: batches that came home give their buffers back; completions become batches
 * for parse; paused connections whose reason is gone are armed again.
 *
 * Failure modes: no buffer left: the connection waits in `starved` until one is home.  Too many
 * batches of one connection: its receive is stopped and armed again at half the limit.  Too many
 * connections: told so and closed.  A failing accept does not stop accepting.
 */

#include "stages/read_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "stages/node_record.h"

static const bool read_moves[READ_STATES][READ_STATES] = {
    [READ_FREE][READ_OPEN] = true,
    [READ_OPEN][READ_ENDING] = true,
    [READ_ENDING][READ_MARKED] = true,
    [READ_MARKED][READ_FREE] = true,
};

static void state_set(struct read_connection *connection, enum read_state state) {
    ASSERT(read_moves[connection->state][state]);
    connection->state = (uint8_t)state;
}

/* ---- making the shard ---------------------------------------------------------------------- */

static int read_init(void **out, const struct stage_environment *environment,
                     struct error_text *error) {
    struct read_shard *shard = calloc(1, sizeof(*shard));
    if (shard == NULL) {
        error_text_set(error, "no memory for the read stage");
        return WEIR_ENOMEM;
    }
    struct pipeline *pipeline = environment->pipeline;
    shard->pipeline = pipeline;
    shard->node = pipeline_node(pipeline);
    shard->io = environment->io;
    shard->options = environment->options;
    shard->to_parse = pipeline_ring(pipeline, STAGE_READ, environment->shard, STAGE_PARSE, 0);
    shard->from_write = pipeline_ring(pipeline, STAGE_WRITE, 0, STAGE_READ, environment->shard);
    shard->from_validate =
        pipeline_ring(pipeline, STAGE_VALIDATE, 0, STAGE_READ, environment->shard);
    shard->from_replicate =
        pipeline_ring(pipeline, STAGE_REPLICATE, 0, STAGE_READ, environment->shard);
    shard->connections_max = shard->node->options->connections_max;
    shard->marker_first = shard->node->options->batch_count;
    shard->starved_head = BATCH_NO_BLOCK;
    shard->unmarked_head = BATCH_NO_BLOCK;
    shard->over_head = BATCH_NO_BLOCK;
    shard->over_tail = BATCH_NO_BLOCK;
    shard->paused_head = BATCH_NO_BLOCK;
    shard->paused_tail = BATCH_NO_BLOCK;
    shard->listener = -1;
    shard->answer_first = shard->marker_first + PIPELINE_MARKERS;
    ASSERT(shard->answer_first + PIPELINE_ANSWERS == pipeline_batch_total(pipeline));
    shard->connections = calloc(shard->connections_max, sizeof(*shard->connections));
    shard->slots_memory = aligned_alloc(
        CACHE_LINE_BYTES, ALIGN_UP(pool_bytes(shard->connections_max), (size_t)CACHE_LINE_BYTES));
    shard->markers_memory = aligned_alloc(
        CACHE_LINE_BYTES, ALIGN_UP(pool_bytes(PIPELINE_MARKERS), (size_t)CACHE_LINE_BYTES));
    shard->answers_memory = aligned_alloc(
        CACHE_LINE_BYTES, ALIGN_UP(pool_bytes(PIPELINE_ANSWERS), (size_t)CACHE_LINE_BYTES));
    if (shard->connections == NULL || shard->slots_memory == NULL ||
        shard->markers_memory == NULL || shard->answers_memory == NULL ||
        read_buffers_create(&shard->buffers, shard->marker_first) != WEIR_OK ||
        read_peers_create(&shard->peers, pipeline, shard->io, error) != WEIR_OK) {
        error_text_set(error, "no memory for %u connections", shard->connections_max);
        free(shard->connections);
        read_buffers_destroy(&shard->buffers);
        free(shard->slots_memory);
        free(shard->markers_memory);
        free(shard->answers_memory);
        free(shard);
        return WEIR_ENOMEM;
    }
    shard->slots = pool_init(shard->slots_memory, shard->connections_max);
    shard->markers = pool_init(shard->markers_memory, PIPELINE_MARKERS);
    shard->answers = pool_init(shard->answers_memory, PIPELINE_ANSWERS);
    *out = shard;
    return WEIR_OK;
}

static int read_start(void *state, struct error_text *error) {
    struct read_shard *shard = state;
    /* One accept, the timer and those that it replaced since the last poll (two reasons to set
       it, and each only ever sooner), a receive for each connection, a mailbox
       place for each buffer, the refusals. */
    uint32_t operations =
        4 + shard->connections_max + shard->node->options->batch_count + READ_REFUSALS_MAX;
    int result = io_port_create(shard->io, &shard->port, operations);
    if (result != WEIR_OK) {
        error_text_set(error, "no memory for %u operations of the read stage", operations);
        return result;
    }
    result = read_buffers_register(&shard->buffers, shard->io, pipeline_buffers(shard->pipeline),
                                   BATCH_BUFFER_BYTES, error);
    if (result != WEIR_OK) {
        return result;
    }
    result = io_listen(shard->io, shard->options->listen_address, READ_LISTEN_BACKLOG,
                       &shard->listener, error);
    if (result == WEIR_OK) {
        node_figure_set(&shard->node->read.listen_port, io_listen_port(shard->io, shard->listener));
    }
    if (result == WEIR_OK && shard->peers != NULL) {
        result = read_peers_start(shard->peers, error);
    }
    return result;
}

static void read_fini(void *state) {
    struct read_shard *shard = state;
    read_peers_destroy(shard->peers);
    if (shard->listener >= 0) {
        io_close(shard->io, shard->listener);
    }
    if (shard->port != NULL) {
        io_port_destroy(shard->port);
    }
    free(shard->connections);
    read_buffers_destroy(&shard->buffers);
    free(shard->slots_memory);
    free(shard->markers_memory);
    free(shard->answers_memory);
    free(shard);
}

/* ---- sending batches on -------------------------------------------------------------------- */

void read_batch_send(struct read_shard *shard, struct batch *batch, uint64_t now_ns) {
    struct read_connection *connection = &shard->connections[batch->connection.slot];
    batch->sequence = connection->sequence++;
    batch->received_ns = now_ns;
    connection->in_flight++;
    batch_hand_over(batch, STAGE_READ, STAGE_PARSE);
    uint32_t taken = ring_u32_enqueue(shard->to_parse, &batch->id, 1);
    ASSERT(taken == 1); /* as long as the pool */
}

/* Fills the fields of a batch that starts its journey. */
struct batch *read_batch_begin(struct read_shard *shard, uint32_t id, uint32_t slot,
                               uint32_t length_bytes, uint16_t flags) {
    struct read_connection *connection = &shard->connections[slot];
    struct batch *batch = pipeline_batch(shard->pipeline, id);
    ASSERT(batch->owner == STAGE_READ);
    batch->connection.slot = slot;
    batch->connection.generation = connection->generation;
    batch->socket = connection->socket;
    batch->length_bytes = length_bytes;
    batch->flags = flags;
    if (!connection->opened) {
        connection->opened = true;
        batch->flags |= BATCH_OPEN;
    }
    batch->lane = 0;
    batch->read_shard = 0;
    batch->owner_epoch = 0;
    return batch;
}

/* Sends the marker of an ENDING connection that is at rest, or queues it for one. */
void read_mark_if_rested(struct read_shard *shard, uint32_t slot, uint64_t now_ns) {
    struct read_connection *connection = &shard->connections[slot];
    if (connection->state != READ_ENDING || connection->armed || connection->in_flight > 0 ||
        connection->stash_count > 0 || connection->starved || connection->wait_listed) {
        return;
    }
    uint32_t marker = pool_take(shard->markers);
    if (marker == POOL_NONE) {
        connection->next = shard->unmarked_head;
        connection->starved = true; /* in a list: `unmarked` */
        shard->unmarked_head = slot;
        return;
    }
    state_set(connection, READ_MARKED);
    read_batch_send(
        shard, read_batch_begin(shard, shard->marker_first + marker, slot, 0, BATCH_END), now_ns);
}

/* ---- receiving ----------------------------------------------------------------------------- */

static void receive_start(struct read_shard *shard, uint32_t slot, uint32_t group) {
    struct read_connection *connection = &shard->connections[slot];
    ASSERT(connection->state == READ_OPEN && !connection->armed);
    connection->armed = true;
    connection->stopping = false;
    connection->watched = group == IO_BUFFERS_NONE;
    connection->paused = connection->watched;
    io_receive_start(shard->port, connection->socket, group,
                     read_user(slot, connection->generation, READ_USER_RECEIVE));
}

static void receive_arm(struct read_shard *shard, uint32_t slot) {
    receive_start(shard, slot, READ_BUFFER_GROUP);
}

static void receive_stop(struct read_shard *shard, uint32_t slot) {
    struct read_connection *connection = &shard->connections[slot];
    if (connection->armed && !connection->stopping) {
        connection->stopping = true;
        io_receive_stop(shard->port, connection->socket,
                        read_user(slot, connection->generation, READ_USER_RECEIVE));
    }
}

void read_go_on(struct read_shard *shard, uint32_t slot) {
    struct read_connection *connection = &shard->connections[slot];
    bool receives = read_wait_receives(shard, connection);
    if (!connection->paused || connection->stash_count > 0 ||
        connection->in_flight * 2 > shard->node->options->connection_batches_max) {
        return;
    }
    if (!connection->armed) {
        receive_start(shard, slot, receives ? READ_BUFFER_GROUP : IO_BUFFERS_NONE);
    } else if (connection->watched && receives) {
        receive_stop(shard, slot); /* its end comes back here */
    }
}

void read_end(struct read_shard *shard, uint32_t slot, uint64_t now_ns) {
    struct read_connection *connection = &shard->connections[slot];
    read_pause_forget(shard, slot);
    if (connection->state == READ_OPEN) {
        state_set(connection, READ_ENDING);
        receive_stop(shard, slot);
    }
    read_mark_if_rested(shard, slot, now_ns);
}

/* Waits, in turn, for a batch to come home. */
static void starve(struct read_shard *shard, uint32_t slot) {
    struct read_connection *connection = &shard->connections[slot];
    connection->starved = true;
    connection->next = BATCH_NO_BLOCK;
    if (shard->starved_head == BATCH_NO_BLOCK) {
        shard->starved_head = slot;
    } else {
        shard->connections[shard->starved_tail].next = slot;
    }
    shard->starved_tail = slot;
}

/* The final completion of a receive: what to do depends on why it came. */
static void receive_ended(struct read_shard *shard, uint32_t slot, int32_t result,
                          uint64_t now_ns) {
    struct read_connection *connection = &shard->connections[slot];
    connection->armed = false;
    connection->stopping = false;
    if (connection->state == READ_ENDING) {
        read_mark_if_rested(shard, slot, now_ns);
    } else if (connection->paused && (result == -ECANCELED || result == IO_RECEIVE_NO_BUFFERS)) {
        /* At its limit, and stopped for that or ended before; goes on when its batches are home,
           and waits for nothing else besides. */
        read_go_on(shard, slot);
    } else if (result == IO_RECEIVE_NO_BUFFERS) {
        shard->buffers.missed = true;
        node_figure_add(&shard->node->read.buffers_exhausted, shard->buffers.spare_count == 0);
        starve(shard, slot);
    } else if (result > 0) {
        if (!connection->paused) {
            receive_arm(shard, slot); /* it carried data and merely has to be armed again */
        }
    } else {
        if (result < 0) {
            read_stash_drop(shard, slot); /* broken; at the end of the stream it is still wanted */
            connection->broken = true;
        }
        read_end(shard, slot, now_ns);
    }
}

/* Bytes of an open connection: they go to parse, or wait behind those that do. */
static void received(struct read_shard *shard, uint32_t slot,
                     const struct io_completion *completion, uint64_t now_ns) {
    const bool waits = read_stash_at_limit(shard, slot);
    struct batch *batch =
        read_batch_begin(shard, completion->buffer, slot, (uint32_t)completion->result, 0);
    if (waits) {
        read_stash_push(shard, batch);
    } else {
        read_batch_send(shard, batch, now_ns);
    }
}

static void on_receive(struct read_shard *shard, const struct io_completion *completion,
                       uint64_t now_ns) {
    uint32_t slot = (uint32_t)completion->user >> READ_USER_KIND_BITS;
    ASSERT(slot < shard->connections_max);
    struct read_connection *connection = &shard->connections[slot];
    /* A slot is freed only after its receive has ended, so no completion is ever stale. */
    ASSERT(connection->generation == (uint32_t)(completion->user >> 32));
    if (completion->flags & IO_HAS_BUFFER) {
        ASSERT(completion->result > 0);
        read_buffers_taken(&shard->buffers);
        node_figure_add(&shard->node->read.received_bytes, (uint64_t)completion->result);
        if (connection->state == READ_OPEN) {
            received(shard, slot, completion, now_ns);
            connection->wait_batches += connection->wait_home;
            if (connection->stash_count > 0 ||
                connection->in_flight >= shard->node->options->connection_batches_max ||
                !read_wait_receives(shard, connection)) {
                connection->paused = true;
                receive_stop(shard, slot);
            }
        } else {
            read_buffers_home(&shard->buffers, completion->buffer); /* nobody wants it any more */
        }
    }
    if ((completion->flags & IO_MORE) == 0) {
        receive_ended(shard, slot, completion->result, now_ns);
    }
}

/* ---- accepting ----------------------------------------------------------------------------- */

static void record_publish(struct read_shard *shard, uint32_t slot, bool open) {
    const struct read_connection *connection = &shard->connections[slot];
    struct node_record value = {.open = open,
                                .generation = connection->generation,
                                .socket = connection->socket,
                                .opened_ms = shard->wall_ms,
                                .client_id = shard->clients_total};
    if (open) {
        io_peer_name(shard->io, connection->socket, value.address);
        io_local_name(shard->io, connection->socket, value.local_address);
    }
    node_record_publish_open(&shard->node->records[slot], &value);
}

void read_open(struct read_shard *shard, uint32_t slot, int32_t socket) {
    struct read_connection *connection = &shard->connections[slot];
    uint32_t generation = connection->generation + 1;
    memset(connection, 0, sizeof(*connection));
    connection->generation = generation;
    connection->socket = socket;
    connection->next = BATCH_NO_BLOCK;
    state_set(connection, READ_OPEN);
    shard->open_count++;
    shard->clients_total++;
    node_figure_add(&shard->node->read.accepted, 1);
    node_figure_set(&shard->node->read.connections, shard->open_count);
    record_publish(shard, slot, true);
    receive_arm(shard, slot);
}

/* ---- coming home --------------------------------------------------------------------------- */

static void slot_free(struct read_shard *shard, uint32_t slot) {
    struct read_connection *connection = &shard->connections[slot];
    state_set(connection, READ_FREE);
    shard->open_count--;
    node_figure_set(&shard->node->read.connections, shard->open_count);
    record_publish(shard, slot, false);
    pool_give(shard->slots, slot);
}

static void batch_home(struct read_shard *shard, struct batch *batch, uint64_t now_ns) {
    uint32_t slot = batch->connection.slot;
    struct read_connection *connection = &shard->connections[slot];
    ASSERT(connection->generation == batch->connection.generation);
    ASSERT(connection->in_flight > 0);
    connection->in_flight--;
    if ((batch->flags & BATCH_CONTINUE) != 0 && !connection->broken) {
        /* Parse has more of this connection: round again, without bytes of its own. */
        read_batch_send(shard, read_batch_begin(shard, batch->id, slot, 0, 0), now_ns);
        return;
    }
    if ((batch->flags & BATCH_WAITS) != 0 && read_wait_home(shard, batch, now_ns)) {
        return;
    }
    if ((batch->flags & BATCH_PAUSED) != 0 && read_pause_home(shard, batch, now_ns)) {
        return;
    }
    if (batch->id < shard->marker_first) {
        read_buffers_home(&shard->buffers, batch->id);
    } else if (batch->id >= shard->answer_first) {
        pool_give(shard->answers, batch->id - shard->answer_first);
    } else {
        pool_give(shard->markers, batch->id - shard->marker_first);
    }
    if ((batch->flags & BATCH_END) != 0) {
        ASSERT(connection->state == READ_MARKED);
        slot_free(shard, slot);
        return;
    }
    read_stash_send(shard, slot, now_ns);
    if (connection->state == READ_ENDING) {
        read_mark_if_rested(shard, slot, now_ns);
    } else {
        read_go_on(shard, slot);
    }
}

/* Write says that a connection's sending half is done for. */
static void on_notice(struct read_shard *shard, const struct home_item *item, uint64_t now_ns) {
    struct read_connection *connection = &shard->connections[item->value];
    if (connection->generation == item->generation && connection->state == READ_OPEN) {
        if (connection->starved) {
            return; /* taken out of its list by the next arming, which will see the end */
        }
        read_stash_drop(shard, item->value); /* nobody would get the answers */
        connection->broken = true;
        read_end(shard, item->value, now_ns);
    }
}

static uint32_t come_home(struct read_shard *shard, uint32_t budget, uint64_t now_ns) {
    struct home_item items[READ_TAKE_MAX];
    uint32_t count = ring_home_dequeue(shard->from_write, items,
                                       budget < READ_TAKE_MAX ? budget : READ_TAKE_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].kind == HOME_BATCH) {
            struct batch *batch = pipeline_batch(shard->pipeline, items[i].value);
            ASSERT_HOT(batch->owner == STAGE_READ);
            batch_home(shard, batch, now_ns);
        } else {
            on_notice(shard, &items[i], now_ns);
        }
    }
    return count;
}

/*
 * Arms the connections that waited for a buffer if there is one, and marks those that waited for a
 * marker.  The word that there was none is as old as its completion: since then all may have come
 * home, and then none will that could be waited for.  So what counts is the number of now.
 */
static void serve_waiters(struct read_shard *shard, uint64_t now_ns) {
    /* No more arms than free buffers: the kernel refuses the others before it looks for data. */
    uint32_t arms = shard->buffers.offered < READ_ARMS_MAX ? shard->buffers.offered : READ_ARMS_MAX;
    for (; shard->starved_head != BATCH_NO_BLOCK && arms > 0; arms--) {
        uint32_t slot = shard->starved_head;
        struct read_connection *connection = &shard->connections[slot];
        shard->starved_head = connection->next;
        connection->starved = false;
        connection->next = BATCH_NO_BLOCK;
        if (connection->state == READ_OPEN) {
            receive_arm(shard, slot);
        } else {
            read_mark_if_rested(shard, slot, now_ns);
        }
    }
    while (shard->unmarked_head != BATCH_NO_BLOCK && pool_free_count(shard->markers) > 0) {
        uint32_t slot = shard->unmarked_head;
        shard->unmarked_head = shard->connections[slot].next;
        shard->connections[slot].starved = false;
        shard->connections[slot].next = BATCH_NO_BLOCK;
        read_mark_if_rested(shard, slot, now_ns);
    }
}

void read_timer(struct read_shard *shard, uint64_t due_ns) {
    if (!shard->draining && (shard->timer_ns == 0 || due_ns < shard->timer_ns)) {
        shard->timer_ns = due_ns;
        io_timer_set(shard->port, due_ns, READ_USER_TIMER);
    }
}

static void on_completion(struct read_shard *shard, const struct io_completion *completion,
                          uint64_t now_ns) {
    switch (completion->user & ((1u << READ_USER_KIND_BITS) - 1)) {
    case READ_USER_RECEIVE: on_receive(shard, completion, now_ns); break;
    case READ_USER_ACCEPT: read_accepted(shard, completion, now_ns); break;
    case READ_USER_TIMER:
        if (completion->result == 0) { /* else another one was set instead */
            shard->timer_ns = 0;
        }
        break;
    case READ_USER_REFUSAL:
        shard->refusals--;
        io_socket_close(shard->io, (int32_t)((uint32_t)completion->user >> READ_USER_KIND_BITS));
        break;
    default: UNREACHABLE("a completion of read's");
    }
}

/* Takes completions up to the budget: all that have come, since who asked for little shall not
 * wait here behind who asked for much (parse_lines.h). */
static uint32_t take_completions(struct read_shard *shard, uint64_t now_ns, uint32_t budget) {
    struct io_completion completions[READ_TAKE_MAX];
    uint32_t count =
        io_take(shard->port, completions, budget < READ_TAKE_MAX ? budget : READ_TAKE_MAX);
    for (uint32_t i = 0; i < count; i++) {
        on_completion(shard, &completions[i], now_ns);
    }
    return count;
}

static struct stage_result read_poll(void *state, const struct stage_moment *moment,
                                     uint32_t budget) {
    struct read_shard *shard = state;
    shard->wall_ms = moment->wall_ms;
    struct stage_result result = {0};
    if (shard->peers != NULL) {
        result.work = read_peers_poll(shard->peers, moment->monotonic_ns, budget);
    }
    result.work += come_home(shard, budget, moment->monotonic_ns);
    result.work += read_wait_turn(shard, moment->monotonic_ns);
    result.work += read_clients_turn(shard, moment->monotonic_ns);
    uint32_t count = take_completions(shard, moment->monotonic_ns, budget);
    read_buffers_offer(&shard->buffers, (uint32_t)node_figure(&shard->node->parse.batches_waiting));
    read_accept_if_due(shard, moment->monotonic_ns);
    result.work += count;
    if (result.work > 0 || shard->starved_head != BATCH_NO_BLOCK) {
        serve_waiters(shard, moment->monotonic_ns);
    }
    if (shard->starved_head != BATCH_NO_BLOCK && shard->buffers.offered > 0) {
        result.work++; /* more of them at the next poll, at once */
    }
    return result;
}

static bool read_drain(void *state, const struct stage_moment *moment) {
    struct read_shard *shard = state;
    if (!shard->draining) {
        shard->draining = true;
        if (shard->accepting) {
            io_accept_stop(shard->port, shard->listener);
        }
        io_timer_stop(shard->port);
        for (uint32_t slot = 0; slot < shard->connections_max; slot++) {
            if (shard->connections[slot].state == READ_OPEN && !shard->connections[slot].starved) {
                read_end(shard, slot, moment->monotonic_ns);
            }
        }
    }
    read_buffers_offer(&shard->buffers, (uint32_t)node_figure(&shard->node->parse.batches_waiting));
    (void)read_wait_turn(shard, moment->monotonic_ns);
    (void)read_clients_turn(shard, moment->monotonic_ns);
    serve_waiters(shard, moment->monotonic_ns);
    for (uint32_t slot = 0; slot < shard->connections_max; slot++) {
        if (shard->connections[slot].state == READ_OPEN) {
            read_end(shard, slot, moment->monotonic_ns);
        }
    }
    /* Members last: what clients have asked for may need their answers. */
    return shard->open_count == 0 && !shard->accepting && shard->refusals == 0 &&
           io_outstanding(shard->port) == 0 &&
           (shard->peers == NULL || read_peers_drain(shard->peers));
}

const struct stage stage_read = {.id = STAGE_READ,
                                 .name = "read",
                                 .init = read_init,
                                 .start = read_start,
                                 .poll = read_poll,
                                 .drain = read_drain,
                                 .fini = read_fini};
