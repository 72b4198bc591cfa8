/*
 * Time, chance, nodes, and death.
 *
 * The happy path: what takes time puts an event into the heap; world_step takes the earliest one
 * out, moves time there, and runs it.  Two events of the same moment happen in the order of a
 * number drawn from the seed when they were scheduled: no order is relied upon by accident.
 *
 * Nothing in the simulated world reads a real clock, a pointer's value, or a thread's state: those
 * would make two runs of one seed differ.  The trace hash says whether they did.
 */

#include "sim/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"

static const uint64_t US_NS = 1000;
static const uint64_t MS_NS = 1000 * 1000;

/* ---- options ----------------------------------------------------------------------------- */

struct world_options world_options_calm(void) {
    return (struct world_options){
        .network_delay_ns_min = 5 * US_NS,
        .network_delay_ns_max = 200 * US_NS,
        .network_piece_bytes_max = 16384,
        .socket_send_bytes = 16384,
        .socket_receive_bytes = 16384,
        .disk_delay_ns_min = 20 * US_NS,
        .disk_delay_ns_max = 300 * US_NS,
        .disk_read_times = 1,
        .disk_parts_max = 3,
        .disk_alignment_bytes = 512,
        .disk_capacity_bytes = UINT64_C(64) << 30,
        .clock_drift_ppm_max = 100,
    };
}

struct world_options world_options_rough(void) {
    struct world_options options = world_options_calm();
    options.network_delay_ns_max = 30 * MS_NS;
    options.network_piece_bytes_max = 300;
    options.socket_send_bytes = 700;
    options.socket_receive_bytes = 500;
    options.send_partial_chance = 300;
    options.no_buffers_chance = 30;
    options.receive_end_chance = 50;
    options.accept_error_chance = 20;
    options.disk_delay_ns_max = 20 * MS_NS;
    options.disk_parts_max = 8;
    options.clock_drift_ppm_max = 1000;
    return options;
}

/* ---- memory, chance, trace --------------------------------------------------------------- */

void *world_allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    ASSERT(memory != NULL);
    return memory;
}

void *world_grow(void *array, uint64_t count, uint64_t *capacity, size_t size) {
    if (count < *capacity)
        return array;
    uint64_t wanted = *capacity == 0 ? 16 : 2 * *capacity;
    void *grown = realloc(array, wanted * size);
    ASSERT(grown != NULL);
    *capacity = wanted;
    return grown;
}

uint64_t world_random_between(struct world *world, uint64_t min, uint64_t max) {
    ASSERT(min <= max);
    return min + random_below(&world->random, max - min + 1);
}

bool world_chance(struct world *world, uint32_t in_a_thousand) {
    ASSERT(in_a_thousand <= 1000);
    return random_chance(&world->random, in_a_thousand, 1000);
}

void world_note(struct world *world, const char *what, uint64_t a, uint64_t b, int64_t c) {
    uint64_t fields[4] = {world->now_ns, a, b, (uint64_t)c};
    world->trace_hash = checksum_64(what, strlen(what), world->trace_hash);
    world->trace_hash = checksum_64(fields, sizeof(fields), world->trace_hash);
    if (world->trace == NULL)
        return;
    char line[160];
    snprintf(line, sizeof(line), "%12.6f ms  %-16s %" PRIu64 " %" PRIu64 " %" PRId64,
             (double)world->now_ns / 1e6, what, a, b, c);
    world->trace(world->trace_context, line);
}

uint64_t world_trace_hash(const struct world *world) {
    return world->trace_hash;
}

void world_trace_to(struct world *world, void (*each)(void *context, const char *line),
                    void *context) {
    world->trace = each;
    world->trace_context = context;
}

/* ---- events ------------------------------------------------------------------------------ */

static bool event_before(const struct world_event *a, const struct world_event *b) {
    return a->time_ns < b->time_ns || (a->time_ns == b->time_ns && a->tie < b->tie);
}

static void event_swap(struct world_event *a, struct world_event *b) {
    struct world_event copy = *a;
    *a = *b;
    *b = copy;
}

