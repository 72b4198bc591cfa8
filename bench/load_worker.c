/*
 * Happy path of closed loop: a connection becomes readable, its replies are counted, and when its
 * batch is complete the next batch is rendered and sent: three system calls a batch, epoll's being
 * shared by all connections that are readable together. Open loop: sleep until the next arrival is
 * due or a reply comes, give each due arrival to a free connection, flush the touched ones once.
 *
 * Failures. A lost connection is counted with all that it had in flight, and opened again every
 * LOAD_RETRY_NS: a server that comes back is found again, and the time without a reply is the
 * result that a test of failover wants. A server that answers more than was asked, or no RESP, is
 * treated as lost. Before the run only, a connection that cannot be made is final.
 */
#include "bench/load_worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"

enum { EVENTS_PER_WAIT = 256 };

/* The progress line and SIGINT are looked at this often. */
#define WAIT_MAX_NS (UINT64_C(100) * CLOCK_NS_PER_MS)

void load_results_reset(struct load_results *results) {
    memset(results, 0, sizeof *results);
    histogram_reset(&results->latency);
    error_tally_reset(&results->errors);
}

void load_results_merge(struct load_results *into, const struct load_results *from) {
    into->scheduled += from->scheduled;
    into->replies += from->replies;
    into->replies_in_window += from->replies_in_window;
    into->unanswered += from->unanswered;
    into->unsent += from->unsent;
    if (from->send_lag_max_ns > into->send_lag_max_ns)
        into->send_lag_max_ns = from->send_lag_max_ns;
    if (from->gap_max_ns > into->gap_max_ns)
        into->gap_max_ns = from->gap_max_ns;
    into->cpu_ns += from->cpu_ns;
    into->reconnects += from->reconnects;
    histogram_merge(&into->latency, &from->latency);
    error_tally_merge(&into->errors, &from->errors);
}

static bool is_open_loop(const struct load_worker *worker) {
    return worker->run->options->rate_per_second > 0;
}

static uint64_t end_ns(const struct load_worker *worker) {
    return atomic_load_explicit(&worker->run->end_ns, memory_order_relaxed);
}

static bool is_measured(const struct load_worker *worker, uint64_t begun_ns) {
    return begun_ns >= worker->run->measure_from_ns;
}

/* ---- accounting ---------------------------------------------------------------------------- */

/* An error reply; the callback of every connection's scan. */
static void on_error_reply(void *context, const char *text, size_t length_bytes) {
    struct load_connection *connection = context;
    struct load_worker *worker = connection->owner;
    error_tally_add_reply(&worker->results.errors, text, length_bytes);
}

/* Everything in flight on the connection will not be answered: it counts with its waiting time. */
static uint32_t record_unanswered(struct load_worker *worker, struct load_connection *connection,
                                  uint64_t now_ns) {
    uint32_t measured = 0;
    uint32_t count = connection->in_flight;
    worker->in_flight -= count;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t begun_ns = connection->sent_ns;
        if (connection->intended_ns)
            begun_ns = load_connection_pop_intended(connection);
        if (!is_measured(worker, begun_ns))
            continue;
        histogram_record(&worker->results.latency, now_ns - begun_ns, 1);
        measured++;
    }
    connection->in_flight = 0;
    worker->results.unanswered += measured;
    return count;
}

static void close_and_retry(struct load_worker *worker, struct load_connection *connection) {
    if (connection->state == LOAD_CONNECTION_READY)
        worker->ready_count--;
    load_connection_close(connection, worker->now_ns + LOAD_RETRY_NS);
    if (connection->retry_ns < worker->retry_next_ns)
        worker->retry_next_ns = connection->retry_ns;
}

static void lose(struct load_worker *worker, struct load_connection *connection, const char *kind,
                 const char *reason) {
    uint32_t lost = record_unanswered(worker, connection, worker->now_ns);
    error_tally_add(&worker->results.errors, kind, lost > 0 ? lost : 1, reason, strlen(reason));
    close_and_retry(worker, connection);
}

