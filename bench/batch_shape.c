/*
 * The server of bench/batch_shape.h: its memory, its threads, and what it tells at the end.
 *
 *     batch_shape SHAPE MAP ADDRESS [LOG-DIRECTORY]
 *
 * SHAPE is connection or round; MAP is fused (one thread), pair (order and apply have a thread of
 * their own) or split (seven).  Threads run on the CPUs that the process may use: taskset.  With a
 * log directory, writes are answered when they are on disk.  It serves until SIGTERM or SIGINT and
 * then prints its figures as one line of JSON.
 *
 *     batch_shape entries
 *
 * prints instead what sealing costs: nanoseconds and bytes a command, by commands an entry.
 *
 * Failure modes: what cannot be started is said, and the exit status is 1; usage is 2.
 */

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "bench/batch_shape.h"

enum {
    LISTEN_BACKLOG = 1024,
    /* Rooms of the same size whose beginnings share a cache set would evict each other. */
    ROOM_SKEW_BYTES = 5 * CACHE_LINE_BYTES,
    /* An armed receive each, buffers that wait in the mailbox, the accept. */
    READ_OPERATIONS_MAX = CONNECTIONS_MAX + BUFFER_COUNT + 1,
};

static const char *const step_names[STEP_COUNT] = {"read",  "parse", "judge", "order",
                                                   "apply", "reply", "send"};
static const char *const ring_names[STEP_COUNT] = {"send_read",   "read_parse",  "parse_judge",
                                                   "judge_order", "order_apply", "apply_reply",
                                                   "reply_send"};

static const struct {
    const char *name;
    uint32_t core_count;
    uint8_t core_of[STEP_COUNT];
} maps[] = {
    {"fused", 1, {0}},
    {"pair", 2, {[STEP_ORDER] = 1, [STEP_APPLY] = 1}},
    {"split", STEP_COUNT, {0, 1, 2, 3, 4, 5, 6}},
};

/* ---- threads ------------------------------------------------------------------------------- */

/* Wakes the core behind a step that has published; bells are for other cores only. */
static void ring_bell(struct core *core, uint32_t step) {
    struct server *server = core->server;
    const struct ring *out = server->rings[(step + 1) % STEP_COUNT];
    struct core *next = &server->cores[server->core_of[(step + 1) % STEP_COUNT]];
    if (next != core && out->tail_own != server->bell_tails[step]) {
        server->bell_tails[step] = out->tail_own;
        doorbell_ring(&next->doorbell);
    }
}

static uint32_t core_round(struct core *core) {
    struct server *server = core->server;
    uint32_t work = io_poll(core->io);
    for (uint32_t step = 0; step < STEP_COUNT; step++) {
        if (server->core_of[step] == core->index) {
            uint32_t moved = step_polls[step](server);
            if (moved > 0) {
                ring_bell(core, step);
            }
            work += moved;
        }
    }
    return work;
}

static void *core_main(void *argument) {
    struct core *core = argument;
    io_adopt(core->io);
    if (core->index == core->server->core_of[STEP_READ]) {
        io_accept_start(core->server->ports[STEP_READ], core->server->listener, UINT64_MAX);
    }
    /* Partner: the release in serve. */
    while (atomic_load_acquire_u32(&core->server->stop) == 0) {
        if (core_round(core) > 0 || !doorbell_prepare(&core->doorbell)) {
            continue;
        }
        if (core_round(core) == 0 && atomic_load_acquire_u32(&core->server->stop) == 0) {
            io_park(core->io, UINT64_MAX);
        }
        doorbell_finish(&core->doorbell);
    }
    return NULL;
}

static void core_wake(void *context) {
    io_wake(((struct core *)context)->io);
}

static int membarrier_call(int command) {
    return (int)syscall(SYS_membarrier, command, 0, 0);
}

/* ---- memory -------------------------------------------------------------------------------- */

/* Zeroed memory that begins a page; it costs nothing until it is touched. */
static void *reserve(size_t bytes) {
    void *memory = calloc(1, bytes + 4096);
    if (memory == NULL) {
        fprintf(stderr, "batch_shape: no memory for %zu bytes\n", bytes);
        exit(1);
    }
    return (void *)ALIGN_UP((uintptr_t)memory, (uintptr_t)4096);
}

