#ifndef WEIR_BENCH_LOAD_WORKER_INTERNAL_H
#define WEIR_BENCH_LOAD_WORKER_INTERNAL_H

/*
 * What the files of a worker share:
 *
 *     load_worker.c    sockets, events, the run
 *     load_send.c      what is asked, and when
 *     load_account.c   what the replies and their absence count for
 *     load_follow.c    where a connection goes, and when it tries again
 *
 * All on the worker's thread.
 */

#include "bench/load_worker.h"

/* load_worker.c: closes a connection, and opens it again after delay_ns. */
void load_worker_close(struct load_worker *worker, struct load_connection *connection,
                       uint64_t delay_ns);

/* Until when operations begin. */
static inline uint64_t load_worker_end_ns(const struct load_worker *worker) {
    return atomic_load_explicit(&worker->run->end_ns, memory_order_relaxed);
}

/* Whether an operation that began then counts in the measurement. */
static inline bool load_worker_measures(const struct load_worker *worker, uint64_t begun_ns) {
    return !worker->reads_back && begun_ns >= worker->run->measure_from_ns;
}

/* Whether requests come by a schedule; what is read back never does. */
static inline bool load_worker_open_loop(const struct load_worker *worker) {
    return worker->run->options->rate_per_second > 0 && !worker->reads_back;
}

/* ---- load_send.c ---- */

/* Nothing is in flight on the connection: sends its next batch, or the next key to read back. */
void load_send_next(struct load_worker *worker, struct load_connection *connection);

/* Open loop: sends all arrivals that are due, as long as a connection is free. */
void load_send_due(struct load_worker *worker);

/* Sends what waits in the connection's buffer. */
void load_send_flush(struct load_worker *worker, struct load_connection *connection);

/* ---- load_account.c ---- */

/* An error reply; the callback of every connection's scan. */
void load_account_error(void *context, const char *text, size_t length_bytes);

/* So many replies, the oldest first; of these so many, wherever, are errors. */
void load_account_replies(struct load_worker *worker, struct load_connection *connection,
                          uint64_t count, uint64_t errors);

/* Everything in flight on the connection will not be answered; returns how many. */
uint32_t load_account_unanswered(struct load_worker *worker, struct load_connection *connection,
                                 bool unknown);

/* The run is over: arrivals that were refused and have not been asked anew were never served. */
void load_account_refused(struct load_worker *worker);

/* ---- load_follow.c ---- */

/* Whether the worker has somewhere else to go. */
static inline bool load_follow_is_on(const struct load_worker *worker) {
    return load_targets_follow(&worker->targets);
}

/*
 * What an error reply means, when there is somewhere else to go: the flags of the request, and
 * where the connection goes on. 0: it is an error like any.
 */
uint8_t load_follow_error(struct load_worker *worker, struct load_connection *connection,
                          const char *text, size_t length_bytes);

/* All is answered: the connection goes elsewhere, if it has to. Returns whether it does. */
bool load_follow_leave(struct load_worker *worker, struct load_connection *connection);

/* The connection broke, or cannot be made: another server is next. Returns after how long. */
uint64_t load_follow_lost(struct load_worker *worker, struct load_connection *connection);

/* Gives up connections on which nothing has come for too long, when it is time to look. */
void load_follow_watch(struct load_worker *worker);

/* load_worker.c: a connection is over; all that it had in flight is accounted for. */
void load_worker_lose(struct load_worker *worker, struct load_connection *connection,
                      const char *kind, const char *reason);

#endif