/* Replies arrived in the measured time: how long had nobody seen one? */
static void record_gap(struct load_worker *worker) {
    uint64_t now_ns = worker->now_ns;
    if (now_ns < worker->run->measure_from_ns || now_ns > end_ns(worker))
        return;
    uint64_t last_ns =
        atomic_exchange_explicit(&worker->run->last_reply_ns, now_ns, memory_order_relaxed);
    if (now_ns > last_ns && now_ns - last_ns > worker->results.gap_max_ns)
        worker->results.gap_max_ns = now_ns - last_ns;
}

static void record_replies(struct load_worker *worker, struct load_connection *connection,
                           const struct reply_scan_counts *counts) {
    uint64_t now_ns = worker->now_ns;
    uint64_t count = counts->replies;
    uint64_t measured = 0;
    ASSERT(count <= connection->in_flight);
    worker->in_flight -= count;
    if (connection->intended_ns) {
        for (uint64_t i = 0; i < count; i++) {
            uint64_t intended_ns = load_connection_pop_intended(connection);
            if (!is_measured(worker, intended_ns))
                continue;
            histogram_record(&worker->results.latency, now_ns - intended_ns, 1);
            measured++;
        }
    } else {
        connection->in_flight -= (uint32_t)count;
        if (is_measured(worker, connection->sent_ns)) {
            histogram_record(&worker->results.latency, now_ns - connection->sent_ns, count);
            measured = count;
        }
    }
    worker->results.replies += measured;
    if (now_ns <= end_ns(worker) && measured > counts->errors)
        worker->results.replies_in_window += measured - counts->errors;
    worker->last_own_reply_ns = now_ns;
    uint64_t total = atomic_load_explicit(&worker->progress_replies, memory_order_relaxed);
    atomic_store_explicit(&worker->progress_replies, total + count, memory_order_relaxed);
    record_gap(worker);
}

/* ---- sending ------------------------------------------------------------------------------- */

static void render_request(struct load_worker *worker, struct load_connection *connection) {
    const struct request_mix *mix = worker->run->mix;
    uint8_t *room = load_connection_room(connection, mix->request_bytes_max);
    connection->out_end += request_mix_render(mix, &worker->picker, &worker->random, room);
}

static void flush(struct load_worker *worker, struct load_connection *connection) {
    if (load_connection_flush(connection, worker->epoll_fd) != 0)
        lose(worker, connection, "connection lost", strerror(errno));
}

/* Closed loop: the connection has nothing in flight and is given its next batch. */
static void send_batch(struct load_worker *worker, struct load_connection *connection) {
    ASSERT_HOT(connection->in_flight == 0 && connection->state == LOAD_CONNECTION_READY);
    uint64_t count = connection->depth;
    if (worker->now_ns >= end_ns(worker))
        return;
    if (is_measured(worker, worker->now_ns) && worker->operations_left != UINT64_MAX) {
        if (count > worker->operations_left)
            count = worker->operations_left;
        worker->operations_left -= count;
    }
    if (count == 0)
        return;
    for (uint64_t i = 0; i < count; i++)
        render_request(worker, connection);
    connection->in_flight = (uint32_t)count;
    connection->sent_ns = worker->now_ns;
    worker->in_flight += count;
    flush(worker, connection);
}

/* Open loop: the next connection in turn that may take a request, or NULL. */
static struct load_connection *find_free(struct load_worker *worker) {
    for (uint32_t i = 0; i < worker->connection_count; i++) {
        struct load_connection *connection = &worker->connections[worker->cursor];
        if (++worker->cursor == worker->connection_count)
            worker->cursor = 0;
        if (connection->state == LOAD_CONNECTION_READY && connection->in_flight < connection->depth)
            return connection;
    }
    return NULL;
}

