/*
 * The write stage.  What happens to a connection: stages/write.h.  Its backlog: write_backlog.c.
 *
 * Happy path of a poll: batches from serialize are queued at their connections; each connection
 * that has something gets one send for all of it; completions let the batches go home.
 *
 * Failure modes: a partial or refused send: backlog or hold.  A failed send, or a client over its
 * limit: the connection is shut, its replies are dropped, and read is told, which ends it.
 */

#include "stages/write.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/log.h"
#include "stages/pages.h"
#include "stages/write_internal.h"

enum {
    WRITE_TAKE_MAX = 4, /* at a time, while there are units */
    WRITE_POLL_BATCHES = 64,
    WRITE_USER_TIMER = 1u,
};

static const bool write_moves[WRITE_STATES][WRITE_STATES] = {
    [WRITE_CLOSED][WRITE_OPEN] = true,
    [WRITE_OPEN][WRITE_SHUT] = true,
    [WRITE_OPEN][WRITE_CLOSED] = true,
    [WRITE_SHUT][WRITE_CLOSED] = true,
};

static void state_set(struct write_connection *connection, enum write_state state) {
    ASSERT(write_moves[connection->state][state]);
    connection->state = (uint8_t)state;
}

static uint32_t slot_of(const struct write_shard *shard,
                        const struct write_connection *connection) {
    return (uint32_t)(connection - shard->connections);
}

static void make_ready(struct write_shard *shard, struct write_connection *connection) {
    if (!connection->ready) {
        connection->ready = true;
        connection->next_ready = shard->ready_head;
        shard->ready_head = slot_of(shard, connection);
    }
}

/* The timer is set to this, or to something earlier already. */
static void timer_want(struct write_shard *shard, uint64_t at_ns) {
    ASSERT(at_ns > 0);
    if (shard->timer_ns == 0 || at_ns < shard->timer_ns) {
        shard->timer_ns = at_ns;
        io_timer_set(shard->port, at_ns, WRITE_USER_TIMER);
    }
}

/* ---- ending -------------------------------------------------------------------------------- */

/* Everything that was to be sent is forgotten; not while a send borrows it. */
static void drop_all(struct write_shard *shard, struct write_connection *connection) {
    ASSERT(!connection->sending);
    while (connection->queue_head != BATCH_NO_BLOCK) {
        write_batch_home(shard, write_queue_pop(shard, connection));
    }
    write_backlog_forget(shard, connection);
}

/* The sending half is done for: nothing more is sent, and read learns of it. */
static void connection_shut(struct write_shard *shard, struct write_connection *connection) {
    if (connection->state != WRITE_OPEN) {
        return;
    }
    state_set(connection, WRITE_SHUT);
    io_shutdown(shard->io, connection->socket); /* a send in flight fails by this */
    write_spend(shard, WRITE_SOCKET_UNITS);
    struct home_item item = {.kind = HOME_CLOSE_NOTICE,
                             .value = slot_of(shard, connection),
                             .generation = connection->generation};
    uint32_t taken = ring_home_enqueue(shard->to_read, &item, 1);
    ASSERT(taken == 1); /* one notice a connection */
    if (!connection->sending) {
        drop_all(shard, connection);
    }
}

static void cut(struct write_shard *shard, struct write_connection *connection,
                const char *reason) {
    log_warn_limited("slow_client_cut", "slot=%u backlog_bytes=%lu held_bytes=%lu reason=\"%s\"",
                     slot_of(shard, connection), connection->backlog_bytes, connection->queue_bytes,
                     reason);
    node_figure_add(&shard->node->write.slow_cut, 1);
    connection_shut(shard, connection);
}

/* The marker has arrived and nothing is left to send: the connection is over. */
static void connection_close(struct write_shard *shard, struct write_connection *connection) {
    ASSERT(connection->marker != BATCH_NO_BLOCK && !connection->sending);
    drop_all(shard, connection);
    struct batch *marker = pipeline_batch(shard->pipeline, connection->marker);
    connection->marker = BATCH_NO_BLOCK;
    state_set(connection, WRITE_CLOSED);
    io_socket_close(shard->io, connection->socket);
    write_spend(shard, WRITE_SOCKET_UNITS);
    write_batch_home(shard, marker);
}

