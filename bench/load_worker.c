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
#include "bench/load_worker_internal.h"

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

/* ---- the end of a connection --------------------------------------------------------------- */

void load_worker_close(struct load_worker *worker, struct load_connection *connection,
                       uint64_t delay_ns) {
    if (connection->state == LOAD_CONNECTION_READY)
        worker->ready_count--;
    load_connection_close(connection, worker->now_ns + delay_ns);
    if (connection->retry_ns < worker->retry_next_ns)
        worker->retry_next_ns = connection->retry_ns;
}

void load_worker_lose(struct load_worker *worker, struct load_connection *connection,
                      const char *kind, const char *reason) {
    const bool follows = load_follow_is_on(worker) && worker->run->start_ns != 0;
    const uint32_t lost = load_account_unanswered(worker, connection, follows);
    if (!follows)
        error_tally_add(&worker->results.errors, kind, lost > 0 ? lost : 1, reason, strlen(reason));
    load_worker_close(worker, connection, load_follow_lost(worker, connection));
}

/* ---- events -------------------------------------------------------------------------------- */

static void become_ready(struct load_worker *worker, struct load_connection *connection) {
    worker->ready_count++;
    connection->progress_ns = worker->now_ns;
    if (worker->history != NULL) {
        connection->history_connection = load_history_connection(worker->history);
        connection->sequence = 0;
    }
    load_send_next(worker, connection);
}

static void on_connect_event(struct load_worker *worker, struct load_connection *connection) {
    reply_scan_reset(&connection->scan, load_account_error, connection);
    if (load_connection_finish_connect(connection, worker->epoll_fd, worker->run->options) != 0) {
        if (worker->run->start_ns == 0)
            error_text_set(&worker->failure, "%s", strerror(errno));
        /* During the run the server is not back yet; nothing was asked, so no operation failed. */
        load_worker_close(worker, connection, load_follow_lost(worker, connection));
        return;
    }
    if (connection->state == LOAD_CONNECTION_READY)
        become_ready(worker, connection);
}

static void on_greeting(struct load_worker *worker, struct load_connection *connection,
                        const struct reply_scan_counts *counts) {
    if (counts->errors > 0 || counts->replies > connection->greeting_replies) {
        load_worker_lose(worker, connection, "greeting refused", "");
        return;
    }
    connection->greeting_replies -= (uint32_t)counts->replies;
    if (connection->greeting_replies == 0) {
        load_connection_greeted(connection);
        become_ready(worker, connection);
    }
}

/* Of the reply that ends here; of one that had no room, more than any history takes. */
static size_t reply_length(const struct load_connection *connection) {
    return connection->reply_bytes <= connection->reply_bytes_max ? connection->reply_bytes
                                                                  : SIZE_MAX;
}

/* Scans byte by byte, so that each reply is known as a whole. */
static int scan_recorded(struct load_worker *worker, struct load_connection *connection,
                         int64_t received, struct reply_scan_counts *counts) {
    int status = 0;
    for (int64_t i = 0; status == 0 && i < received; i++) {
        const uint64_t before = counts->replies;
        const uint64_t pushes = counts->pushes;
        if (connection->reply_bytes < connection->reply_bytes_max)
            connection->reply[connection->reply_bytes] = (char)worker->scratch[i];
        connection->reply_bytes++;
        status = load_connection_scan(connection, &worker->scratch[i], 1, counts);
        if (counts->replies > before && before < connection->in_flight)
            load_history_return(worker->history,
                                connection->numbers[load_connection_place(connection, before)],
                                worker->now_ns, connection->reply, reply_length(connection));
        if (counts->replies > before || counts->pushes > pushes)
            connection->reply_bytes = 0;
    }
    return status;
}

