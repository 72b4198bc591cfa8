/*
 * The node's life, on the main thread.
 *
 * Happy path: configuration; then a thread, the starter, checks the host, opens the data directory
 * and starts the pipeline, while the main thread sleeps; the main thread lets the pipeline run, and
 * sleeps until a signal, a SHUTDOWN or a failure wakes it; then it stops the pipeline, which
 * drains, and waits for its threads.
 *
 * Failure modes: before the pipeline runs, each is a sentence and an exit status.  SIGTERM or
 * SIGINT before that ends the process at once, with 0: nobody was served, and a data directory that
 * is whole may be left at any moment.  While it runs, a stage that cannot go on publishes why
 * (node_signals.failed); the main thread then stops the rest in the same way, says the sentence and
 * exits with 1.  A second SIGTERM or SIGINT during the drain ends the process at once: what was
 * acknowledged is stored already.
 *
 * Signals are blocked in all threads and waited for, so that nothing ever runs in a handler.
 * SIGUSR1 is the process's own bell: threads ring it to wake the main thread.
 */

#include "tools/serve.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/decimal.h"
#include "queues/atomic.h"
#include "stages/apply.h"
#include "stages/directory.h"
#include "stages/parse.h"
#include "stages/pipeline.h"
#include "stages/read.h"
#include "stages/replicate.h"
#include "stages/validate.h"
#include "tools/config.h"
#include "tools/serve_host.h"
#include "tools/serve_node.h"
#include "tools/status_file.h"

/* Where gauge files are: memory, with names. */
#define GAUGE_DIRECTORY "/dev/shm"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* What the command holds, from start to end: the starter's until it has set `started`, then the
 * main thread's. */
struct serve {
    struct config config;
    struct map map;
    struct io *io; /* for the data directory */
    int32_t data_directory;
    struct node_options options;
    struct node *node;
    struct directory *directory;
    struct pipeline *pipeline;
    char address[CONFIG_HOST_BYTES_MAX + 16];
    char gauge_path[128];
    bool shows_progress;

    struct read_options read_options;
    struct parse_options parse_options;
    struct validate_options validate_options;
    struct replicate_options replicate_options;
    struct apply_options apply_options;

    /* Held by the starter while it makes the data directory, and by who leaves meanwhile: a half
       made one would have to be made anew by the next start. */
    pthread_mutex_t directory_whole;
    pthread_t main_thread;
    uint32_t serving_port; /* port + 1.  Writer: read's thread (release); reader: main (acquire) */
    uint32_t gauges_named; /* gauge_path is set.  Writer: the starter (release); reader: main */
    uint32_t started;      /* writer: the starter (release); reader: main (acquire) */
    int start_status;      /* valid once `started` */
    struct error_text start_error;
};

/* ---- usage --------------------------------------------------------------------------------- */

static const char usage[] =
    "usage: weir serve [OPTION VALUE]...\n"
    "\n"
    "Runs a node.  Without options: a single durable node on 127.0.0.1:7379, its data in\n"
    "./weir-data, which is created.\n"
    "\n"
    "  --data DIR           data directory (dir)\n"
    "  --listen HOST:PORT   where clients are served (listen, or bind and port)\n"
    "  --advertise HOST:PORT  where clients reach this node, if not there (advertise, or\n"
    "                       cluster-announce-ip and cluster-announce-port)\n"
    "  --id N               this node's id; of an existing directory: the id expected (id)\n"
    "  --peers N=HOST:PORT,...  where the members of its cluster reach each other, all\n"
    "                       of them, this one too (peers); weir init makes a cluster\n"
    "  --peer-listen HOST:PORT  where this node listens for them, if not there (peer-listen)\n"
    "  --secret-file FILE   the secret by which members know each other (secret-file)\n"
    "  --peer-authentication none  believe whoever reaches the port for members\n"
    "                       (peer-authentication); instead of a secret\n"
    "  --map SPEC           fused, pair, split, or CPU:stage+stage,... (map);\n"
    "                       by default chosen for the CPUs that the process may use\n"
    "  --cores N            take no more than N of them (cores); member K those from the\n"
    "                       (K-1)*N-th on, so that members on one host share them out\n"
    "  --machine NAME       kv or log (machine)\n"
    "  --durability MODE    fsync, write or none (durability): when a write is acknowledged,\n"
    "                       it is on stable storage, handed to the system, or (of a node\n"
    "                       alone) in memory only\n"
    "  --reads MODE         quorum, lease or stale (reads): how current a read is, unless its\n"
    "                       connection chooses (CLIENT READS)\n"
    "  --leases WHAT        on or off: what the cluster's leader makes of leases, when it is\n"
    "                       this node; keep (default): as they are (leases)\n"
    "  --election-timeout MS  a leader that is not heard for so long, up to twice as long, is\n"
    "                       replaced (election-timeout): 50 to 60000, 200 by default;\n"
    "                       the same on all members\n"
    "  --config FILE        lines of KEY VALUE; the command line overrides it\n"
    "  --help               this text\n"
    "\n"
    "Keys of the file, beside those in brackets: requirepass, maxclients, maxmemory,\n"
    "cluster-name, proto-max-bulk-len, snapshot-log-bytes, snapshot-rate (bytes a second),\n"
    "io-features (all or floor: what Linux 6.1 has), loglevel (debug, notice or warning),\n"
    "log-time-jump-max (seconds), append-messages, append-bytes (to a follower at once).\n"
    "\n"
    "Exit status: 0 stopped on request, 1 failed, 2 usage or configuration.\n";