static void on_marker(struct write_shard *shard, struct write_connection *connection,
                      struct batch *batch, uint64_t now_ns) {
    connection->marker = batch->id;
    if (connection->sending || connection->backlog_bytes > 0) {
        connection->linger_until_ns = now_ns + WRITE_LINGER_NS;
        shard->lingering++;
        if (connection->linger_until_ns < shard->linger_next_ns) {
            shard->linger_next_ns = connection->linger_until_ns; /* a scan may have passed it */
        }
        if (shard->timer_ns != 0) {
            timer_want(shard, connection->linger_until_ns); /* it is set for who does not read */
        }
        return;
    }
    ASSERT(connection->queue_head == BATCH_NO_BLOCK); /* it comes behind all of them */
    connection_close(shard, connection);
}

/* ---- sending ------------------------------------------------------------------------------- */

/* Pieces of the queued batches, up to the limit of one send. */
static uint32_t queue_pieces(struct write_shard *shard, struct write_connection *connection,
                             struct iovec *pieces, uint32_t *bytes) {
    uint32_t count = 0;
    uint32_t id = connection->queue_head;
    *bytes = 0;
    while (id != BATCH_NO_BLOCK && count < IO_SEND_PIECES_MAX) {
        const struct batch *batch = pipeline_batch(shard->pipeline, id);
        if (batch->flags & BATCH_ABORT) {
            break; /* some of its replies are missing: none is sent */
        }
        uint32_t skip = batch->piece_sent_bytes;
        for (uint32_t i = batch->pieces_sent; i < batch->pieces.count && count < IO_SEND_PIECES_MAX;
             i++) {
            const struct reply_piece *piece = &batch->pieces.piece[i];
            pieces[count].iov_base = (void *)(uintptr_t)(piece->data + skip);
            pieces[count].iov_len = piece->length - skip;
            *bytes += piece->length - skip;
            skip = 0;
            count++;
        }
        if (batch->flags & BATCH_CLOSE_AFTER) {
            break; /* nothing is sent behind it */
        }
        id = batch->next;
    }
    return count;
}

/* The batches at the head of the queue that have nothing (left) to send go home. */
static void queue_settle(struct write_shard *shard, struct write_connection *connection) {
    while (connection->queue_head != BATCH_NO_BLOCK) {
        struct batch *batch = pipeline_batch(shard->pipeline, connection->queue_head);
        if (batch->flags & BATCH_ABORT) {
            connection_shut(shard, connection); /* drops the queue */
            return;
        }
        if (batch->pieces_sent < batch->pieces.count) {
            return;
        }
        bool close_after = (batch->flags & BATCH_CLOSE_AFTER) != 0;
        write_batch_home(shard, write_queue_pop(shard, connection));
        if (close_after) {
            connection_shut(shard, connection);
            return;
        }
    }
}

static void send_start(struct write_shard *shard, struct write_connection *connection,
                       enum io_send_mode mode) {
    ASSERT(!connection->sending && connection->state == WRITE_OPEN);
    uint32_t slot = slot_of(shard, connection);
    struct iovec *pieces = shard->pieces + (size_t)slot * IO_SEND_PIECES_MAX;
    uint32_t bytes;
    connection->from_backlog = connection->backlog_bytes > 0;
    uint32_t count = connection->from_backlog
                         ? write_backlog_pieces(shard, connection, pieces, &bytes)
                         : queue_pieces(shard, connection, pieces, &bytes);
    if (count == 0) {
        return;
    }
    connection->sending = true;
    connection->waiting = mode == IO_SEND_WAIT;
    connection->waiting_since_ns = shard->now_ns;
    shard->held += connection->waiting ? connection->queue_count : 0;
    connection->sending_bytes = bytes;
    if (connection->waiting) {
        write_unread_set(shard, connection, true);
        write_stall_note(shard, connection);
    }
    io_send(shard->port, connection->socket, pieces, count, mode, (uint64_t)slot << 1);
    node_figure_add(&shard->node->write.sends, 1);
}