static void lay_out(struct server *server) {
    size_t spans = (size_t)server->batch_count * server->spans_max;
    size_t span_commands = (size_t)server->spans_max * SPAN_COMMANDS_MAX;
    size_t command_room = span_commands * sizeof(struct command) + ROOM_SKEW_BYTES;
    size_t value_room = span_commands * VALUE_BYTES_MAX + ROOM_SKEW_BYTES;
    size_t reply_room = span_commands * REPLY_BYTES_MAX + ROOM_SKEW_BYTES;
    server->batches = reserve(server->batch_count * sizeof(struct batch));
    server->spans = reserve(spans * sizeof(struct span));
    uint8_t *commands = reserve(server->batch_count * command_room);
    uint8_t *values = reserve(server->batch_count * value_room);
    uint8_t *replies = reserve(server->batch_count * reply_room);
    for (uint32_t i = 0; i < server->batch_count; i++) {
        server->batches[i] = (struct batch){.id = i,
                                            .spans = server->spans + (size_t)i * server->spans_max,
                                            .commands = (void *)(commands + i * command_room),
                                            .values = values + i * value_room,
                                            .replies = replies + i * reply_room};
        for (uint32_t s = 0; s < server->spans_max; s++) {
            server->batches[i].spans[s].batch = i;
        }
    }
    server->buffers = reserve((size_t)BUFFER_COUNT * BUFFER_BYTES);
    server->joined = reserve((size_t)BUFFER_COUNT * JOINED_BYTES);
    server->carry = reserve(sizeof(uint8_t[CONNECTIONS_MAX][BUFFER_BYTES]));
    server->log = reserve(LOG_BYTES);
    server->table = reserve(TABLE_SLOTS * sizeof(struct table_slot));
    server->senders = reserve(CONNECTIONS_MAX * sizeof(struct send_connection));
    for (uint32_t i = 0; i < CONNECTIONS_MAX; i++) {
        server->connections[i].socket = NONE;
        server->senders[i].head = NONE;
    }
    for (uint32_t i = 0; server->by_round && i < ROUND_BATCHES; i++) {
        server->free_batches[server->free_count++] = ROUND_BATCHES - 1 - i;
    }
    for (uint32_t step = 0; step < STEP_COUNT; step++) {
        struct ring_setup setup = {.name = ring_names[step],
                                   .capacity = RING_ITEMS,
                                   .item_bytes = sizeof(uint32_t),
                                   .sequence_first = RING_SEQUENCE_FIRST,
                                   .gauge = &server->gauges[step]};
        server->rings[step] = ring_init(reserve(ring_bytes(RING_ITEMS, sizeof(uint32_t))), &setup);
        server->bell_tails[(step + STEP_COUNT - 1) % STEP_COUNT] = RING_SEQUENCE_FIRST;
    }
    resp_limits_default(&server->limits);
    server->tail = entry_tail_origin();
}

/* ---- doors --------------------------------------------------------------------------------- */

static int32_t completed(struct server *server, const char *what) {
    struct io_completion completion;
    while (io_take(server->ports[STEP_ORDER], &completion, 1) == 0) {
        io_park(server->cores[server->core_of[STEP_ORDER]].io, UINT64_MAX);
    }
    if (completion.result < 0) {
        fprintf(stderr, "batch_shape: log: %s: %s\n", what, strerror(-completion.result));
        exit(1);
    }
    return completion.result;
}

/* A file of the log's length whose blocks exist, so that a write's sync is the data's alone. */
static int log_open(struct server *server, const char *path, struct error_text *error) {
    struct io_port *port = server->ports[STEP_ORDER];
    struct io *io = server->cores[server->core_of[STEP_ORDER]].io;
    int32_t directory;
    int status = io_directory_open(io, path, true, &directory, error);
    if (status != WEIR_OK) {
        return status;
    }
    io_file_open(port, directory, "batch_shape.log", IO_OPEN_WRITE | IO_OPEN_CREATE, 0);
    server->log_file = completed(server, "open batch_shape.log");
    server->write_piece = (struct iovec){server->log, LOG_BYTES};
    io_file_write(port, server->log_file, &server->write_piece, 1, 0, IO_SYNC, 0);
    completed(server, "write");
    return WEIR_OK;
}

static int open_doors(struct server *server, const char *address, const char *log_path,
                      struct error_text *error) {
    const struct io_options options = {
        .submissions_max = 4096, .completions_max = 16384, .features_allowed = IO_FEATURES_ALL};
    static const uint32_t operations_max[STEP_COUNT] = {
        [STEP_READ] = READ_OPERATIONS_MAX, [STEP_ORDER] = 1, [STEP_SEND] = CONNECTIONS_MAX};
    struct doorbell_barrier barrier;
    doorbell_barrier_choose(&barrier, server->core_count > 1 ? membarrier_call : NULL);
    for (uint32_t i = 0; i < server->core_count; i++) {
        struct core *core = &server->cores[i];
        core->server = server;
        core->index = i;
        doorbell_init(&core->doorbell, &barrier, core_wake, core);
        int status = io_create(&core->io, &options, error);
        if (status != WEIR_OK) {
            return status;
        }
    }
    for (uint32_t step = 0; step < STEP_COUNT; step++) {
        struct io *io = server->cores[server->core_of[step]].io;
        if (operations_max[step] > 0 &&
            io_port_create(io, &server->ports[step], operations_max[step]) != WEIR_OK) {
            error_text_set(error, "no memory for the port of %s", step_names[step]);
            return WEIR_ENOMEM;
        }
    }
    struct io *io = server->cores[server->core_of[STEP_READ]].io;
    int status = io_buffers_register(io, 0, server->buffers, BUFFER_BYTES, BUFFER_COUNT,
                                     BUFFER_COUNT, error);
    if (status == WEIR_OK) {
        status = io_listen(io, address, LISTEN_BACKLOG, &server->listener, error);
    }
    if (status == WEIR_OK && log_path != NULL) {
        status = log_open(server, log_path, error);
    }
    return status;
}

