/*
 * Closed loop: a connection that has nothing in flight is given its next batch. Open loop: each
 * arrival that is due goes to the next free connection. Behind the run: each key is read back, a
 * key at a time on each connection, again if it was refused or lost, which a read may be.
 *
 * What fails: a socket (the connection is lost), and the room of the history: then the run ends.
 */
#include "bench/load_worker_internal.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"

/* Keys still to be read back, which need their room in the history. */
static uint64_t reserve(const struct load_worker *worker) {
    return worker->run->options->read_back ? worker->read_back_keys : 0;
}

/* Whether so many more operations may begin; ends the run if the history is full. */
static bool may_record(struct load_worker *worker, uint64_t count) {
    if (worker->history == NULL ||
        load_history_has_room(worker->history, count + (worker->reads_back ? 0 : reserve(worker))))
        return true;
    if (worker->now_ns < load_worker_end_ns(worker))
        atomic_store_explicit(&worker->run->end_ns, worker->now_ns, memory_order_relaxed);
    return false;
}

/* A request of the template goes into the connection's buffer, and is in flight. */
static void render(struct load_worker *worker, struct load_connection *connection,
                   const struct request_template *template, struct key_picker *picker,
                   uint64_t begun_ns) {
    uint8_t *room = load_connection_room(connection, worker->run->mix->request_bytes_max);
    struct load_request request = {.begun_ns = begun_ns,
                                   .flags = template->is_write ? LOAD_REQUEST_WRITE : 0};
    request_template_render(template, picker, &worker->random, room);
    if (worker->history != NULL) {
        for (uint32_t i = 0; i < template->value_count; i++)
            load_history_unique(worker->history, room + template->value_offsets[i]);
        request.number = load_history_invoke(worker->history, connection->client,
                                             connection->history_connection, ++connection->sequence,
                                             worker->now_ns, room, template->image_bytes);
    }
    connection->out_end += template->image_bytes;
    if (connection->in_flight == 0)
        connection->progress_ns = worker->now_ns;
    load_connection_push(connection, &request);
    worker->in_flight++;
}

void load_send_flush(struct load_worker *worker, struct load_connection *connection) {
    if (load_connection_flush(connection, worker->epoll_fd) != 0)
        load_worker_lose(worker, connection, "connection lost", strerror(errno));
}

/* ---- Closed loop ----------------------------------------------------------------------------- */

static void send_batch(struct load_worker *worker, struct load_connection *connection) {
    uint64_t count = connection->depth;
    if (worker->now_ns >= load_worker_end_ns(worker))
        return;
    if (load_worker_measures(worker, worker->now_ns) && worker->operations_left != UINT64_MAX) {
        if (count > worker->operations_left)
            count = worker->operations_left;
        worker->operations_left -= count;
    }
    if (count == 0 || !may_record(worker, count))
        return;
    connection->sent_ns = worker->now_ns;
    for (uint64_t i = 0; i < count; i++)
        render(worker, connection, request_mix_pick(worker->run->mix, &worker->random),
               &worker->picker, worker->now_ns);
    load_send_flush(worker, connection);
}

/* The next key of the worker's share, by each template; false if all were taken. */
static bool read_key_take(struct load_worker *worker, struct load_connection *connection) {
    if (!connection->has_read_key && worker->read_back_next < worker->read_back_keys) {
        connection->read_key = worker->read_back_next++;
        connection->has_read_key = true;
    }
    return connection->has_read_key;
}

static void send_read(struct load_worker *worker, struct load_connection *connection) {
    const struct request_mix *reads = worker->run->read_back_mix;
    if (!read_key_take(worker, connection) || !may_record(worker, 1))
        return;
    const uint64_t key =
        connection->read_key / reads->template_count * worker->run->options->threads +
        worker->index;
    struct key_picker picker;
    key_picker_init(&picker, KEY_SEQUENTIAL, key + 1, 0, key, key + 1);
    connection->sent_ns = worker->now_ns;
    render(worker, connection, &reads->templates[connection->read_key % reads->template_count],
           &picker, worker->now_ns);
    load_send_flush(worker, connection);
}

void load_send_next(struct load_worker *worker, struct load_connection *connection) {
    ASSERT_HOT(connection->in_flight == 0 && connection->state == LOAD_CONNECTION_READY);
    if (worker->now_ns < connection->not_before_ns || worker->run->start_ns == 0)
        return;
    if (worker->reads_back)
        send_read(worker, connection);
    else if (!load_worker_open_loop(worker))
        send_batch(worker, connection);
}

/* ---- Open loop ------------------------------------------------------------------------------- */

/* The next connection in turn that may take a request, or NULL. */
static struct load_connection *find_free(struct load_worker *worker) {
    for (uint32_t i = 0; i < worker->connection_count; i++) {
        struct load_connection *connection = &worker->connections[worker->cursor];
        if (++worker->cursor == worker->connection_count)
            worker->cursor = 0;
        if (connection->state == LOAD_CONNECTION_READY && !connection->leaving &&
            connection->in_flight < connection->depth &&
            worker->now_ns >= connection->not_before_ns)
            return connection;
    }
    return NULL;
}

/* The arrival to send next: one that was refused, or the next of the schedule. */
static uint64_t arrival_take(struct load_worker *worker) {
    if (worker->again_count > 0)
        return worker->again[--worker->again_count];
    const uint64_t intended_ns = schedule_intended_ns(&worker->schedule, worker->own_next++);
    if (load_worker_measures(worker, intended_ns)) {
        const uint64_t lag_ns = worker->now_ns - intended_ns;
        if (lag_ns > worker->results.send_lag_max_ns)
            worker->results.send_lag_max_ns = lag_ns;
        worker->results.scheduled++;
    }
    return intended_ns;
}

void load_send_due(struct load_worker *worker) {
    const uint64_t limit_ns = load_worker_end_ns(worker);
    const uint64_t until_ns = worker->now_ns < limit_ns ? worker->now_ns : limit_ns - 1;
    const uint64_t due = schedule_due_count(&worker->schedule, until_ns);
    bool unflushed = false;
    while ((worker->own_next < due || worker->again_count > 0) && worker->now_ns < limit_ns) {
        struct load_connection *connection = find_free(worker);
        if (!connection || !may_record(worker, 1))
            break;
        const uint64_t intended_ns = arrival_take(worker);
        render(worker, connection, request_mix_pick(worker->run->mix, &worker->random),
               &worker->picker, intended_ns);
        connection->has_unflushed = true;
        unflushed = true;
    }
    for (uint32_t i = 0; unflushed && i < worker->connection_count; i++) {
        if (worker->connections[i].has_unflushed)
            load_send_flush(worker, &worker->connections[i]);
    }
}
