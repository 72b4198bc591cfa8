/*
 * Parse, ask the server what it is, prepare the workers, let them connect, set the times, let them
 * run, add up what they measured, print.
 *
 * What fails before the run ends it with a sentence on standard error: usage (2), a server that
 * cannot be reached, or no memory (1). During the run nothing ends it early but SIGINT; failures
 * are counted and are in the report.
 */
#include "bench/load.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "bench/load_greeting.h"
#include "bench/load_options.h"
#include "bench/load_report.h"
#include "bench/load_slo.h"
#include "bench/load_slo_report.h"
#include "bench/load_worker.h"
#include "bench/request_mix.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* Buffers of all connections together; beyond it a mistake is likelier than a wish. */
#define BUFFERS_BYTES_MAX (UINT64_C(4) << 30)

/* "try 36: 18446744073709551615 a second, held " and another such number. */
enum { PROGRESS_BYTES = 96 };

#define PROGRESS_NS (UINT64_C(500) * CLOCK_NS_PER_MS)
#define POLL_NS     (UINT64_C(20) * CLOCK_NS_PER_MS)

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number) {
    (void)signal_number;
    interrupted = 1;
}

/* The state of one invocation. Not on the stack: workers hold buffers and histograms. */
struct load {
    const char *name;
    struct load_options options;
    struct request_mix mix;
    struct request_mix read_back_mix;
    struct load_server_facts facts;
    struct load_history histories[LOAD_OPTIONS_THREADS_MAX];
    const char *history_full; /* why a worker recorded no more; NULL: it did */
    struct load_run run;
    struct load_worker *workers;
    uint32_t workers_ready; /* initialized, to be finished */
    _Atomic uint32_t threads_running;
    struct load_results sum;
    struct load_slo slo;
    char progress[PROGRESS_BYTES]; /* before the progress line */
    struct error_text error;
};

static int build_mix(struct load *load) {
    const struct load_options *options = &load->options;
    if (options->mix)
        return request_mix_add_named(&load->mix, options->mix, options->value_bytes, &load->error);
    for (uint32_t i = 0; i < options->command_count; i++) {
        int status = request_mix_add_template(&load->mix, options->commands[i], 1,
                                              options->value_bytes, &load->error);
        if (status != 0)
            return status;
    }
    return 0;
}

static int check_size(struct load *load) {
    const struct load_options *options = &load->options;
    uint64_t bytes = (uint64_t)options->connections * options->depth * load->mix.request_bytes_max;
    if (bytes <= BUFFERS_BYTES_MAX)
        return 0;
    error_text_set(&load->error,
                   "%u connections with %u requests of %u bytes need %llu MiB of buffers: reduce "
                   "--connections, --depth or --value-size",
                   options->connections, options->depth, load->mix.request_bytes_max,
                   (unsigned long long)(bytes >> 20));
    return WEIR_EINVAL;
}

/* ---- before the run -------------------------------------------------------------------------- */

/* A GET for each kind of key that the mix has, as often as it is named. */
static int build_read_back(struct load *load) {
    struct request_mix *reads = &load->read_back_mix;
    for (uint32_t i = 0; load->options.read_back && i < load->mix.template_count; i++) {
        const char *key_word = load->mix.templates[i].key_word;
        bool is_known = key_word[0] == 0;
        for (uint32_t j = 0; j < i; j++)
            is_known = is_known || strcmp(load->mix.templates[j].key_word, key_word) == 0;
        if (is_known)
            continue;
        char line[REQUEST_MIX_KEY_WORD_BYTES + 8];
        snprintf(line, sizeof line, "GET \"%s\"", key_word);
        const int status = request_mix_add_template(reads, line, 1, 0, &load->error);
        if (status != 0)
            return status;
    }
    if (!load->options.read_back || reads->template_count > 0)
        return 0;
    error_text_set(&load->error, "--read-back needs a command with a key, e.g. --mix set");
    return WEIR_EINVAL;
}

/* Whether the mix can be recorded. */
static int check_history(struct load *load) {
    for (uint32_t i = 0; load->options.history && i < load->mix.template_count; i++) {
        const struct request_template *template = &load->mix.templates[i];
        if (template->word_count <= HISTORY_WORDS_MAX)
            continue;
        error_text_set(&load->error, "--history takes commands of at most %d words",
                       HISTORY_WORDS_MAX);
        return WEIR_EINVAL;
    }
    return 0;
}

