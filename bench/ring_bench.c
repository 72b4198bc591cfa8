/*
 * What a ring costs, beside plain ck_ring, in the same minute.
 *
 *   ring_bench [--runs N] [--milliseconds N] [--cpus A,B] [--json]
 *
 * Two threads pinned to two CPUs pass u32 items from one to the other as fast as they go
 * (throughput), or throw one item to and fro over two rings (round trip). Contestants take turns,
 * run by run, so that a disturbance hits both; printed are the medians, and their ratio.
 *
 * ck_ring moves one item a call and has no batch: its rows at batch 32 are 32 calls. Both sides
 * sum what they passed and the sums must agree, so that a ring that loses items cannot be fast.
 */

#include <ck_ring.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/decimal.h"
#include "queues/gauge.h"
#include "queues/ring.h"

#define BENCH_CAPACITY     1024       /* items: as many as a node has batches */
#define BENCH_BATCH_MAX    32         /* items */
#define BENCH_RUNS_MAX     101        /* of each contestant */
#define BENCH_STOP         UINT32_MAX /* the last item of a run */
#define BENCH_CLOCK_ROUNDS 1024       /* between two looks at the clock */

#define BENCH_INLINE static inline __attribute__((always_inline))

/* ck_ring wants a struct. */
struct item {
    uint32_t value;
};
CK_RING_PROTOTYPE(item, item)

/* One direction: both kinds of ring, of which a run uses one. */
struct lane {
    struct ring *ring;
    struct gauge_ring *gauge;
    CACHE_ALIGNED ck_ring_t plain;
    CACHE_ALIGNED struct item *plain_slots;
};

/* One run: what the two threads are told and what they found. */
struct run {
    struct lane there;
    struct lane back;
    uint64_t duration_ns;
    int cpus[2];
    pthread_barrier_t start;

    /* First thread. */
    CACHE_ALIGNED uint64_t sent_sum;
    uint64_t round_trips;
    uint64_t round_trips_ns;

    /* Second thread. */
    CACHE_ALIGNED uint64_t received_count;
    uint64_t received_sum;
    uint64_t received_ns;
};

/* ----------------------------------------------------------------------------------------------
 * The two kinds of ring, behind the same two calls. Everything is inlined into each contestant.
 */

BENCH_INLINE uint32_t weir_enqueue(struct lane *lane, const uint32_t *items, uint32_t count) {
    return ring_u32_enqueue(lane->ring, items, count);
}

BENCH_INLINE uint32_t weir_dequeue(struct lane *lane, uint32_t *items, uint32_t max) {
    return ring_u32_dequeue(lane->ring, items, max);
}

BENCH_INLINE uint32_t plain_enqueue(struct lane *lane, const uint32_t *items, uint32_t count) {
    uint32_t taken = 0;
    while (taken < count) {
        struct item item = {items[taken]};
        if (!CK_RING_ENQUEUE_SPSC(item, &lane->plain, lane->plain_slots, &item)) {
            break;
        }
        taken++;
    }
    return taken;
}

BENCH_INLINE uint32_t plain_dequeue(struct lane *lane, uint32_t *items, uint32_t max) {
    uint32_t count = 0;
    struct item item;
    while (count < max && CK_RING_DEQUEUE_SPSC(item, &lane->plain, lane->plain_slots, &item)) {
        items[count] = item.value;
        count++;
    }
    return count;
}

/* ----------------------------------------------------------------------------------------------
 * The four bodies: two of throughput, two of the round trip.
 */

static void pin_and_start(struct run *run, int thread) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)run->cpus[thread], &set);
    if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0) {
        fprintf(stderr, "ring_bench: may not run on CPU %d: name two others with --cpus\n",
                run->cpus[thread]);
        exit(1);
    }
    pthread_barrier_wait(&run->start);
}