static void on_readable(struct load_worker *worker, struct load_connection *connection) {
    struct reply_scan_counts counts = {0};
    int status = 0;
    const bool is_ready = connection->state == LOAD_CONNECTION_READY;
    const int64_t received =
        load_connection_receive(connection, worker->scratch, sizeof worker->scratch);
    worker->now_ns = clock_monotonic_ns();
    if (received > 0 && is_ready && worker->history != NULL)
        status = scan_recorded(worker, connection, received, &counts);
    else if (received > 0)
        status = load_connection_scan(connection, worker->scratch, (size_t)received, &counts);
    if (connection->state == LOAD_CONNECTION_GREETING && received > 0 && status == 0) {
        on_greeting(worker, connection, &counts);
        return;
    }
    const bool are_too_many = counts.replies > connection->in_flight;
    if (counts.replies > 0)
        load_account_replies(worker, connection,
                             are_too_many ? connection->in_flight : counts.replies, counts.errors);
    if (status != 0 || are_too_many)
        load_worker_lose(worker, connection, "protocol error",
                         status != 0 ? "the reply is no RESP" : "more replies than requests");
    else if (received < 0)
        load_worker_lose(worker, connection, "connection lost", "closed by the server");
    else if (!load_follow_leave(worker, connection) && connection->in_flight == 0)
        load_send_next(worker, connection);
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
        load_send_flush(worker, connection);
    if ((event->events & ~(uint32_t)EPOLLOUT) && connection->state != LOAD_CONNECTION_DOWN)
        on_readable(worker, connection);
}

/* Opens a connection whose time has come, to the server that leads as far as is known. */
static void retry_connection(struct load_worker *worker, struct load_connection *connection) {
    if (connection->retry_ns <= worker->now_ns) {
        worker->results.reconnects++;
        connection->target = worker->targets.preferred;
        connection->progress_ns = worker->now_ns;
        if (load_connection_open(connection, worker->epoll_fd,
                                 &worker->targets.items[connection->target].address) == 0)
            return;
        connection->retry_ns = worker->now_ns + load_follow_lost(worker, connection);
        if (connection->retry_ns == worker->now_ns)
            connection->retry_ns++;
    }
    if (connection->retry_ns < worker->retry_next_ns)
        worker->retry_next_ns = connection->retry_ns;
}