/* Open loop: sends all arrivals that are due, as long as a connection is free. */
static void send_due(struct load_worker *worker) {
    uint64_t limit_ns = end_ns(worker);
    uint64_t until_ns = worker->now_ns < limit_ns ? worker->now_ns : limit_ns - 1;
    uint64_t due = schedule_due_count(&worker->schedule, until_ns);
    bool unflushed = false;
    while (worker->own_next < due && worker->now_ns < limit_ns) {
        struct load_connection *connection = find_free(worker);
        if (!connection)
            break;
        uint64_t intended_ns = schedule_intended_ns(&worker->schedule, worker->own_next++);
        if (is_measured(worker, intended_ns)) {
            uint64_t lag_ns = worker->now_ns - intended_ns;
            if (lag_ns > worker->results.send_lag_max_ns)
                worker->results.send_lag_max_ns = lag_ns;
            worker->results.scheduled++;
        }
        render_request(worker, connection);
        load_connection_push_intended(connection, intended_ns);
        worker->in_flight++;
        connection->has_unflushed = true;
        unflushed = true;
    }
    for (uint32_t i = 0; unflushed && i < worker->connection_count; i++) {
        if (worker->connections[i].has_unflushed)
            flush(worker, &worker->connections[i]);
    }
}

/* ---- events -------------------------------------------------------------------------------- */

static void become_ready(struct load_worker *worker, struct load_connection *connection) {
    worker->ready_count++;
    if (!is_open_loop(worker) && worker->run->start_ns != 0)
        send_batch(worker, connection);
}

static void on_connect_event(struct load_worker *worker, struct load_connection *connection) {
    reply_scan_reset(&connection->scan, on_error_reply, connection);
    if (load_connection_finish_connect(connection, worker->epoll_fd, worker->run->options) != 0) {
        if (worker->run->start_ns == 0)
            error_text_set(&worker->failure, "%s", strerror(errno));
        /* During the run the server is not back yet; nothing was asked, so no operation failed. */
        close_and_retry(worker, connection);
        return;
    }
    if (connection->state == LOAD_CONNECTION_READY)
        become_ready(worker, connection);
}

static void on_readable(struct load_worker *worker, struct load_connection *connection) {
    struct reply_scan_counts counts = {0};
    int64_t received =
        load_connection_receive(connection, worker->scratch, sizeof worker->scratch, &counts);
    worker->now_ns = clock_monotonic_ns();
    if (connection->state == LOAD_CONNECTION_GREETING && received > 0) {
        if (counts.errors > 0 || counts.replies > connection->greeting_replies) {
            lose(worker, connection, "greeting refused", "");
            return;
        }
        connection->greeting_replies -= (uint32_t)counts.replies;
        if (connection->greeting_replies == 0) {
            load_connection_greeted(connection);
            become_ready(worker, connection);
        }
        return;
    }
    if (received == WEIR_EPROTOCOL || counts.replies > connection->in_flight) {
        lose(worker, connection, "protocol error",
             received < 0 ? "the reply is no RESP" : "more replies than requests");
        return;
    }
    if (counts.replies > 0)
        record_replies(worker, connection, &counts);
    if (received < 0)
        lose(worker, connection, "connection lost", "closed by the server");
    else if (connection->in_flight == 0 && !is_open_loop(worker))
        send_batch(worker, connection);
}

static void on_event(struct load_worker *worker, const struct epoll_event *event) {
    struct load_connection *connection = event->data.ptr;
    if (connection->state == LOAD_CONNECTION_DOWN)
        return; /* lost by an earlier event of this round */
    if (connection->state == LOAD_CONNECTION_CONNECTING) {
        on_connect_event(worker, connection);
        return;
    }
    if (event->events & EPOLLOUT)
        flush(worker, connection);
    if ((event->events & ~(uint32_t)EPOLLOUT) && connection->state != LOAD_CONNECTION_DOWN)
        on_readable(worker, connection);
}

/* Opens what is DOWN and whose time has come. */
static void retry_connections(struct load_worker *worker) {
    if (worker->now_ns < worker->retry_next_ns)
        return;
    worker->retry_next_ns = UINT64_MAX;
    for (uint32_t i = 0; i < worker->connection_count; i++) {
        struct load_connection *connection = &worker->connections[i];
        if (connection->state != LOAD_CONNECTION_DOWN)
            continue;
        if (connection->retry_ns <= worker->now_ns) {
            worker->results.reconnects++;
            if (load_connection_open(connection, worker->epoll_fd, &worker->run->address) == 0)
                continue;
            connection->retry_ns = worker->now_ns + LOAD_RETRY_NS;
        }
        if (connection->retry_ns < worker->retry_next_ns)
            worker->retry_next_ns = connection->retry_ns;
    }
}

