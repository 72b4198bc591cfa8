#ifndef WEIR_BENCH_LOAD_WORKER_H
#define WEIR_BENCH_LOAD_WORKER_H

/*
 * One thread of the load generator: its share of the connections, and what it measured.
 *
 * Times. A run starts at start_ns; operations that begin (open loop: are intended to begin) from
 * measure_from_ns on count; none begins at end_ns or later. What is then unanswered is waited for
 * for LOAD_DRAIN_MAX_NS. Throughput counts replies up to end_ns, latencies all measured operations.
 *
 * Ownership. load.c allocates workers and the run, prepares them, and reads the results after the
 * thread has ended. While it runs, a worker is touched by its thread only, but for the one field
 * that says otherwise; `run` is read-only but for its two atomics.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "bench/error_tally.h"
#include "bench/histogram.h"
#include "bench/key_picker.h"
#include "bench/load_connection.h"
#include "bench/load_gaps.h"
#include "bench/load_history.h"
#include "bench/load_options.h"
#include "bench/request_mix.h"
#include "bench/schedule.h"

#define LOAD_DRAIN_MAX_NS     UINT64_C(2000000000)
#define LOAD_SILENCE_MAX_NS   UINT64_C(30000000000) /* without a reply, --operations gives up */
#define LOAD_RETRY_NS         UINT64_C(100000000)
#define LOAD_CONNECT_MAX_NS   UINT64_C(5000000000)
/* So long keys are read back at most. */
#define LOAD_READ_BACK_MAX_NS UINT64_C(60000000000)

/* What one recv may bring; all connections of a worker share the buffer. */
enum { LOAD_SCRATCH_BYTES = 64 * 1024 };

/* Open loop: arrivals that were refused and wait to be asked anew; 512 KiB a worker. */
enum { LOAD_AGAIN_MAX = 64 * 1024 };

/* What all threads of a run share. */
struct load_run {
    const struct load_options *options;
    const struct request_mix *mix;
    const struct request_mix *read_back_mix; /* a GET for each kind of key */
    struct load_targets targets;             /* as known before the run */
    size_t reply_bytes_max;                  /* with a history: of one reply; else 0 */
    bool has_writes;                         /* the mix has; otherwise reads are what is served */
    /*
     * Waited on twice: when every worker is connected or has failed, and when the times below are
     * set. Setting and reading them is ordered by this barrier.
     */
    pthread_barrier_t barrier;
    uint64_t start_ns;
    uint64_t measure_from_ns;
    bool abandoned; /* a worker could not connect: all return at once */
    /* UINT64_MAX when --operations ends the run. Lowered by load.c on SIGINT; relaxed, a hint. */
    _Atomic uint64_t end_ns;
    /*
     * The last reply of any connection, at first measure_from_ns. Exchanged by every worker,
     * relaxed: nothing else is published by it.
     */
    _Alignas(64) _Atomic uint64_t last_reply_ns;
    /* Likewise the last one that was served (bench/load_gaps.h). */
    _Atomic uint64_t last_served_ns;
};

/* Results of a worker; also their sum over all workers. */
struct load_results {
    uint64_t scheduled;         /* open loop: measured arrivals up to the end */
    uint64_t replies;           /* measured operations answered, errors among them */
    uint64_t replies_in_window; /* those answered without an error up to the end */
    uint64_t unanswered;        /* measured, sent, no reply by the end of the drain */
    uint64_t unsent;            /* open loop: measured arrivals for which no connection was free,
                                   or that were refused to the end */
    uint64_t send_lag_max_ns;   /* open loop: intended to sent, for those sent */
    uint64_t gap_max_ns;        /* between two replies of the whole run, seen by this thread */
    uint64_t cpu_ns;            /* of the client, while measuring */
    uint64_t reconnects;
    /* Of the whole run, warm-up included, when there is somewhere else to go: */
    uint64_t redirects; /* connections that went where a -MOVED sent them */
    uint64_t refused;   /* requests that were definitely not done */
    uint64_t unknown;   /* requests that may have been done: -UNKNOWN, or the connection was lost */
    uint64_t read_back; /* keys read at the end */
    struct load_gaps gaps;
    struct histogram latency;
    struct error_tally errors; /* of the whole run, warm-up included */
    struct load_timeline timeline;
};

struct load_worker {
    struct load_run *run;
    uint32_t index; /* of options->threads */
    pthread_t thread;
    int epoll_fd;
    uint32_t connection_count;
    struct load_connection *connections;
    struct key_picker picker;
    struct random random;
    struct schedule schedule;
    uint64_t own_next;        /* open loop: the next own arrival */
    uint64_t *again;          /* open loop: intended times of what was refused, to be asked anew */
    uint32_t again_count;     /* at most LOAD_AGAIN_MAX */
    uint64_t operations_left; /* UINT64_MAX when the duration ends the run, as in open loop */
    uint64_t in_flight;       /* over all connections */
    uint32_t ready_count;     /* connections that are READY */
    uint32_t cursor;          /* open loop: where the search for a free connection goes on */
    uint64_t now_ns;          /* the last reading of the clock */
    uint64_t last_own_reply_ns;
    uint64_t retry_next_ns; /* earliest retry of a connection that is DOWN, or waits; UINT64_MAX if
                               none is */
    uint64_t watch_next_ns; /* when connections that may hang are looked at again */
    struct load_targets targets;
    struct random jitter;
    struct load_history *history; /* NULL: nothing is recorded */
    bool reads_back;              /* the run is over, and keys are read */
    uint64_t read_back_keys;      /* this worker's, times the kinds of keys */
    uint64_t read_back_next;
    struct error_text failure;         /* why the worker could not begin; else empty */
    _Atomic uint64_t progress_replies; /* written by the thread, read by load.c, relaxed */
    struct load_results results;
    uint8_t scratch[LOAD_SCRATCH_BYTES];
};

/*
 * Prepares worker `index`: allocates its connections and epoll set. `operations` is its share, or
 * UINT64_MAX. Errors: WEIR_ENOMEM, WEIR_EIO with a sentence in `error`; nothing is then held.
 */
int load_worker_init(struct load_worker *worker, struct load_run *run, uint32_t index,
                     uint32_t connection_count, uint64_t operations, struct error_text *error);

/* Closes and frees what init took. The thread has ended. */
void load_worker_fini(struct load_worker *worker);

/* The thread's function; `argument` is a struct load_worker. Returns NULL. */
void *load_worker_main(void *argument);

/* Empties results, and adds one to another. */
void load_results_reset(struct load_results *results);
void load_results_merge(struct load_results *into, const struct load_results *from);

#endif