/* All servers that are known, and what the first of them that answers says of itself. */
static int find_servers(struct load *load) {
    struct load_options *options = &load->options;
    struct load_targets *targets = &load->run.targets;
    if (options->servers == NULL)
        (void)load_targets_add(targets, options->host, options->port);
    for (const char *at = options->servers; at != NULL;) {
        char host[LOAD_TARGET_HOST_BYTES];
        char port[LOAD_TARGET_PORT_BYTES];
        const size_t length = strcspn(at, ",");
        if (load_target_parse(at, length, host, port) == 0)
            (void)load_targets_add(targets, host, port);
        at = at[length] == 0 ? NULL : at + length + 1;
    }
    if (targets->count == 0) {
        error_text_set(&load->error, "host '%s' has no address: check --server", options->host);
        return WEIR_ENOENT;
    }
    int status = WEIR_EIO;
    const uint32_t given = targets->count;
    for (uint32_t i = 0; status != 0 && i < given; i++) {
        options->host = targets->items[i].host;
        memcpy(options->port, targets->items[i].port, sizeof options->port);
        targets->preferred = i;
        status = load_greeting_probe(options, targets, i, &load->facts, &load->error);
    }
    return status;
}

/* One history for each worker. */
static int create_histories(struct load *load) {
    const struct load_options *options = &load->options;
    if (options->history == NULL)
        return 0;
    /* Ten values in a reply to the named mget, and their frames. */
    load->run.reply_bytes_max =
        LOAD_HISTORY_REPLY_BYTES_MIN + 10 * ((size_t)options->value_bytes + 16);
    const uint64_t bytes = load->mix.request_bytes_max + load->run.reply_bytes_max;
    const uint64_t keys =
        options->read_back ? options->keys * load->read_back_mix.template_count : 0;
    const uint64_t operations =
        (options->history_operations + keys) / options->threads + options->threads;
    for (uint32_t i = 0; i < options->threads; i++) {
        if (operations <= HISTORY_OPERATIONS_MAX &&
            load_history_create(&load->histories[i], i, options->threads, operations, bytes) == 0)
            continue;
        error_text_set(&load->error,
                       "no memory for a history of %llu operations: lower --history-operations",
                       (unsigned long long)options->history_operations);
        return WEIR_ENOMEM;
    }
    return 0;
}

/* Deals connections and operations out as evenly as whole numbers allow. */
static uint64_t share(uint64_t total, uint32_t index, uint32_t count) {
    return total / count + (index < total % count ? 1 : 0);
}

static int init_workers(struct load *load) {
    const struct load_options *options = &load->options;
    load->workers =
        aligned_alloc(_Alignof(struct load_worker), options->threads * sizeof(struct load_worker));
    if (!load->workers) {
        error_text_set(&load->error, "no memory for %u threads", options->threads);
        return WEIR_ENOMEM;
    }
    for (uint32_t i = 0; i < options->threads; i++) {
        uint32_t connections = (uint32_t)share(options->connections, i, options->threads);
        uint64_t operations =
            options->operations > 0 ? share(options->operations, i, options->threads) : UINT64_MAX;
        int status = load_worker_init(&load->workers[i], &load->run, i, connections, operations,
                                      &load->error);
        if (status != 0)
            return status;
        load->workers_ready++;
        load->workers[i].history = options->history ? &load->histories[i] : NULL;
        load->workers[i].read_back_keys =
            share(options->keys, i, options->threads) * load->read_back_mix.template_count;
    }
    return 0;
}

static uint64_t replies_so_far(const struct load *load) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < load->workers_ready; i++)
        sum += atomic_load_explicit(&load->workers[i].progress_replies, memory_order_relaxed);
    return sum;
}

struct worker_start {
    struct load *load;
    struct load_worker *worker;
};

/* Runs the worker and tells the waiting main thread when it was the last one. */
static void *thread_main(void *argument) {
    struct worker_start start = *(struct worker_start *)argument;
    load_worker_main(start.worker);
    /* Partner: the acquire load in watch_run. */
    atomic_fetch_sub_explicit(&start.load->threads_running, 1, memory_order_release);
    return NULL;
}