/* Options of the command line and the keys that they set; --config is none. */
static const struct {
    const char *option;
    const char *key;
} option_keys[] = {
    {"--advertise", "advertise"},
    {"--cores", "cores"},
    {"--data", "dir"},
    {"--listen", "listen"},
    {"--id", "id"},
    {"--map", "map"},
    {"--machine", "machine"},
    {"--peers", "peers"},
    {"--peer-authentication", "peer-authentication"},
    {"--peer-listen", "peer-listen"},
    {"--secret-file", "secret-file"},
    {"--durability", "durability"},
    {"--election-timeout", "election-timeout"},
    {"--leases", "leases"},
    {"--reads", "reads"},
    {"--config", NULL},
};

/* "--option VALUE" or "--option=VALUE" at *at; *at moves on. */
struct option {
    char name[32];
    const char *value;
    const char *key; /* NULL: --config */
};

static int option_read(int argc, char **argv, int *at, struct option *option,
                       struct error_text *error) {
    const char *text = argv[*at];
    size_t length = strcspn(text, "=");
    for (size_t i = 0; i < ARRAY_COUNT(option_keys); i++) {
        const char *name = option_keys[i].option;
        if (strlen(name) != length || memcmp(name, text, length) != 0) {
            continue;
        }
        (void)snprintf(option->name, sizeof(option->name), "%s", name);
        option->key = option_keys[i].key;
        if (text[length] == '=') {
            option->value = text + length + 1;
        } else if (*at + 1 < argc) {
            option->value = argv[++*at];
        } else {
            error_text_set(error, "%s needs a value", name);
            return WEIR_EINVAL;
        }
        ++*at;
        return 0;
    }
    error_text_set(error, "do not know \"%s\"; weir serve --help lists the options", text);
    return WEIR_EINVAL;
}

/* The file first, wherever --config stands, then the command line from left to right. */
static int configure(struct config *config, int argc, char **argv, struct error_text *error) {
    config_default(config);
    for (int pass = 0; pass < 2; pass++) {
        for (int at = 1; at < argc;) {
            struct option option;
            int status = option_read(argc, argv, &at, &option, error);
            if (status == 0 && option.key == NULL && pass == 0) {
                status = config_read(config, option.value, error);
            } else if (status == 0 && option.key != NULL && pass == 1) {
                status = config_set(config, option.key, option.value, option.name, error);
            }
            if (status != 0) {
                return status;
            }
        }
    }
    return 0;
}

/* The map configured, or the one for this machine's CPUs, or for as many of them as the node is
 * given. The caller starts threads afterwards: they inherit where it may run. */
static int choose_map(struct serve *serve, struct error_text *error) {
    struct map_cpus cpus;
    map_cpus_available(&cpus);
    if (serve->config.cores_max > 0) {
        const uint64_t id = serve->config.node_id;
        map_cpus_cap(&cpus, serve->config.cores_max, id == 0 ? 0 : id - 1);
        if (map_cpus_confine(&cpus) != 0) {
            error_text_set(error, "cannot keep to %u processors: %s", cpus.count, strerror(errno));
            return WEIR_EIO;
        }
    }
    return map_parse(&serve->map, serve->config.map[0] == '\0' ? NULL : serve->config.map, &cpus,
                     error);
}

static bool asks_for_help(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return true;
        }
    }
    return false;
}