BENCH_INLINE void produce(struct run *run, uint32_t batch,
                          uint32_t (*enqueue)(struct lane *, const uint32_t *, uint32_t)) {
    uint32_t items[BENCH_BATCH_MAX];
    uint32_t value = 0;
    uint64_t sum = 0;
    pin_and_start(run, 0);
    uint64_t until_ns = clock_monotonic_ns() + run->duration_ns;
    do {
        for (uint32_t round = 0; round < BENCH_CLOCK_ROUNDS; round++) {
            for (uint32_t i = 0; i < batch; i++) {
                items[i] = value + i;
                sum += items[i];
            }
            value = (value + batch) & 0xffffff; /* never BENCH_STOP */
            for (uint32_t done = 0; done < batch;) {
                done += enqueue(&run->there, items + done, batch - done);
            }
        }
    } while (clock_monotonic_ns() < until_ns);
    uint32_t stop = BENCH_STOP;
    while (enqueue(&run->there, &stop, 1) == 0) {
    }
    run->sent_sum = sum;
}

BENCH_INLINE void consume(struct run *run, uint32_t batch,
                          uint32_t (*dequeue)(struct lane *, uint32_t *, uint32_t)) {
    uint32_t items[BENCH_BATCH_MAX];
    uint64_t sum = 0;
    uint64_t received = 0;
    pin_and_start(run, 1);
    uint64_t start_ns = clock_monotonic_ns();
    for (;;) {
        uint32_t count = dequeue(&run->there, items, batch);
        if (count == 0) {
            continue;
        }
        for (uint32_t i = 0; i < count; i++) {
            sum += items[i];
        }
        received += count;
        if (items[count - 1] == BENCH_STOP) {
            break;
        }
    }
    run->received_ns = clock_monotonic_ns() - start_ns;
    run->received_count = received - 1;
    run->received_sum = sum - BENCH_STOP;
}

BENCH_INLINE void serve(struct run *run,
                        uint32_t (*enqueue)(struct lane *, const uint32_t *, uint32_t),
                        uint32_t (*dequeue)(struct lane *, uint32_t *, uint32_t)) {
    uint32_t ball = 0;
    uint64_t trips = 0;
    pin_and_start(run, 0);
    uint64_t start_ns = clock_monotonic_ns();
    uint64_t until_ns = start_ns + run->duration_ns;
    do {
        for (uint32_t round = 0; round < BENCH_CLOCK_ROUNDS; round++) {
            uint32_t expected = (ball + 1) & 0xffffff;
            while (enqueue(&run->there, &ball, 1) == 0) {
            }
            while (dequeue(&run->back, &ball, 1) == 0) {
            }
            ASSERT(ball == expected);
        }
        trips += BENCH_CLOCK_ROUNDS;
    } while (clock_monotonic_ns() < until_ns);
    run->round_trips_ns = clock_monotonic_ns() - start_ns;
    run->round_trips = trips;
    uint32_t stop = BENCH_STOP;
    while (enqueue(&run->there, &stop, 1) == 0) {
    }
}

BENCH_INLINE void give_back(struct run *run,
                            uint32_t (*enqueue)(struct lane *, const uint32_t *, uint32_t),
                            uint32_t (*dequeue)(struct lane *, uint32_t *, uint32_t)) {
    uint32_t ball;
    pin_and_start(run, 1);
    for (;;) {
        while (dequeue(&run->there, &ball, 1) == 0) {
        }
        if (ball == BENCH_STOP) {
            return;
        }
        ball = (ball + 1) & 0xffffff;
        while (enqueue(&run->back, &ball, 1) == 0) {
        }
    }
}

static void *weir_produce_32(void *run) {
    produce(run, 32, weir_enqueue);
    return NULL;
}

static void *weir_consume_32(void *run) {
    consume(run, 32, weir_dequeue);
    return NULL;
}

static void *weir_produce_1(void *run) {
    produce(run, 1, weir_enqueue);
    return NULL;
}

static void *weir_consume_1(void *run) {
    consume(run, 1, weir_dequeue);
    return NULL;
}

static void *weir_serve(void *run) {
    serve(run, weir_enqueue, weir_dequeue);
    return NULL;
}

static void *weir_give_back(void *run) {
    give_back(run, weir_enqueue, weir_dequeue);
    return NULL;
}

static void *plain_produce_32(void *run) {
    produce(run, 32, plain_enqueue);
    return NULL;
}

