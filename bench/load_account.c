/*
 * Happy path: each reply takes the oldest request out of the ring, and counts by what that asked
 * for. An error reply marks its request before that, when the scan reports it.
 *
 * Failures. Without somewhere else to go every error and every lost request is a failure of the
 * run. With other servers, what was refused and what is unknown are counted apart: a failover is
 * what such a run is for.
 */
#include "bench/load_worker_internal.h"

#include <string.h>

#include "base/assert.h"
#include "base/clock.h"

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
    into->redirects += from->redirects;
    into->refused += from->refused;
    into->unknown += from->unknown;
    into->read_back += from->read_back;
    histogram_merge(&into->latency, &from->latency);
    error_tally_merge(&into->errors, &from->errors);
    load_gaps_merge(&into->gaps, &from->gaps);
    load_timeline_merge(&into->timeline, &from->timeline);
}

void load_account_error(void *context, const char *text, size_t length_bytes) {
    struct load_connection *connection = context;
    struct load_worker *worker = connection->owner;
    const bool is_answer = connection->state == LOAD_CONNECTION_READY;
    uint8_t flags = 0;
    if (is_answer)
        flags = load_follow_error(worker, connection, text, length_bytes);
    if (flags == 0 && !(load_follow_is_on(worker) && !is_answer))
        error_tally_add_reply(&worker->results.errors, text, length_bytes);
    /* It was counted before it is reported: its request is that many behind the oldest one. */
    const uint64_t position = connection->counts->replies - 1;
    if (is_answer && position < connection->in_flight)
        connection->flags[load_connection_place(connection, position)] |=
            LOAD_REQUEST_ERROR | flags;
}

uint32_t load_account_unanswered(struct load_worker *worker, struct load_connection *connection,
                                 bool unknown) {
    const uint32_t count = connection->in_flight;
    worker->in_flight -= count;
    while (connection->in_flight > 0) {
        const struct load_request request = load_connection_pop(connection);
        if (worker->history != NULL)
            load_history_lose(worker->history, request.number);
        worker->results.unknown += unknown && !worker->reads_back;
        if (!load_worker_measures(worker, request.begun_ns))
            continue;
        histogram_record(&worker->results.latency, worker->now_ns - request.begun_ns, 1);
        worker->results.unanswered += !unknown;
    }
    return count;
}

/* Something has come in the measured time: how long had nobody seen anything of the kind? */
static uint64_t gap_close(struct load_worker *worker, _Atomic uint64_t *last, uint64_t *last_ns) {
    *last_ns = atomic_exchange_explicit(last, worker->now_ns, memory_order_relaxed);
    return worker->now_ns > *last_ns ? worker->now_ns - *last_ns : 0;
}

static void record_gaps(struct load_worker *worker, uint64_t served) {
    const uint64_t from_ns = worker->run->measure_from_ns;
    if (worker->reads_back || worker->now_ns < from_ns ||
        worker->now_ns > load_worker_end_ns(worker))
        return;
    uint64_t last_ns = 0;
    const uint64_t silent_ns = gap_close(worker, &worker->run->last_reply_ns, &last_ns);
    if (silent_ns > worker->results.gap_max_ns)
        worker->results.gap_max_ns = silent_ns;
    if (served == 0)
        return;
    load_timeline_add(&worker->results.timeline, worker->now_ns - from_ns, served);
    const uint64_t gap_ns = gap_close(worker, &worker->run->last_served_ns, &last_ns);
    if (gap_ns > 0)
        load_gaps_note(&worker->results.gaps, last_ns, worker->now_ns);
}

/* Open loop: an arrival that was refused is still to be served, and counts from its first time. */
static void ask_anew(struct load_worker *worker, uint64_t intended_ns) {
    if (worker->again_count < LOAD_AGAIN_MAX)
        worker->again[worker->again_count++] = intended_ns;
    else
        worker->results.unsent += load_worker_measures(worker, intended_ns);
}