/* ---- the pipeline's options ---------------------------------------------------------------- */

/* Any thread: makes the main thread look. */
static void wake_main(void *context) {
    struct serve *serve = context;
    (void)pthread_kill(serve->main_thread, SIGUSR1);
}

/* read's thread: clients are served from now on. */
static void on_serving(void *context, uint16_t port) {
    struct serve *serve = context;
    atomic_store_release_u32(&serve->serving_port, (uint32_t)port + 1);
    wake_main(serve);
}

/* Whichever thread reads a snapshot or the log at start: a line on a terminal, overwritten. */
static void show_progress(void *context, uint64_t bytes_done, uint64_t bytes_total) {
    const struct serve *serve = context;
    if (serve->shows_progress && bytes_total > 0) {
        (void)fprintf(
            stderr, "\rreading %llu of %llu MiB%s", (unsigned long long)(bytes_done >> 20),
            (unsigned long long)(bytes_total >> 20), bytes_done == bytes_total ? "\n" : "");
    }
}

static void build_stage_options(struct serve *serve, const void *options[STAGE_COUNT]) {
    serve->read_options = (struct read_options){
        .listen_address = serve->address, .on_serving = on_serving, .context = serve};
    serve->parse_options.directory = serve->directory;
    serve->validate_options.directory = serve->directory;
    serve->replicate_options =
        (struct replicate_options){.progress = show_progress, .context = serve};
    serve->apply_options = (struct apply_options){
        .directory = serve->directory, .progress = show_progress, .context = serve};
    options[STAGE_READ] = &serve->read_options;
    options[STAGE_PARSE] = &serve->parse_options;
    options[STAGE_VALIDATE] = &serve->validate_options;
    options[STAGE_REPLICATE] = &serve->replicate_options;
    options[STAGE_APPLY] = &serve->apply_options;
}

/* Gauge files are left behind by a crash, for a post-mortem; this node's next life removes them. */
static void remove_old_gauges(const struct serve *serve) {
    char prefix[64];
    int length = snprintf(prefix, sizeof(prefix), "weir-%016llx-%llu-",
                          (unsigned long long)serve->options.identity.cluster_id,
                          (unsigned long long)serve->options.identity.node_id);
    DIR *directory = opendir(GAUGE_DIRECTORY);
    if (directory == NULL) {
        return;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        int64_t pid;
        if (strncmp(entry->d_name, prefix, (size_t)length) != 0) {
            continue;
        }
        const char *digits = entry->d_name + length; /* and ".status" behind them, perhaps */
        if (decimal_parse_i64(digits, strcspn(digits, "."), &pid) == WEIR_OK && pid > 0 &&
            kill((pid_t)pid, 0) != 0 && errno == ESRCH) {
            (void)unlinkat(dirfd(directory), entry->d_name, 0);
        }
    }
    (void)closedir(directory);
}

/* The gauge file of this process, or NULL where there is no shared memory. */
static const char *choose_gauge_path(struct serve *serve) {
    if (access(GAUGE_DIRECTORY, W_OK) != 0) {
        return NULL;
    }
    remove_old_gauges(serve);
    (void)snprintf(serve->gauge_path, sizeof(serve->gauge_path),
                   GAUGE_DIRECTORY "/weir-%016llx-%llu-%ld",
                   (unsigned long long)serve->options.identity.cluster_id,
                   (unsigned long long)serve->options.identity.node_id, (long)getpid());
    atomic_store_release_u32(&serve->gauges_named, 1); /* partner: the acquire in leave */
    return serve->gauge_path;
}

static int create_pipeline(struct serve *serve, struct error_text *error) {
    struct pipeline_options options = {
        .node = serve->node, .map = &serve->map, .gauge_path = choose_gauge_path(serve)};
    build_stage_options(serve, options.stage_options);
    return pipeline_create(&serve->pipeline, &options, error);
}

/* ---- life ---------------------------------------------------------------------------------- */

/* Everything before the pipeline's threads.  On error what was made is left to tear_down.  The
 * starter; blocks. */