/* The socket takes no more: small rests to the backlog, large ones are held. */
static void keep_rest(struct write_shard *shard, struct write_connection *connection) {
    while (connection->queue_head != BATCH_NO_BLOCK) {
        struct batch *batch = pipeline_batch(shard->pipeline, connection->queue_head);
        if (batch->pieces.length_bytes > WRITE_COPY_BYTES_MAX ||
            (batch->flags & (BATCH_CLOSE_AFTER | BATCH_ABORT)) != 0) {
            break; /* held; so is everything behind it */
        }
        if (!write_backlog_append(shard, connection, batch)) {
            cut(shard, connection, "it does not read its replies, and its backlog is full");
            return;
        }
        write_batch_home(shard, write_queue_pop(shard, connection));
    }
    if (connection->queue_count > 0 &&
        shard->held + connection->queue_count > pipeline_batch_total(shard->pipeline) / 4) {
        cut(shard, connection, "it does not read its replies, and too many batches are held");
        return;
    }
    send_start(shard, connection, IO_SEND_WAIT);
}

/* Counts `bytes` off the queue. */
static void queue_consume(struct write_shard *shard, struct write_connection *connection,
                          uint32_t bytes) {
    uint32_t id = connection->queue_head;
    while (bytes > 0) {
        ASSERT(id != BATCH_NO_BLOCK);
        struct batch *batch = pipeline_batch(shard->pipeline, id);
        while (bytes > 0 && batch->pieces_sent < batch->pieces.count) {
            uint32_t left =
                batch->pieces.piece[batch->pieces_sent].length - batch->piece_sent_bytes;
            if (bytes < left) {
                batch->piece_sent_bytes += bytes;
                bytes = 0;
            } else {
                bytes -= left;
                batch->pieces_sent++;
                batch->piece_sent_bytes = 0;
            }
        }
        id = batch->next;
    }
}

static void on_sent(struct write_shard *shard, const struct io_completion *completion) {
    uint32_t slot = (uint32_t)(completion->user >> 1);
    ASSERT(slot < shard->connections_max);
    struct write_connection *connection = &shard->connections[slot];
    ASSERT(connection->sending);
    connection->sending = false;
    if (connection->waiting) {
        connection->waiting = false;
        ASSERT(shard->held >= connection->queue_count);
        shard->held -= connection->queue_count;
    }
    uint32_t sent = completion->result > 0 ? (uint32_t)completion->result : 0;
    node_figure_add(&shard->node->write.sent_bytes, sent);
    if (connection->state == WRITE_SHUT) {
        drop_all(shard, connection);
        if (connection->marker != BATCH_NO_BLOCK) {
            shard->lingering--;
            connection_close(shard, connection);
        }
        return;
    }
    if (completion->result < 0 && completion->result != -EAGAIN) {
        connection_shut(shard, connection);
    } else {
        if (connection->from_backlog) {
            write_backlog_consume(shard, connection, sent);
        } else {
            queue_consume(shard, connection, sent);
            queue_settle(shard, connection);
        }
        if (connection->state == WRITE_OPEN) {
            if (connection->backlog_bytes > 0 || sent < connection->sending_bytes) {
                keep_rest(shard, connection);
            } else {
                write_unread_set(shard, connection, false);
                if (connection->queue_head != BATCH_NO_BLOCK) {
                    make_ready(shard, connection);
                }
            }
        }
    }
    if (connection->marker != BATCH_NO_BLOCK && !connection->sending &&
        connection->backlog_bytes == 0) {
        shard->lingering--;
        connection_close(shard, connection);
    }
}

/* ---- the turn ------------------------------------------------------------------------------ */