void load_account_refused(struct load_worker *worker) {
    ASSERT(worker->again_count <= LOAD_AGAIN_MAX);
    while (worker->again_count > 0) {
        const uint64_t intended_ns = worker->again[--worker->again_count];
        if (!load_worker_measures(worker, intended_ns))
            continue;
        histogram_record(&worker->results.latency, worker->now_ns - intended_ns, 1);
        worker->results.unsent++;
    }
}

/* Counts one reply; returns whether it is one that was served. */
static bool record_reply(struct load_worker *worker, const struct load_request *request,
                         uint64_t *measured, uint64_t *good) {
    struct load_results *results = &worker->results;
    const bool is_refused = (request->flags & LOAD_REQUEST_REFUSED) != 0;
    const bool is_unknown = (request->flags & LOAD_REQUEST_UNKNOWN) != 0;
    const bool is_error = (request->flags & LOAD_REQUEST_ERROR) != 0;
    const bool is_write = (request->flags & LOAD_REQUEST_WRITE) != 0;
    if (worker->reads_back)
        return false;
    results->refused += is_refused;
    if (is_refused && load_worker_open_loop(worker))
        ask_anew(worker, request->begun_ns);
    results->unknown += is_unknown;
    if (load_worker_measures(worker, request->begun_ns) && !is_refused && !is_unknown) {
        ++*measured;
        *good += !is_error;
        if (worker->connections[0].begun_ns != NULL)
            histogram_record(&results->latency, worker->now_ns - request->begun_ns, 1);
    }
    return !is_error && (is_write || !worker->run->has_writes);
}

/*
 * The common case, in a few steps for a whole batch: closed loop, no error among the replies, no
 * history. Returns how many were served.
 */
static uint64_t record_batch(struct load_worker *worker, struct load_connection *connection,
                             uint64_t count, uint64_t *measured) {
    uint64_t writes = 0;
    for (uint64_t i = 0; i < count; i++)
        writes += connection->flags[load_connection_place(connection, i)];
    _Static_assert(LOAD_REQUEST_WRITE == 1, "without an error a request has no other flag");
    connection->head = load_connection_place(connection, count);
    connection->in_flight -= (uint32_t)count;
    if (load_worker_measures(worker, connection->sent_ns))
        *measured = count;
    return worker->run->has_writes ? writes : count;
}

void load_account_replies(struct load_worker *worker, struct load_connection *connection,
                          uint64_t count, uint64_t errors) {
    const uint64_t now_ns = worker->now_ns;
    uint64_t measured = 0;
    uint64_t good = 0;
    uint64_t served = 0;
    uint64_t count_left = count;
    bool succeeded = false;
    ASSERT(count <= connection->in_flight);
    worker->in_flight -= count;
    if (errors == 0 && connection->begun_ns == NULL && !worker->reads_back) {
        served = record_batch(worker, connection, count, &measured);
        good = measured;
        succeeded = true;
        count_left = 0;
    }
    for (uint64_t i = 0; i < count_left; i++) {
        const struct load_request request = load_connection_pop(connection);
        served += record_reply(worker, &request, &measured, &good);
        if ((request.flags & LOAD_REQUEST_ERROR) == 0) {
            succeeded = true;
            worker->results.read_back += connection->has_read_key;
            connection->has_read_key = false;
        }
    }
    if (connection->begun_ns == NULL && measured > 0)
        histogram_record(&worker->results.latency, now_ns - connection->sent_ns, measured);
    if (succeeded)
        connection->attempts = 0;
    connection->progress_ns = now_ns;
    worker->results.replies += measured;
    if (now_ns <= load_worker_end_ns(worker))
        worker->results.replies_in_window += good;
    worker->last_own_reply_ns = now_ns;
    const uint64_t total = atomic_load_explicit(&worker->progress_replies, memory_order_relaxed);
    atomic_store_explicit(&worker->progress_replies, total + count, memory_order_relaxed);
    record_gaps(worker, served);
}