static int set_up(struct serve *serve, struct error_text *error) {
    struct identity identity;
    struct io_options io_options = {.submissions_max = 64,
                                    .completions_max = 128,
                                    .features_allowed = serve->config.io_features};
    int status = serve_host_kernel(error);
    if (status == 0) {
        status = serve_host_descriptors(&serve->config, error);
    }
    if (status != 0) {
        return status;
    }
    serve_host_locked_memory();
    status = io_create(&serve->io, &io_options, error);
    if (status == 0) {
        status = serve_host_address(serve->io, &serve->config, error);
    }
    if (status == 0) {
        (void)pthread_mutex_lock(&serve->directory_whole);
        status = serve_node_directory(serve->io, &serve->config, &serve->data_directory, &identity,
                                      error);
        (void)pthread_mutex_unlock(&serve->directory_whole);
    }
    if (status == 0) {
        status = serve_node_options(&serve->options, &serve->config, &identity, &serve->map, error);
    }
    if (status == 0) {
        status = serve_node_create(&serve->node, &serve->options, error);
    }
    if (status == 0) {
        status = directory_create(&serve->directory, serve->options.machine, error);
    }
    if (status == 0) {
        serve->node->wake_main = wake_main;
        serve->node->wake_context = serve;
        status = create_pipeline(serve, error);
    }
    return status;
}

static void tear_down(struct serve *serve) {
    if (serve->pipeline != NULL) {
        pipeline_destroy(serve->pipeline);
    }
    directory_destroy(serve->directory);
    serve_node_destroy(serve->node);
    if (serve->data_directory >= 0) {
        io_close(serve->io, serve->data_directory);
    }
    if (serve->io != NULL) {
        io_destroy(serve->io);
    }
}

/* What the mode voids is said each time, so that nobody forgets which one it was. */
static void log_start(const struct serve *serve) {
    struct log_quoted path;
    log_info("starting", "version=%s pid=%ld dir=%s node=%llu machine=%s map=%s maxclients=%u",
             WEIR_VERSION, (long)getpid(),
             log_quote(&path, serve->config.data_directory, strlen(serve->config.data_directory)),
             (unsigned long long)serve->options.identity.node_id, serve->config.machine,
             serve->map.text, serve->config.connections_max);
    if (serve->config.durability == DURABILITY_WRITE) {
        log_warn("durability", "mode=write promise=\"acknowledged writes survive the end of the "
                               "process; a power cut or a crash of the system loses some\"");
    } else if (serve->config.durability == DURABILITY_NONE) {
        log_warn("durability", "mode=none promise=\"acknowledged writes are in memory only; the "
                               "end of the process loses them\"");
    }
}

/* Says once that clients are served, and where. */
static void log_ready(const struct serve *serve, bool *announced) {
    uint32_t port = atomic_load_acquire_u32(&serve->serving_port);
    if (port == 0 || *announced) {
        return;
    }
    struct config at_port = serve->config;
    at_port.port = (uint16_t)(port - 1);
    char address[CONFIG_HOST_BYTES_MAX + 16];
    config_address(&at_port, address);
    static const char *const modes[] = {
        [DURABILITY_FSYNC] = "fsync", [DURABILITY_WRITE] = "write", [DURABILITY_NONE] = "none"};
    log_info("ready", "address=%s durability=%s map=%s", address, modes[serve->config.durability],
             serve->map.text);
    *announced = true;
}

static const char *signal_text(int number) {
    ASSERT(number == SIGTERM || number == SIGINT);
    return number == SIGTERM ? "SIGTERM" : "SIGINT";
}

/* The next signal; 0: none within a second, or there was an interruption.  Until clients are served
 * what the node says of itself is written meanwhile. */
static int signal_next(const struct serve *serve, const sigset_t *signals, bool announced) {
    static const struct timespec second = {.tv_sec = 1};
    int number = 0;
    if (announced) {
        return sigwait(signals, &number) == 0 ? number : 0;
    }
    status_file_write(serve->gauge_path, serve->node, &serve->config);
    number = sigtimedwait(signals, NULL, &second);
    return number > 0 ? number : 0;
}

/* Sleeps until there is a reason to stop, and names it. */
static const char *wait_for_end(const struct serve *serve, const sigset_t *signals) {
    bool announced = false;
    for (;;) {
        log_ready(serve, &announced);
        if (announced) {
            status_file_remove(serve->gauge_path);
        }
        /* Partners: the releases of whoever rang; each store comes before its bell. */
        if (atomic_load_acquire_u32(&serve->node->signals.failed) != 0) {
            return "failure";
        }
        if (atomic_load_acquire_u32(&serve->node->signals.shutdown_requested) != 0) {
            return "SHUTDOWN";
        }
        int number = signal_next(serve, signals, announced);
        if (number != 0 && number != SIGUSR1) {
            return signal_text(number);
        }
    }
}