/* Waits until `until_ns` at most, and handles what has come. */
static void wait_and_handle(struct load_worker *worker, uint64_t until_ns) {
    struct epoll_event events[EVENTS_PER_WAIT];
    uint64_t wait_ns = until_ns > worker->now_ns ? until_ns - worker->now_ns : 0;
    if (wait_ns > WAIT_MAX_NS)
        wait_ns = WAIT_MAX_NS;
    struct timespec timeout = {.tv_nsec = (long)wait_ns};
    int count = epoll_pwait2(worker->epoll_fd, events, EVENTS_PER_WAIT, &timeout, NULL);
    worker->now_ns = clock_monotonic_ns();
    for (int i = 0; i < count; i++)
        on_event(worker, &events[i]);
}

/* ---- the run ------------------------------------------------------------------------------- */

/* Connects everything, before the run. What fails here is written to worker->failure. */
static void connect_all(struct load_worker *worker) {
    const struct load_options *options = worker->run->options;
    worker->now_ns = clock_monotonic_ns();
    uint64_t deadline_ns = worker->now_ns + LOAD_CONNECT_MAX_NS;
    for (uint32_t i = 0; i < worker->connection_count; i++) {
        if (load_connection_open(&worker->connections[i], worker->epoll_fd,
                                 &worker->run->address) != 0) {
            error_text_set(&worker->failure, "cannot open connection %u of %u: %s%s", i + 1,
                           worker->connection_count, strerror(errno),
                           errno == EMFILE ? ": raise the limit with ulimit -n" : "");
            return;
        }
    }
    while (worker->ready_count < worker->connection_count) {
        wait_and_handle(worker, deadline_ns);
        const struct error_tally *errors = &worker->results.errors;
        if (errors->count > 0 || worker->failure.text[0] != 0) {
            bool refused = errors->count > 0;
            error_text_set(&worker->failure, "a connection to %s:%s failed: %s%s%s", options->host,
                           options->port, refused ? errors->kinds[0].name : worker->failure.text,
                           refused ? ": " : "", refused ? errors->kinds[0].example : "");
            return;
        }
        if (worker->now_ns >= deadline_ns) {
            error_text_set(&worker->failure,
                           "only %u of %u connections to %s:%s came up in 5 seconds: check the "
                           "server's limit of clients",
                           worker->ready_count, worker->connection_count, options->host,
                           options->port);
            return;
        }
    }
}

/* Whether nothing is left to send and to wait for. */
static bool is_over(const struct load_worker *worker) {
    uint64_t limit_ns = end_ns(worker);
    if (worker->now_ns >= limit_ns)
        return worker->in_flight == 0 || worker->now_ns - limit_ns >= LOAD_DRAIN_MAX_NS;
    if (worker->operations_left == UINT64_MAX)
        return false;
    return (worker->operations_left == 0 && worker->in_flight == 0) ||
           worker->now_ns - worker->last_own_reply_ns >= LOAD_SILENCE_MAX_NS;
}

/* When the worker must act even if no reply comes. */
static uint64_t next_deadline_ns(const struct load_worker *worker) {
    uint64_t deadline_ns = end_ns(worker);
    if (worker->now_ns >= deadline_ns)
        deadline_ns += LOAD_DRAIN_MAX_NS;
    if (worker->retry_next_ns < deadline_ns)
        deadline_ns = worker->retry_next_ns;
    if (is_open_loop(worker)) {
        uint64_t arrival_ns = schedule_intended_ns(&worker->schedule, worker->own_next);
        /* One that is overdue waits for a free connection, hence for a reply. */
        if (arrival_ns > worker->now_ns && arrival_ns < deadline_ns)
            deadline_ns = arrival_ns;
    }
    return deadline_ns;
}