static void batch_arrives(struct write_shard *shard, struct batch *batch, uint64_t now_ns) {
    struct write_connection *connection = &shard->connections[batch->connection.slot];
    if (batch->flags & BATCH_OPEN) {
        ASSERT(connection->state == WRITE_CLOSED && !connection->sending);
        *connection = (struct write_connection){.generation = batch->connection.generation,
                                                .socket = batch->socket,
                                                .queue_head = BATCH_NO_BLOCK,
                                                .queue_tail = BATCH_NO_BLOCK,
                                                .backlog_head = BATCH_NO_BLOCK,
                                                .backlog_tail = BATCH_NO_BLOCK,
                                                .marker = BATCH_NO_BLOCK};
        state_set(connection, WRITE_OPEN);
        connection->unread = true; /* whatever the slot's last one left there */
        write_unread_set(shard, connection, false);
    }
    ASSERT(connection->generation == batch->connection.generation);
    if (batch->flags & BATCH_END) {
        on_marker(shard, connection, batch, now_ns);
        return;
    }
    if (connection->state == WRITE_SHUT) {
        write_batch_home(shard, batch);
        return;
    }
    write_queue_push(shard, connection, batch);
    if (!connection->sending) {
        make_ready(shard, connection);
    } else if (connection->from_backlog && connection->queue_head == batch->id &&
               batch->pieces.length_bytes <= WRITE_COPY_BYTES_MAX &&
               (batch->flags & (BATCH_CLOSE_AFTER | BATCH_ABORT)) == 0) {
        if (write_backlog_append(shard, connection, batch)) {
            write_batch_home(shard, write_queue_pop(shard, connection));
        } else {
            cut(shard, connection, "it does not read its replies, and its backlog is full");
        }
    } else if (connection->waiting && shard->held > pipeline_batch_total(shard->pipeline) / 4) {
        cut(shard, connection, "it does not read its replies, and too many batches are held");
    }
    if (connection->waiting) {
        write_stall_note(shard, connection); /* what it leaves unread may have been little so far */
    }
}

static void serve_ready(struct write_shard *shard) {
    while (shard->ready_head != BATCH_NO_BLOCK) {
        struct write_connection *connection = &shard->connections[shard->ready_head];
        shard->ready_head = connection->next_ready;
        connection->ready = false;
        if (connection->state == WRITE_OPEN && !connection->sending) {
            queue_settle(shard, connection);
        }
        if (connection->state == WRITE_OPEN && !connection->sending) {
            send_start(shard, connection, IO_SEND_TRY);
        }
    }
}

/* One slot of the scan: who has lingered for long enough is closed. */
static void linger_look(struct write_shard *shard, struct write_connection *connection,
                        uint64_t now_ns) {
    if (connection->marker == BATCH_NO_BLOCK || connection->state == WRITE_CLOSED) {
        return;
    }
    if (connection->linger_until_ns <= now_ns) {
        connection_shut(shard, connection);
        if (!connection->sending) {
            shard->lingering--;
            connection_close(shard, connection);
        } /* otherwise its send fails now, and on_sent closes */
    } else if (connection->linger_until_ns < shard->linger_next_ns) {
        shard->linger_next_ns = connection->linger_until_ns;
    }
}

/* Who has ended and still does not read is not waited for for ever.  Called only when no timer is
 * set: who lingers later is due later.  True if there are more slots to be looked at. */
static bool linger_check(struct write_shard *shard, uint64_t now_ns) {
    if (shard->linger_scan == 0) {
        shard->linger_next_ns = UINT64_MAX;
    }
    uint32_t left = shard->connections_max - shard->linger_scan;
    uint32_t end = shard->linger_scan + (left < WRITE_SCAN_SLOTS ? left : WRITE_SCAN_SLOTS);
    while (shard->linger_scan < end && shard->units > 0) {
        linger_look(shard, &shard->connections[shard->linger_scan++], now_ns);
    }
    if (shard->linger_scan < shard->connections_max) {
        return true;
    }
    shard->linger_scan = 0;
    if (shard->linger_next_ns != UINT64_MAX) {
        timer_want(shard, shard->linger_next_ns);
    }
    return false;
}

/*
 * The node stops.  A connection's marker comes only when its last batch is home, and one that is
 * held for a client who does not read never would be: who has a send under way lingers from now on,
 * and is shut when the time is over.  True if there are more slots to be looked at.
 */