/* ---- the program --------------------------------------------------------------------------- */

static void report(const struct server *server) {
    const struct figures *figures = &server->figures;
    printf("{\"rounds\": %llu, \"spans\": %llu, \"batches\": %llu, \"commands\": %llu, "
           "\"writes\": %llu, \"entries\": %llu, \"log_bytes\": %llu, \"file_writes\": %llu, "
           "\"sends\": %llu}\n",
           (unsigned long long)figures->rounds, (unsigned long long)figures->spans,
           (unsigned long long)figures->batches, (unsigned long long)figures->commands,
           (unsigned long long)figures->writes, (unsigned long long)figures->entries,
           (unsigned long long)figures->log_bytes, (unsigned long long)figures->file_writes,
           (unsigned long long)figures->sends);
}

/* Runs the threads until a signal comes.  The kernel takes back sockets, doors and memory. */
static int serve(struct server *server) {
    sigset_t ends;
    pthread_t threads[STEP_COUNT];
    int signal_number;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    for (uint32_t i = 0; i < server->core_count; i++) {
        if (pthread_create(&threads[i], NULL, core_main, &server->cores[i]) != 0) {
            fprintf(stderr, "batch_shape: no thread\n");
            exit(1);
        }
    }
    sigwait(&ends, &signal_number);
    atomic_store_release_u32(&server->stop, 1); /* partner: core_main */
    for (uint32_t i = 0; i < server->core_count; i++) {
        io_wake(server->cores[i].io);
    }
    for (uint32_t i = 0; i < server->core_count; i++) {
        pthread_join(threads[i], NULL);
    }
    report(server);
    return 0;
}

/* Sealing alone: SETs of a 16 byte key and a 64 byte value, `count` an entry. */
static void entry_cost(uint32_t count) {
    enum { COMMANDS = 4 * 1000 * 1000, KEY_BYTES = 16 };
    static uint8_t log[1024 * 1024] __attribute__((aligned(64)));
    static const uint8_t text[VALUE_BYTES_MAX] = {1};
    const struct entry_argument arguments[2] = {{text, KEY_BYTES}, {text, VALUE_BYTES_MAX}};
    const uint64_t key_hash = 1;
    struct entry_tail tail = entry_tail_origin();
    uint64_t bytes = 0;
    uint64_t begun_ns = clock_thread_cpu_ns();
    uint32_t entries = COMMANDS / count;
    for (uint32_t i = 0; i < entries; i++) {
        uint8_t *entry = log + bytes % (sizeof(log) / 2); /* the other half: room for the last */
        uint8_t *out = entry + ENTRY_HEADER_BYTES;
        for (uint32_t c = 0; c < count; c++) {
            out += entry_command_write(out, 1, arguments, 2, &key_hash, 1);
        }
        struct entry_header header = {.length_bytes = (uint32_t)(out - entry),
                                      .kind = ENTRY_COMMANDS,
                                      .version = ENTRY_VERSION,
                                      .command_count = (uint16_t)count,
                                      .term = 1};
        entry_seal(entry, &header, &tail);
        bytes += entry_stride_bytes(header.length_bytes);
    }
    double commands = (double)entries * count;
    printf("%3u commands an entry: %6.1f ns and %6.1f bytes a command\n", count,
           (double)(clock_thread_cpu_ns() - begun_ns) / commands, (double)bytes / commands);
}

int main(int argc, char **argv) {
    static struct server server;
    struct error_text error = {{0}};
    if (argc == 2 && strcmp(argv[1], "entries") == 0) {
        for (uint32_t count = 1; count <= 64; count *= 2) {
            entry_cost(count);
        }
        return 0;
    }
    if (argc == 4 || argc == 5) {
        server.by_round = strcmp(argv[1], "round") == 0;
        bool is_shape = server.by_round || strcmp(argv[1], "connection") == 0;
        for (uint32_t i = 0; is_shape && i < ARRAY_COUNT(maps); i++) {
            if (strcmp(argv[2], maps[i].name) == 0) {
                server.core_count = maps[i].core_count;
                memcpy(server.core_of, maps[i].core_of, sizeof(server.core_of));
            }
        }
    }
    if (server.core_count == 0) {
        fprintf(stderr, "usage: batch_shape connection|round fused|pair|split HOST:PORT [LOG-DIR]\n"
                        "       batch_shape entries\n");
        return 2;
    }
    server.spans_max = server.by_round ? ROUND_MAX : 1;
    server.batch_count = server.by_round ? ROUND_BATCHES : BUFFER_COUNT;
    server.log_file = NONE;
    lay_out(&server);
    if (open_doors(&server, argv[3], argc == 5 ? argv[4] : NULL, &error) != WEIR_OK) {
        fprintf(stderr, "batch_shape: %s\n", error.text);
        return 1;
    }
    return serve(&server);
}