/* The starter's life. */
static void *starter_main(void *context) {
    struct serve *serve = context;
    int status = set_up(serve, &serve->start_error);
    if (status == 0) {
        log_start(serve);
        status = pipeline_start(serve->pipeline, &serve->start_error);
    }
    serve->start_status = status;
    atomic_store_release_u32(&serve->started, 1); /* partner: the acquire in wait_for_start */
    wake_main(serve);
    return NULL;
}

/* Ends the process while the starter is still at work. */
static _Noreturn void leave(struct serve *serve, int signal_number) {
    (void)pthread_mutex_lock(&serve->directory_whole);
    if (atomic_load_acquire_u32(&serve->gauges_named) != 0) {
        /* If the starter makes the file only now, this node's next life removes it. */
        (void)unlink(serve->gauge_path);
    }
    log_info("stopped", "reason=\"%s while starting\"", signal_text(signal_number));
    _exit(0);
}

/*
 * Starts the node on a thread of its own: that takes as long as the log is long or a name server is
 * slow, and the main thread has to hear SIGTERM meanwhile.  Returns when all is ready to run, or
 * could not be started.
 */
static int wait_for_start(struct serve *serve, const sigset_t *signals, struct error_text *error) {
    pthread_t starter;
    if (pthread_create(&starter, NULL, starter_main, serve) != 0) {
        error_text_set(error, "cannot start a thread: raise the limit of processes (ulimit -u)");
        return WEIR_ENOMEM;
    }
    while (atomic_load_acquire_u32(&serve->started) == 0) {
        int number = 0;
        if (sigwait(signals, &number) == 0 && number != SIGUSR1) {
            leave(serve, number);
        }
    }
    (void)pthread_join(starter, NULL);
    *error = serve->start_error;
    return serve->start_status;
}

/* From the start to the end; 0 or the error that ended it.  What was made is left to tear_down. */
static int run(struct serve *serve, const sigset_t *signals, struct error_text *error) {
    int status = wait_for_start(serve, signals, error);
    if (status != 0) {
        return status;
    }
    /* A signal that came until now waits for wait_for_end. */
    pipeline_run(serve->pipeline);
    log_info("stopping", "reason=%s", wait_for_end(serve, signals));
    status_file_remove(serve->gauge_path);
    pipeline_stop(serve->pipeline);
    /* From here on a second signal is taken at its word; a bell may still ring. */
    sigset_t terminating = *signals;
    (void)sigdelset(&terminating, SIGUSR1);
    (void)pthread_sigmask(SIG_UNBLOCK, &terminating, NULL);
    return pipeline_join(serve->pipeline, error);
}

/* Before any thread is made, since they inherit it: who rings or asks for the end before the main
 * thread listens is heard when it does. */
static void block_signals(sigset_t *signals) {
    (void)sigemptyset(signals);
    (void)sigaddset(signals, SIGTERM);
    (void)sigaddset(signals, SIGINT);
    (void)sigaddset(signals, SIGUSR1);
    (void)pthread_sigmask(SIG_BLOCK, signals, NULL);
}

int serve_main(int argc, char **argv) {
    static struct serve serve; /* one node a process; too large for a stack */
    struct error_text error = {.text = ""};
    sigset_t signals;
    if (asks_for_help(argc, argv)) {
        (void)fputs(usage, stdout);
        return 0;
    }
    int status = configure(&serve.config, argc, argv, &error);
    if (status == 0) {
        status = config_cluster_check(&serve.config, &error);
    }
    if (status == 0) {
        status = serve_host_exposure(&serve.config, &error);
    }
    if (status == 0) {
        status = choose_map(&serve, &error);
    }
    if (status != 0) {
        (void)fprintf(stderr, "weir serve: %s\n", error.text);
        return EXIT_USAGE;
    }
    (void)pthread_mutex_init(&serve.directory_whole, NULL);
    serve.data_directory = -1;
    serve.main_thread = pthread_self();
    serve.shows_progress = isatty(STDERR_FILENO) == 1;
    config_address(&serve.config, serve.address);
    log_level_set(serve.config.log_level);
    block_signals(&signals);
    (void)signal(SIGPIPE, SIG_IGN);
    status = run(&serve, &signals, &error);
    tear_down(&serve);
    if (status != 0) {
        (void)fprintf(stderr, "weir serve: %s\n", error.text);
        return EXIT_FAILED;
    }
    log_info("stopped", "pid=%ld", (long)getpid());
    return 0;
}