/* After the run: arrivals that were due and never sent, and requests never answered. */
static void account_for_the_rest(struct load_worker *worker) {
    uint64_t limit_ns = end_ns(worker);
    uint64_t now_ns = worker->now_ns;
    if (is_open_loop(worker)) {
        uint64_t due = schedule_due_count(&worker->schedule, limit_ns - 1);
        for (; worker->own_next < due; worker->own_next++) {
            uint64_t intended_ns = schedule_intended_ns(&worker->schedule, worker->own_next);
            if (!is_measured(worker, intended_ns))
                continue;
            histogram_record(&worker->results.latency, limit_ns - intended_ns, 1);
            worker->results.scheduled++;
            worker->results.unsent++;
        }
    }
    for (uint32_t i = 0; i < worker->connection_count; i++) {
        uint32_t count = record_unanswered(worker, &worker->connections[i], now_ns);
        error_tally_add(&worker->results.errors, "no reply", count, "", 0);
    }
    ASSERT(worker->in_flight == 0);
}

static void run_load(struct load_worker *worker) {
    const struct load_run *run = worker->run;
    bool cpu_started = false;
    uint64_t cpu_begin_ns = 0;
    worker->now_ns = clock_monotonic_ns();
    worker->last_own_reply_ns = worker->now_ns;
    worker->schedule = (struct schedule){.start_ns = run->start_ns,
                                         .rate_per_second = run->options->rate_per_second,
                                         .first = worker->index,
                                         .stride = run->options->threads};
    for (uint32_t i = 0; !is_open_loop(worker) && i < worker->connection_count; i++) {
        if (worker->connections[i].state == LOAD_CONNECTION_READY)
            send_batch(worker, &worker->connections[i]);
    }
    do {
        if (is_open_loop(worker))
            send_due(worker);
        wait_and_handle(worker, next_deadline_ns(worker));
        retry_connections(worker);
        if (!cpu_started && worker->now_ns >= run->measure_from_ns) {
            cpu_begin_ns = clock_thread_cpu_ns();
            cpu_started = true;
        }
    } while (!is_over(worker));
    worker->results.cpu_ns = cpu_started ? clock_thread_cpu_ns() - cpu_begin_ns : 0;
    account_for_the_rest(worker);
}

void *load_worker_main(void *argument) {
    struct load_worker *worker = argument;
    struct load_run *run = worker->run;
    /*
     * Wake when an arrival is due, not up to 50 microseconds later. Refused, it is only less
     * exact.
     */
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    connect_all(worker);
    pthread_barrier_wait(&run->barrier);
    pthread_barrier_wait(&run->barrier);
    if (!run->abandoned)
        run_load(worker);
    return NULL;
}

int load_worker_init(struct load_worker *worker, struct load_run *run, uint32_t index,
                     uint32_t connection_count, uint64_t operations, struct error_text *error) {
    const struct load_options *options = run->options;
    memset(worker, 0, sizeof *worker);
    worker->run = run;
    worker->index = index;
    worker->operations_left = operations;
    worker->retry_next_ns = UINT64_MAX;
    load_results_reset(&worker->results);
    random_seed(&worker->random, options->seed + index);
    key_picker_init(&worker->picker, options->distribution, options->keys, options->zipf_theta,
                    index, options->threads);
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (worker->epoll_fd < 0) {
        error_text_set(error, "cannot make an epoll set: %s", strerror(errno));
        return WEIR_EIO;
    }
    worker->connections = calloc(connection_count, sizeof *worker->connections);
    for (uint32_t i = 0; worker->connections && i < connection_count; i++) {
        if (load_connection_init(&worker->connections[i], options->depth,
                                 run->mix->request_bytes_max, options->rate_per_second > 0,
                                 worker) != 0)
            break;
        worker->connection_count++;
    }
    if (worker->connection_count < connection_count) {
        error_text_set(error,
                       "no memory for %u connections with %u requests of %u bytes: reduce "
                       "--depth or --value-size",
                       connection_count, options->depth, run->mix->request_bytes_max);
        load_worker_fini(worker);
        return WEIR_ENOMEM;
    }
    return 0;
}

void load_worker_fini(struct load_worker *worker) {
    for (uint32_t i = 0; i < worker->connection_count; i++)
        load_connection_fini(&worker->connections[i]);
    free(worker->connections);
    worker->connections = NULL;
    worker->connection_count = 0;
    close(worker->epoll_fd);
}