static void print_progress(const struct load *load, uint64_t now_ns, uint64_t *last_ns,
                           uint64_t *last_replies) {
    uint64_t replies = replies_so_far(load);
    double seconds = (double)(now_ns - *last_ns) / (double)CLOCK_NS_PER_S;
    double elapsed = (double)(now_ns - load->run.start_ns) / (double)CLOCK_NS_PER_S;
    fprintf(stderr, "\r\033[K%s%6.1f s  %.0f operations/s%s", load->progress, elapsed,
            (double)(replies - *last_replies) / seconds,
            now_ns < load->run.measure_from_ns ? "  (warm-up)" : "");
    fflush(stderr);
    *last_ns = now_ns;
    *last_replies = replies;
}

/* Shows progress on a terminal and obeys SIGINT until all threads have ended. */
static void watch_run(struct load *load) {
    bool terminal = isatty(STDERR_FILENO) != 0;
    uint64_t last_ns = load->run.start_ns;
    uint64_t last_replies = 0;
    bool ending = false;
    while (atomic_load_explicit(&load->threads_running, memory_order_acquire) > 0) {
        struct timespec pause = {.tv_nsec = (long)POLL_NS};
        (void)nanosleep(&pause, NULL);
        uint64_t now_ns = clock_monotonic_ns();
        if (interrupted && !ending) {
            if (now_ns < atomic_load_explicit(&load->run.end_ns, memory_order_relaxed))
                atomic_store_explicit(&load->run.end_ns, now_ns, memory_order_relaxed);
            ending = true;
        }
        if (terminal && now_ns - last_ns >= PROGRESS_NS)
            print_progress(load, now_ns, &last_ns, &last_replies);
    }
    if (terminal)
        fprintf(stderr, "\r\033[K");
}

static void set_times(struct load *load) {
    struct load_run *run = &load->run;
    const struct load_options *options = &load->options;
    run->start_ns = clock_monotonic_ns();
    run->measure_from_ns = run->start_ns + options->warmup_ns;
    uint64_t end_ns =
        options->duration_ns > 0 ? run->measure_from_ns + options->duration_ns : UINT64_MAX;
    atomic_store_explicit(&run->end_ns, end_ns, memory_order_relaxed);
    atomic_store_explicit(&run->last_reply_ns, run->measure_from_ns, memory_order_relaxed);
    atomic_store_explicit(&run->last_served_ns, run->measure_from_ns, memory_order_relaxed);
}

/* The first worker that could not connect decides; its sentence is the run's. */
static int check_connected(struct load *load) {
    for (uint32_t i = 0; i < load->workers_ready; i++) {
        if (load->workers[i].failure.text[0] == 0)
            continue;
        load->error = load->workers[i].failure;
        return WEIR_EIO;
    }
    return 0;
}

/* Starts the threads, and does not return before all of them have ended. */
static int run_workers(struct load *load) {
    struct worker_start starts[LOAD_OPTIONS_THREADS_MAX];
    uint32_t count = load->options.threads;
    /* Started threads wait at the barrier for all; one that cannot start leaves no way back. */
    if (pthread_barrier_init(&load->run.barrier, NULL, count + 1) != 0) {
        error_text_set(&load->error, "cannot make a barrier for %u threads", count);
        return WEIR_EIO;
    }
    atomic_store_explicit(&load->threads_running, count, memory_order_relaxed);
    for (uint32_t i = 0; i < count; i++) {
        starts[i] = (struct worker_start){.load = load, .worker = &load->workers[i]};
        int reason = pthread_create(&load->workers[i].thread, NULL, thread_main, &starts[i]);
        if (reason != 0) {
            fprintf(stderr, "%s: cannot start thread %u: %s: reduce --threads\n", load->name, i,
                    strerror(reason));
            exit(EXIT_FAILED);
        }
    }
    pthread_barrier_wait(&load->run.barrier);
    int status = check_connected(load);
    load->run.abandoned = status != 0;
    set_times(load);
    pthread_barrier_wait(&load->run.barrier);
    if (status == 0)
        watch_run(load);
    for (uint32_t i = 0; i < count; i++)
        pthread_join(load->workers[i].thread, NULL);
    pthread_barrier_destroy(&load->run.barrier);
    return status;
}