static void *plain_consume_32(void *run) {
    consume(run, 32, plain_dequeue);
    return NULL;
}

static void *plain_produce_1(void *run) {
    produce(run, 1, plain_enqueue);
    return NULL;
}

static void *plain_consume_1(void *run) {
    consume(run, 1, plain_dequeue);
    return NULL;
}

static void *plain_serve(void *run) {
    serve(run, plain_enqueue, plain_dequeue);
    return NULL;
}

static void *plain_give_back(void *run) {
    give_back(run, plain_enqueue, plain_dequeue);
    return NULL;
}

/* ----------------------------------------------------------------------------------------------
 * The matches: our ring and ck_ring, each with its two threads.
 */

struct contestant {
    void *(*first)(void *run);
    void *(*second)(void *run);
};

struct match {
    const char *name;
    const char *unit;
    bool round_trip;
    struct contestant weir;
    struct contestant plain;
};

static const struct match matches[] = {
    {"batch_32",
     "million items/s",
     false,
     {weir_produce_32, weir_consume_32},
     {plain_produce_32, plain_consume_32}},
    {"batch_1",
     "million items/s",
     false,
     {weir_produce_1, weir_consume_1},
     {plain_produce_1, plain_consume_1}},
    {"round_trip", "ns", true, {weir_serve, weir_give_back}, {plain_serve, plain_give_back}},
};

struct options {
    uint32_t runs;
    uint32_t milliseconds;
    int cpus[2];
    bool json;
};

static void *allocate(size_t bytes) {
    void *memory = aligned_alloc(CACHE_LINE_BYTES, ALIGN_UP(bytes, (size_t)CACHE_LINE_BYTES));
    if (memory == NULL) {
        fprintf(stderr, "ring_bench: no memory\n");
        exit(1);
    }
    memset(memory, 0, ALIGN_UP(bytes, (size_t)CACHE_LINE_BYTES));
    return memory;
}

static void lane_open(struct lane *lane) {
    lane->gauge = allocate(sizeof(*lane->gauge));
    struct ring_setup setup = {
        .name = "first_second",
        .capacity = BENCH_CAPACITY,
        .item_bytes = sizeof(uint32_t),
        .sequence_first = RING_SEQUENCE_FIRST,
        .gauge = lane->gauge,
    };
    lane->ring = ring_init(allocate(ring_bytes(setup.capacity, setup.item_bytes)), &setup);
    lane->plain_slots = allocate(BENCH_CAPACITY * sizeof(struct item));
    ck_ring_init(&lane->plain, BENCH_CAPACITY);
}

static void lane_close(struct lane *lane) {
    free(lane->gauge);
    free(lane->ring);
    free(lane->plain_slots);
}

static void thread_start(pthread_t *thread, void *(*body)(void *), struct run *run) {
    int error = pthread_create(thread, NULL, body, run);
    if (error != 0) {
        fprintf(stderr, "ring_bench: no thread: %s\n", strerror(error));
        exit(1);
    }
}

/* One run of one contestant: million items a second, or nanoseconds a round trip. */
static double run_once(const struct match *match, const struct contestant *contestant,
                       const struct options *options) {
    struct run *run = allocate(sizeof(*run));
    lane_open(&run->there);
    lane_open(&run->back);
    run->duration_ns = options->milliseconds * CLOCK_NS_PER_MS;
    memcpy(run->cpus, options->cpus, sizeof(run->cpus));
    pthread_barrier_init(&run->start, NULL, 2);
    pthread_t threads[2];
    thread_start(&threads[0], contestant->first, run);
    thread_start(&threads[1], contestant->second, run);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    pthread_barrier_destroy(&run->start);
    if (run->sent_sum != run->received_sum) {
        fprintf(stderr, "ring_bench: %s: what was sent is not what was received\n", match->name);
        exit(1);
    }
    double result = match->round_trip
                        ? (double)run->round_trips_ns / (double)run->round_trips
                        : (double)run->received_count * 1e3 / (double)run->received_ns;
    lane_close(&run->there);
    lane_close(&run->back);
    free(run);
    return result;
}