static bool stop_check(struct write_shard *shard, uint64_t now_ns) {
    if (shard->stop_until_ns == 0) {
        shard->stop_until_ns = now_ns + WRITE_LINGER_NS;
    }
    if (shard->stop_until_ns <= now_ns) {
        uint32_t left = shard->connections_max - shard->stop_scan;
        uint32_t end = shard->stop_scan + (left < WRITE_SCAN_SLOTS ? left : WRITE_SCAN_SLOTS);
        while (shard->stop_scan < end && shard->units > 0) {
            struct write_connection *connection = &shard->connections[shard->stop_scan++];
            if (connection->waiting) {
                connection_shut(shard, connection); /* its send fails now */
            }
        }
        if (shard->stop_scan < shard->connections_max) {
            return true;
        }
        shard->stop_scan = 0;
        shard->stop_until_ns = now_ns + WRITE_LINGER_NS; /* for replies that are still to come */
    } else if (shard->held > 0) {
        timer_want(shard, shard->stop_until_ns);
    }
    return false;
}

/* Cuts the largest holder that does not read, if apply asked; true if there are more slots. */
static bool hog_check(struct write_shard *shard) {
    uint32_t slot;
    bool more = write_hog_scan(shard, shard->now_ns, &slot);
    if (slot != BATCH_NO_BLOCK) {
        node_figure_add(&shard->node->write.hog_cut, 1);
        cut(shard, &shard->connections[slot],
            "it does not read, and others find no memory for their replies");
    }
    return more;
}

/* Cuts who has read nothing for very long; true if there are more slots. */
static bool stall_check(struct write_shard *shard) {
    uint32_t slot;
    bool more = write_stall_scan(shard, shard->now_ns, &slot);
    if (slot != BATCH_NO_BLOCK) {
        cut(shard, &shard->connections[slot], "it has read none of its replies for a minute");
    }
    return more;
}

/* Takes completions, one at a time since what follows from one may be long; returns how many. */
static uint32_t take_completions(struct write_shard *shard, uint32_t budget) {
    struct io_completion completion;
    uint32_t done = 0;
    while (done < budget && shard->units > 0 && io_take(shard->port, &completion, 1) == 1) {
        if (completion.user != WRITE_USER_TIMER) {
            on_sent(shard, &completion);
        } else if (completion.result == 0) {
            shard->timer_ns = 0;
        }
        write_spend(shard, WRITE_BATCH_UNITS);
        done++;
    }
    return done;
}

/* Batches that are ready to be sent; returns how many there were. */
static uint32_t take_batches(struct write_shard *shard, uint32_t budget, uint64_t now_ns) {
    uint32_t ids[WRITE_TAKE_MAX];
    uint32_t done = 0;
    while (done < budget && shard->units > 0) {
        uint32_t left = budget - done;
        uint32_t count = ring_u32_dequeue(shard->from_serialize, ids,
                                          left < WRITE_TAKE_MAX ? left : WRITE_TAKE_MAX);
        for (uint32_t i = 0; i < count; i++) {
            batch_arrives(shard, pipeline_batch(shard->pipeline, ids[i]), now_ns);
        }
        done += count;
        write_spend(shard, count * WRITE_BATCH_UNITS);
        if (count < WRITE_TAKE_MAX) {
            break;
        }
    }
    return done;
}

static struct stage_result write_poll(void *state, const struct stage_moment *moment,
                                      uint32_t budget) {
    struct write_shard *shard = state;
    uint64_t now_ns = moment->monotonic_ns;
    shard->units = WRITE_POLL_UNITS;
    shard->now_ns = now_ns;
    struct stage_result result = {0};
    if (shard->peers != NULL) {
        result.work = write_peers_poll(shard->peers, now_ns, &shard->units);
    }
    budget = budget < WRITE_POLL_BATCHES ? budget : WRITE_POLL_BATCHES;
    result.work += take_completions(shard, budget);
    result.work += take_batches(shard, budget, now_ns);
    serve_ready(shard);
    bool more = hog_check(shard);
    more |= stall_check(shard);
    if (shard->lingering > 0 && shard->timer_ns == 0) {
        more |= linger_check(shard, now_ns);
    }
    /* A glance: pipeline_stop wakes us after it has set the word. */
    if (atomic_load_relaxed_u32(&shard->node->signals.stopping) != 0) {
        more |= stop_check(shard, now_ns);
    }
    if (!more && shard->stall_ns != 0) {
        timer_want(shard, shard->stall_ns); /* behind the others' scans: they go by the timer */
    }
    result.work += more;
    if (result.work == 0) {
        (void)arena_trim(shard->arena, now_ns);
    }
    result.units = (uint32_t)(WRITE_POLL_UNITS - shard->units);
    return result;
}