/* Adds up the workers; returns the measured time. */
static uint64_t add_up(struct load *load) {
    struct load_run *run = &load->run;
    load_results_reset(&load->sum);
    for (uint32_t i = 0; i < load->workers_ready; i++)
        load_results_merge(&load->sum, &load->workers[i].results);
    uint64_t end_ns = atomic_load_explicit(&run->end_ns, memory_order_relaxed);
    uint64_t last_ns = atomic_load_explicit(&run->last_reply_ns, memory_order_relaxed);
    if (end_ns == UINT64_MAX)
        end_ns = last_ns;
    else if (end_ns > last_ns && end_ns - last_ns > load->sum.gap_max_ns)
        load->sum.gap_max_ns = end_ns - last_ns; /* the silence at the end is a gap too */
    uint64_t served_ns = atomic_load_explicit(&run->last_served_ns, memory_order_relaxed);
    if (end_ns > served_ns)
        load_gaps_note(&load->sum.gaps, served_ns, end_ns);
    load_gaps_finish(&load->sum.gaps, load->options.gap_ns);
    return end_ns > run->measure_from_ns ? end_ns - run->measure_from_ns : 1;
}

/* Writes what was recorded. */
static int write_history(struct load *load) {
    const struct load_history *histories[LOAD_OPTIONS_THREADS_MAX];
    if (load->options.history == NULL)
        return 0;
    for (uint32_t i = 0; i < load->options.threads; i++) {
        histories[i] = &load->histories[i];
        if (histories[i]->full != NULL)
            load->history_full = histories[i]->full;
    }
    return load_history_write(histories, load->options.threads, load->options.history,
                              &load->error);
}

/* Ends what init_workers has begun; it may be called again. */
static void fini_workers(struct load *load) {
    for (uint32_t i = 0; i < load->workers_ready; i++)
        load_worker_fini(&load->workers[i]);
    free(load->workers);
    load->workers = NULL;
    load->workers_ready = 0;
}

/* One measurement. `report` borrows from `load`, up to the next one. */
static int measure(struct load *load, struct load_report *report) {
    /* Not begun: what a connection meets is then final, as before the first one. */
    load->run.start_ns = 0;
    int status = init_workers(load);
    if (status == 0)
        status = run_workers(load);
    if (status == 0)
        status = write_history(load);
    if (status == 0)
        *report = (struct load_report){.options = &load->options,
                                       .facts = &load->facts,
                                       .results = &load->sum,
                                       .measure_from_ns = load->run.measure_from_ns,
                                       .history_full = load->history_full,
                                       .has_writes = load->run.has_writes,
                                       .follows = load_targets_follow(&load->run.targets),
                                       .read_back_keys =
                                           load->options.keys * load->read_back_mix.template_count,
                                       .elapsed_ns = add_up(load)};
    fini_workers(load);
    return status;
}

/* Whether the report was written, and said so if not. */
static bool is_written(const struct load *load) {
    if (fflush(stdout) == 0)
        return true;
    fprintf(stderr, "%s: cannot write the report: %s\n", load->name, strerror(errno));
    return false;
}

static int fail(const struct load *load) {
    fprintf(stderr, "%s: %s\n", load->name, load->error.text);
    return EXIT_FAILED;
}

/* ---- the search for the knee ----------------------------------------------------------------- */

static void note_measured(const struct load_report *report, const struct load_slo_goal *goal,
                          struct load_slo_measured *measured) {
    const struct load_results *results = report->results;
    const struct error_kind *first = &results->errors.kinds[0];
    ASSERT(report->elapsed_ns > 0);
    *measured = (struct load_slo_measured){
        .done_per_second = load_report_throughput_per_second(report),
        .errors = results->errors.count,
        .p50_ns = histogram_quantile_ns(&results->latency, HISTOGRAM_P50),
        .p99_ns = histogram_quantile_ns(&results->latency, HISTOGRAM_P99),
        .judged_ns = histogram_quantile_ns(&results->latency, goal->parts_per_million),
        .client_busy = load_report_client_busy(report)};
    if (results->errors.kinds_used > 0)
        (void)snprintf(measured->error, sizeof measured->error, "%.*s",
                       (int)sizeof measured->error - 1,
                       first->example[0] != 0 ? first->example : first->name);
}