static int compare_doubles(const void *a, const void *b) {
    const double *x = a;
    const double *y = b;
    return (*x > *y) - (*x < *y);
}

static double median(double *values, uint32_t count) {
    ASSERT(count > 0);
    qsort(values, count, sizeof(values[0]), compare_doubles);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void report(const struct options *options) {
    double weir[BENCH_RUNS_MAX];
    double plain[BENCH_RUNS_MAX];
    double ratio[BENCH_RUNS_MAX];
    if (options->json) {
        printf("{\"runs\": %" PRIu32 ", \"milliseconds\": %" PRIu32 ", \"results\": [",
               options->runs, options->milliseconds);
    } else {
        printf("%-12s %-16s %10s %10s %22s\n", "", "median of", "weir", "ck_ring",
               "weir / ck_ring (range)");
    }
    for (size_t m = 0; m < ARRAY_COUNT(matches); m++) {
        const struct match *match = &matches[m];
        for (uint32_t i = 0; i < options->runs; i++) {
            weir[i] = run_once(match, &match->weir, options);
            plain[i] = run_once(match, &match->plain, options);
            ratio[i] = weir[i] / plain[i];
        }
        double middle = median(ratio, options->runs);
        double low = ratio[0];
        double high = ratio[options->runs - 1];
        double ours = median(weir, options->runs);
        double theirs = median(plain, options->runs);
        if (options->json) {
            printf("%s{\"name\": \"%s\", \"unit\": \"%s\", \"weir\": %.2f, \"ck_ring\": %.2f, "
                   "\"ratio\": %.3f, \"ratio_low\": %.3f, \"ratio_high\": %.3f}",
                   m > 0 ? ", " : "", match->name, match->unit, ours, theirs, middle, low, high);
        } else {
            printf("%-12s %-16s %10.2f %10.2f %8.2f (%.2f to %.2f)\n", match->name, match->unit,
                   ours, theirs, middle, low, high);
        }
        fflush(stdout);
    }
    if (options->json) {
        printf("]}\n");
    }
}

static const char usage[] =
    "usage: ring_bench [--runs 1..101] [--milliseconds 1..60000] [--cpus A,B] [--json]\n";

/* Parses a whole decimal number of `low` to `high`, or ends with the usage. */
static uint32_t number_argument(const char *text, uint32_t low, uint32_t high) {
    int64_t value;
    if (decimal_parse_i64(text, strlen(text), &value) != 0 || value < low || value > high) {
        fprintf(stderr, "ring_bench: %s is not a number of %" PRIu32 " to %" PRIu32 "\n%s", text,
                low, high, usage);
        exit(2);
    }
    return (uint32_t)value;
}

/* The first two CPUs that this process may use. */
static void cpus_default(int cpus[2]) {
    cpu_set_t set;
    int found = 0;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++) {
            if (CPU_ISSET((size_t)cpu, &set)) {
                cpus[found] = cpu;
                found++;
            }
        }
    }
    if (found < 2) {
        fprintf(stderr, "ring_bench: needs two CPUs to run on\n");
        exit(1);
    }
}

int main(int argc, char **argv) {
    struct options options = {.runs = 15, .milliseconds = 200};
    cpus_default(options.cpus);
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--json") == 0) {
            options.json = true;
        } else if (strcmp(argv[i], "--runs") == 0 && has_value) {
            options.runs = number_argument(argv[++i], 1, BENCH_RUNS_MAX);
        } else if (strcmp(argv[i], "--milliseconds") == 0 && has_value) {
            options.milliseconds = number_argument(argv[++i], 1, 60000);
        } else if (strcmp(argv[i], "--cpus") == 0 && has_value && strchr(argv[i + 1], ',')) {
            char *second = strchr(argv[++i], ',');
            *second = '\0';
            options.cpus[0] = (int)number_argument(argv[i], 0, CPU_SETSIZE - 1);
            options.cpus[1] = (int)number_argument(second + 1, 0, CPU_SETSIZE - 1);
        } else {
            bool help = strcmp(argv[i], "--help") == 0;
            fputs(usage, help ? stdout : stderr);
            return help ? 0 : 2;
        }
    }
    report(&options);
    return 0;
}