/* Opens what is DOWN, and lets go on what waits, when its time has come. */
static void retry_connections(struct load_worker *worker) {
    if (worker->now_ns < worker->retry_next_ns)
        return;
    worker->retry_next_ns = UINT64_MAX;
    for (uint32_t i = 0; i < worker->connection_count; i++) {
        struct load_connection *connection = &worker->connections[i];
        if (connection->not_before_ns > worker->now_ns) {
            if (connection->not_before_ns < worker->retry_next_ns)
                worker->retry_next_ns = connection->not_before_ns;
        } else if (connection->state == LOAD_CONNECTION_READY && connection->in_flight == 0 &&
                   connection->not_before_ns != 0) {
            connection->not_before_ns = 0;
            load_send_next(worker, connection);
        }
        if (connection->state == LOAD_CONNECTION_DOWN)
            retry_connection(worker, connection);
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
    const struct load_target *options = &worker->targets.items[worker->targets.preferred];
    worker->now_ns = clock_monotonic_ns();
    uint64_t deadline_ns = worker->now_ns + LOAD_CONNECT_MAX_NS;
    for (uint32_t i = 0; i < worker->connection_count; i++) {
        struct load_connection *connection = &worker->connections[i];
        connection->target = worker->targets.preferred;
        if (load_connection_open(connection, worker->epoll_fd,
                                 &worker->targets.items[connection->target].address) != 0) {
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
    uint64_t limit_ns = load_worker_end_ns(worker);
    if (worker->now_ns >= limit_ns)
        return worker->in_flight == 0 || worker->now_ns - limit_ns >= LOAD_DRAIN_MAX_NS;
    if (worker->operations_left == UINT64_MAX)
        return false;
    return (worker->operations_left == 0 && worker->in_flight == 0) ||
           worker->now_ns - worker->last_own_reply_ns >= LOAD_SILENCE_MAX_NS;
}

/* When the worker must act even if no reply comes. */
static uint64_t next_deadline_ns(const struct load_worker *worker) {
    uint64_t deadline_ns = load_worker_end_ns(worker);
    if (worker->now_ns >= deadline_ns)
        deadline_ns += LOAD_DRAIN_MAX_NS;
    if (worker->retry_next_ns < deadline_ns)
        deadline_ns = worker->retry_next_ns;
    if (load_worker_open_loop(worker)) {
        uint64_t arrival_ns = schedule_intended_ns(&worker->schedule, worker->own_next);
        /* One that is overdue waits for a free connection, hence for a reply. */
        if (arrival_ns > worker->now_ns && arrival_ns < deadline_ns)
            deadline_ns = arrival_ns;
    }
    return deadline_ns;
}

/* After the run: arrivals that were due and never sent, and requests never answered. */
static void account_for_the_rest(struct load_worker *worker) {
    const uint64_t limit_ns = load_worker_end_ns(worker);
    if (load_worker_open_loop(worker)) {
        uint64_t due = schedule_due_count(&worker->schedule, limit_ns - 1);
        for (; worker->own_next < due; worker->own_next++) {
            uint64_t intended_ns = schedule_intended_ns(&worker->schedule, worker->own_next);
            if (!load_worker_measures(worker, intended_ns))
                continue;
            histogram_record(&worker->results.latency, limit_ns - intended_ns, 1);
            worker->results.scheduled++;
            worker->results.unsent++;
        }
        load_account_refused(worker);
    }
    for (uint32_t i = 0; i < worker->connection_count; i++) {
        uint32_t count = load_account_unanswered(worker, &worker->connections[i], false);
        worker->connections[i].was_abandoned = count > 0;
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
    for (uint32_t i = 0; !load_worker_open_loop(worker) && i < worker->connection_count; i++) {
        if (worker->connections[i].state == LOAD_CONNECTION_READY)
            load_send_next(worker, &worker->connections[i]);
    }
    do {
        if (load_worker_open_loop(worker))
            load_send_due(worker);
        wait_and_handle(worker, next_deadline_ns(worker));
        load_follow_watch(worker);
        retry_connections(worker);
        if (!cpu_started && worker->now_ns >= run->measure_from_ns) {
            cpu_begin_ns = clock_thread_cpu_ns();
            cpu_started = true;
        }
    } while (!is_over(worker));
    worker->results.cpu_ns = cpu_started ? clock_thread_cpu_ns() - cpu_begin_ns : 0;
    account_for_the_rest(worker);
}

/* Behind the run: reads every key once, however often it takes. */
static void read_back(struct load_worker *worker) {
    const uint64_t deadline_ns = worker->now_ns + LOAD_READ_BACK_MAX_NS;
    worker->reads_back = true;
    for (uint32_t i = 0; i < worker->connection_count; i++) {
        struct load_connection *connection = &worker->connections[i];
        /* What was never answered is accounted for: its reply must not be taken for another's. */
        if (connection->state == LOAD_CONNECTION_READY && connection->was_abandoned)
            load_worker_close(worker, connection, 0);
        else if (connection->state == LOAD_CONNECTION_READY)
            load_send_next(worker, connection);
    }
    while (worker->results.read_back < worker->read_back_keys && worker->now_ns < deadline_ns &&
           (worker->history == NULL || worker->history->full == NULL)) {
        uint64_t until_ns = worker->now_ns + WAIT_MAX_NS;
        if (worker->retry_next_ns < until_ns)
            until_ns = worker->retry_next_ns;
        wait_and_handle(worker, until_ns);
        load_follow_watch(worker);
        retry_connections(worker);
    }
    for (uint32_t i = 0; i < worker->connection_count; i++)
        (void)load_account_unanswered(worker, &worker->connections[i], true);
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
    if (!run->abandoned && run->options->read_back)
        read_back(worker);
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
    random_seed(&worker->jitter, options->seed + index + 1);
    worker->targets = run->targets;
    key_picker_init(&worker->picker, options->distribution, options->keys, options->zipf_theta,
                    index, options->threads);
    if (options->rate_per_second > 0) {
        worker->again = malloc(LOAD_AGAIN_MAX * sizeof *worker->again);
        if (worker->again == NULL) {
            error_text_set(error, "no memory for %d arrivals", LOAD_AGAIN_MAX);
            return WEIR_ENOMEM;
        }
    }
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (worker->epoll_fd < 0) {
        error_text_set(error, "cannot make an epoll set: %s", strerror(errno));
        free(worker->again);
        return WEIR_EIO;
    }
    worker->connections = calloc(connection_count, sizeof *worker->connections);
    const struct load_connection_sizes sizes = {.depth = options->depth,
                                                .request_bytes_max = run->mix->request_bytes_max,
                                                .open_loop = options->rate_per_second > 0,
                                                .reply_bytes_max = run->reply_bytes_max};
    for (uint32_t i = 0; worker->connections && i < connection_count; i++) {
        if (load_connection_init(&worker->connections[i], &sizes, worker) != 0)
            break;
        worker->connections[i].client = 1 + index + options->threads * i;
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
    free(worker->again);
    worker->connections = NULL;
    worker->connection_count = 0;
    close(worker->epoll_fd);
}