/* Tries rates until the search is over, SIGINT comes (that try tells nothing), or one cannot be. */
static int try_rates(struct load *load) {
    struct load_slo *slo = &load->slo;
    int status = 0;
    while (status == 0 && !interrupted && load_slo_rate(slo) != 0) {
        struct load_report report;
        struct load_slo_measured measured;
        load->options.rate_per_second = load_slo_rate(slo);
        (void)snprintf(load->progress, sizeof load->progress,
                       "try %u: %llu a second, held %llu: ", slo->tried_count + 1,
                       (unsigned long long)load_slo_rate(slo),
                       (unsigned long long)load_slo_knee(slo));
        status = measure(load, &report);
        if (status != 0 || interrupted)
            continue;
        note_measured(&report, &slo->goal, &measured);
        load_slo_tell(slo, &measured);
    }
    return status;
}

static int search_knee(struct load *load) {
    struct load_options *options = &load->options;
    struct load_slo *slo = &load->slo;
    struct load_report half;
    struct load_slo_report report = {.slo = slo, .try_ns = options->duration_ns};
    load_slo_begin(slo, &options->slo);
    int status = try_rates(load);
    if (status == 0 && !interrupted && load_slo_knee(slo) > 0) {
        options->rate_per_second = load_slo_knee(slo) / 2;
        options->duration_ns *= LOAD_SLO_HALF_TIMES;
        (void)snprintf(load->progress, sizeof load->progress, "half of the knee, %llu a second: ",
                       (unsigned long long)options->rate_per_second);
        status = measure(load, &half);
        report.half = status == 0 ? &half : NULL;
    }
    report.interrupted = interrupted != 0;
    report.failure = status != 0 ? load->error.text : NULL;
    if (status != 0)
        (void)fail(load);
    if (options->json)
        load_slo_report_print_json(&report, stdout);
    else
        load_slo_report_print_text(&report, stdout);
    return is_written(load) && load_slo_report_succeeded(&report) ? EXIT_OK : EXIT_FAILED;
}

static int execute(struct load *load) {
    struct load_report report;
    if (find_servers(load) != 0)
        return fail(load);
    if (load->options.slo.percentile != NULL)
        return search_knee(load);
    if (create_histories(load) != 0 || measure(load, &report) != 0)
        return fail(load);
    if (load->options.json)
        load_report_print_json(&report, stdout);
    else
        load_report_print_text(&report, stdout);
    return is_written(load) && load_report_succeeded(&report) ? EXIT_OK : EXIT_FAILED;
}

static void finish(struct load *load) {
    ASSERT(load->workers == NULL && load->workers_ready == 0);
    for (uint32_t i = 0; i < LOAD_OPTIONS_THREADS_MAX; i++)
        load_history_destroy(&load->histories[i]);
    request_mix_fini(&load->mix);
    request_mix_fini(&load->read_back_mix);
    free(load);
}

int load_main(int argc, char **argv) {
    ASSERT(argc >= 1);
    struct load *load = aligned_alloc(_Alignof(struct load), sizeof *load);
    if (!load) {
        fprintf(stderr, "%s: no memory\n", argv[0]);
        return EXIT_FAILED;
    }
    memset(load, 0, sizeof *load);
    load->name = argv[0];
    load->run.options = &load->options;
    load->run.mix = &load->mix;
    load->run.read_back_mix = &load->read_back_mix;
    int exit_status = EXIT_USAGE;
    if (load_options_parse(&load->options, argc, argv, &load->error) != 0) {
        fprintf(stderr, "%s: %s\n", load->name, load->error.text);
    } else if (load->options.help) {
        load_options_print_help(stdout, load->name);
        exit_status = EXIT_OK;
    } else if (build_mix(load) != 0 || check_size(load) != 0 || check_history(load) != 0 ||
               build_read_back(load) != 0) {
        fprintf(stderr, "%s: %s\n", load->name, load->error.text);
    } else {
        interrupted = 0;
        load->run.has_writes = request_mix_has_write(&load->mix);
        struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
        struct sigaction before;
        sigemptyset(&action.sa_mask);
        sigaction(SIGINT, &action, &before);
        exit_status = execute(load);
        sigaction(SIGINT, &before, NULL);
    }
    finish(load);
    return exit_status;
}