static bool write_drain(void *state, const struct stage_moment *moment) {
    struct write_shard *shard = state;
    shard->stall_ns = 0; /* whoever does not read is shut when the node stops */
    if (shard->timer_ns != 0 && shard->lingering == 0) {
        shard->timer_ns = 0;
        io_timer_stop(shard->port);
    }
    return ring_ready(shard->from_serialize, 1) == 0 && io_outstanding(shard->port) == 0 &&
           (shard->peers == NULL || write_peers_drain(shard->peers, moment->monotonic_ns));
}

/* ---- making the shard ---------------------------------------------------------------------- */

static void write_fini(void *state) {
    struct write_shard *shard = state;
    write_peers_destroy(shard->peers);
    if (shard->port != NULL) {
        io_port_destroy(shard->port);
    }
    if (shard->arena != NULL) {
        arena_destroy(shard->arena);
    }
    free(shard->connections);
    pages_destroy(shard->pieces, (size_t)shard->connections_max * IO_SEND_PIECES_MAX,
                  sizeof(*shard->pieces));
    free(shard);
}

static int write_init(void **out, const struct stage_environment *environment,
                      struct error_text *error) {
    struct write_shard *shard = calloc(1, sizeof(*shard));
    if (shard == NULL) {
        error_text_set(error, "no memory for the write stage");
        return WEIR_ENOMEM;
    }
    struct pipeline *pipeline = environment->pipeline;
    shard->pipeline = pipeline;
    shard->node = pipeline_node(pipeline);
    shard->io = environment->io;
    shard->from_serialize = pipeline_ring(pipeline, STAGE_SERIALIZE, 0, STAGE_WRITE, 0);
    shard->to_read = pipeline_ring(pipeline, STAGE_WRITE, 0, STAGE_READ, 0);
    shard->to_parse = pipeline_ring(pipeline, STAGE_WRITE, 0, STAGE_PARSE, 0);
    shard->to_validate = pipeline_ring(pipeline, STAGE_WRITE, 0, STAGE_VALIDATE, 0);
    shard->to_apply = pipeline_ring(pipeline, STAGE_WRITE, 0, STAGE_APPLY, 0);
    shard->connections_max = shard->node->options->connections_max;
    shard->ready_head = BATCH_NO_BLOCK;
    shard->connections = calloc(shard->connections_max, sizeof(*shard->connections));
    shard->pieces =
        pages_create((size_t)shard->connections_max * IO_SEND_PIECES_MAX, sizeof(*shard->pieces));
    if (shard->connections == NULL || shard->pieces == NULL ||
        write_peers_create(&shard->peers, pipeline, shard->io, error) != WEIR_OK ||
        arena_create(&shard->arena, shard->node->options->backlog_bytes_max) != WEIR_OK) {
        error_text_set(error, "no memory for the write stage's %u connections",
                       shard->connections_max);
        write_fini(shard);
        return WEIR_ENOMEM;
    }
    *out = shard;
    return WEIR_OK;
}

static int write_start(void *state, struct error_text *error) {
    struct write_shard *shard = state;
    /* One send for each connection, and the timer, which may be replaced while it is due. */
    int result = io_port_create(shard->io, &shard->port, shard->connections_max + 2);
    if (result != WEIR_OK) {
        error_text_set(error, "no memory for the write stage's sends");
    } else if (shard->peers != NULL) {
        result = write_peers_start(shard->peers, error);
    }
    return result;
}

const struct stage stage_write = {.id = STAGE_WRITE,
                                  .name = "write",
                                  .init = write_init,
                                  .start = write_start,
                                  .poll = write_poll,
                                  .drain = write_drain,
                                  .fini = write_fini};