void world_schedule(struct world *world, uint64_t delay_ns,
                    void (*run)(struct world *world, void *object, uint64_t argument), void *object,
                    uint64_t argument) {
    uint64_t capacity = world->events_capacity;
    world->events =
        world_grow(world->events, world->events_count, &capacity, sizeof(*world->events));
    world->events_capacity = (uint32_t)capacity;
    uint32_t at = world->events_count++;
    world->events[at] = (struct world_event){.time_ns = world->now_ns + delay_ns,
                                             .tie = random_u64(&world->random),
                                             .run = run,
                                             .object = object,
                                             .argument = argument};
    while (at > 0 && event_before(&world->events[at], &world->events[(at - 1) / 2])) {
        event_swap(&world->events[at], &world->events[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static struct world_event event_take(struct world *world) {
    ASSERT(world->events_count > 0);
    struct world_event first = world->events[0];
    world->events[0] = world->events[--world->events_count];
    uint32_t at = 0;
    for (;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2; child++)
            if (child < world->events_count &&
                event_before(&world->events[child], &world->events[least]))
                least = child;
        if (least == at)
            return first;
        event_swap(&world->events[at], &world->events[least]);
        at = least;
    }
}

bool world_step(struct world *world) {
    return world->events_count > 0 && world_step_until(world, UINT64_MAX);
}

bool world_step_until(struct world *world, uint64_t time_ns) {
    if (world->events_count == 0 || world->events[0].time_ns > time_ns) {
        if (time_ns != UINT64_MAX && time_ns > world->now_ns)
            world->now_ns = time_ns;
        return false;
    }
    struct world_event event = event_take(world);
    ASSERT(event.time_ns >= world->now_ns);
    world->now_ns = event.time_ns;
    event.run(world, event.object, event.argument);
    return true;
}

uint64_t world_next_ns(const struct world *world) {
    return world->events_count == 0 ? UINT64_MAX : world->events[0].time_ns;
}

uint64_t world_now_ns(const struct world *world) {
    return world->now_ns;
}

/* ---- nodes and their clocks -------------------------------------------------------------- */

struct node *world_node(const struct world *world, uint32_t node) {
    ASSERT(node < world->nodes_count);
    return world->nodes[node];
}

uint32_t world_node_add(struct world *world) {
    ASSERT(world->nodes_count < WORLD_NODES_MAX);
    struct node *node = world_allocate(1, sizeof(*node));
    node->world = world;
    node->number = world->nodes_count;
    node->next_port_number = 20000;
    node->clock_anchor_ns = world->now_ns;
    node->clock_base_ns = world_random_between(world, 1000 * MS_NS, UINT64_C(1000000000) * MS_NS);
    uint64_t drift = world->options.clock_drift_ppm_max;
    node->clock_rate_ppm = (int32_t)world_random_between(world, 0, 2 * drift) - (int32_t)drift;
    uint64_t epoch_ms =
        world_random_between(world, UINT64_C(1700000000000), UINT64_C(1800000000000));
    node->wall_minus_monotonic_ns = (int64_t)(epoch_ms * MS_NS - node->clock_base_ns);
    node->disk.capacity_bytes = world->options.disk_capacity_bytes;
    node->disk.delay_ns_min = world->options.disk_delay_ns_min;
    node->disk.delay_ns_max = world->options.disk_delay_ns_max;
    node->disk.dies_at = UINT64_MAX;
    world->nodes[world->nodes_count] = node;
    return world->nodes_count++;
}

static uint64_t node_monotonic_at(const struct node *node, uint64_t time_ns) {
    uint64_t passed_ns = time_ns - node->clock_anchor_ns;
    /* In two parts, so that nothing overflows in a century. */
    int64_t wrong_ns = (int64_t)(passed_ns / 1000000) * node->clock_rate_ppm +
                       (int64_t)(passed_ns % 1000000) * node->clock_rate_ppm / 1000000;
    return node->clock_base_ns + passed_ns + (uint64_t)wrong_ns;
}

uint64_t node_monotonic_ns(const struct node *node) {
    return node_monotonic_at(node, node->world->now_ns);
}

uint64_t node_wall_ms(const struct node *node) {
    return (node_monotonic_ns(node) + (uint64_t)node->wall_minus_monotonic_ns) / MS_NS;
}

/* The first moment at which the node's clock shows at least this. */
uint64_t node_world_time_ns(const struct node *node, uint64_t monotonic_ns) {
    uint64_t shown_ns = node_monotonic_ns(node);
    if (monotonic_ns <= shown_ns)
        return node->world->now_ns;
    uint64_t left_ns = monotonic_ns - shown_ns;
    if (left_ns > UINT64_C(1) << 60)
        return UINT64_MAX;
    ASSERT(node->clock_rate_ppm > -1000000);
    int64_t signed_rate = INT64_C(1000000) + node->clock_rate_ppm;
    uint64_t rate = (uint64_t)signed_rate;
    uint64_t time_ns =
        node->world->now_ns + left_ns / rate * 1000000 + left_ns % rate * 1000000 / rate;
    while (node_monotonic_at(node, time_ns) < monotonic_ns)
        time_ns++;
    return time_ns;
}

void world_time_comes(struct world *world, void *object, uint64_t argument) {
    (void)world;
    (void)object;
    (void)argument; /* that time stops here is all: io_poll compares deadlines */
}

/* Sees to it that time stops at every timer of the node. */
static void node_timers_schedule(struct node *node) {
    for (uint32_t i = 0; i < WORLD_DOORS_MAX; i++) {
        for (uint32_t j = 0; node->doors[i] != NULL && j < WORLD_PORTS_MAX; j++) {
            const struct io_port *port = node->doors[i]->ports[j];
            if (port == NULL || !port->timer_set)
                continue;
            uint64_t time_ns = node_world_time_ns(node, port->timer_deadline_ns);
            if (time_ns != UINT64_MAX)
                world_schedule(node->world, time_ns - node->world->now_ns, world_time_comes, NULL,
                               0);
        }
    }
}

void world_clock_jump(struct world *world, uint32_t node, int64_t by_ms) {
    world_note(world, "clock jump", node, 0, by_ms);
    world_node(world, node)->wall_minus_monotonic_ns += by_ms * (int64_t)MS_NS;
}

void world_clock_rate(struct world *world, uint32_t node, int32_t ppm) {
    ASSERT(ppm >= -100000 && ppm <= 100000);
    world_note(world, "clock rate", node, 0, ppm);
    struct node *host = world_node(world, node);
    host->clock_base_ns = node_monotonic_ns(host);
    host->clock_anchor_ns = world->now_ns;
    host->clock_rate_ppm = ppm;
    node_timers_schedule(host);
}

/* ---- the world --------------------------------------------------------------------------- */

struct world *world_create(uint64_t seed, const struct world_options *options) {
    ASSERT(options->network_delay_ns_min <= options->network_delay_ns_max);
    ASSERT(options->disk_delay_ns_min <= options->disk_delay_ns_max);
    ASSERT(options->disk_read_times >= 1 && options->disk_read_times <= 1000);
    ASSERT(options->network_piece_bytes_max > 0 && options->disk_parts_max > 0);
    ASSERT(options->socket_send_bytes > 0 && options->socket_receive_bytes > 0);
    ASSERT(IS_POWER_OF_TWO(options->disk_alignment_bytes));
    ASSERT(options->disk_alignment_bytes >= 512 && options->disk_alignment_bytes <= 4096);
    ASSERT(options->clock_drift_ppm_max <= 100000 && options->network_flip_chance <= 1000);
    struct world *world = world_allocate(1, sizeof(*world));
    world->options = *options;
    world->now_ns = 1000 * MS_NS;
    random_seed(&world->random, seed);
    for (uint32_t from = 0; from <= WORLD_OUTSIDE; from++) {
        for (uint32_t to = 0; to <= WORLD_OUTSIDE; to++) {
            bool inside = from != WORLD_OUTSIDE && to != WORLD_OUTSIDE;
            world->links[from][to] =
                (struct link){.delay_ns_min = options->network_delay_ns_min,
                              .delay_ns_max = options->network_delay_ns_max,
                              .flip_chance = inside ? options->network_flip_chance : 0};
        }
    }
    world_note(world, "seed", seed, 0, 0);
    return world;
}

/* Frees what a dying world's pending events refer to, by letting them come. */
static void events_drop(struct world *world) {
    for (uint32_t i = 0; i < world->nodes_count; i++)
        world->nodes[i]->disk.stalled = false;
    while (world->events_count > 0) {
        struct world_event event = event_take(world);
        event.run(world, event.object, event.argument);
    }
}

void world_destroy(struct world *world) {
    world->ending = true;
    for (uint32_t i = 0; i < world->nodes_count; i++)
        world_kill(world, i);
    while (world->clients != NULL)
        world_client_close(world->clients);
    events_drop(world);
    while (world->connections != NULL)
        connection_free(world->connections);
    for (uint32_t i = 0; i < world->dead_doors_count; i++)
        door_free(world->dead_doors[i]);
    for (uint32_t i = 0; i < world->nodes_count; i++) {
        disk_free(world->nodes[i]);
        free(world->nodes[i]->handles);
        free(world->nodes[i]);
    }
    free(world->events);
    free(world);
}

/* ---- death ------------------------------------------------------------------------------- */

/* A process of this side has ended.  Between nodes now and then by a reset, as if bytes had been
 * left unread: clients have tests that count on the end. */
static void socket_end(struct connection *connection, uint32_t side) {
    bool inside = connection->sides[0].host != WORLD_OUTSIDE;
    if (inside && connection->established && world_chance(connection->world, 250))
        connection_break(connection, 1 - side);
    side_close(connection, side);
}

/* The processes of a node are gone: doors, then what their handles held. */
static void node_end(struct node *node, bool power_cut) {
    node->paused = false;
    node->halt = (struct halt){.left = 0};
    file_in_flight_end(node, power_cut);
    node->disk.dies_at = UINT64_MAX;
    for (uint32_t i = 0; i < WORLD_DOORS_MAX; i++) {
        if (node->doors[i] == NULL)
            continue;
        door_kill(node->doors[i]);
        ASSERT(node->world->dead_doors_count < ARRAY_COUNT(node->world->dead_doors));
        node->world->dead_doors[node->world->dead_doors_count++] = node->doors[i];
        node->doors[i] = NULL;
    }
    for (uint32_t i = 0; i < node->handles_count; i++) {
        struct handle *handle = &node->handles[i];
        switch (handle->sort) {
        case HANDLE_FREE: break;
        case HANDLE_LISTENER: listener_close(handle->listener); break;
        case HANDLE_SOCKET:
            if (power_cut)
                side_vanish(handle->connection, handle->side);
            else
                socket_end(handle->connection, handle->side);
            break;
        case HANDLE_FILE: file_release(handle->file, true); break;
        case HANDLE_DIRECTORY:
            if (handle->directory->locked_by == (int32_t)i)
                handle->directory->locked_by = -1;
            break;
        }
        *handle = (struct handle){0};
    }
}

void world_pause(struct world *world, uint32_t node, bool paused) {
    world_note(world, paused ? "pause" : "resume", node, 0, 0);
    world_node(world, node)->paused = paused;
}

bool world_paused(const struct world *world, uint32_t node) {
    return world_node(world, node)->paused;
}

void world_kill(struct world *world, uint32_t node) {
    world_note(world, "kill", node, 0, 0);
    node_end(world_node(world, node), false);
}

void world_crash(struct world *world, uint32_t node, enum world_power_cut cut) {
    world_note(world, "crash", node, 0, (int64_t)cut);
    struct node *host = world_node(world, node);
    node_end(host, true);
    disk_cut_power(host, cut);
}

void world_disk_lose(struct world *world, uint32_t node) {
    world_note(world, "disk lost", node, 0, 0);
    struct node *host = world_node(world, node);
    for (uint32_t i = 0; i < WORLD_DOORS_MAX; i++)
        ASSERT(host->doors[i] == NULL);
    ASSERT(host->disk.in_flight == NULL);
    disk_free(host);
}
