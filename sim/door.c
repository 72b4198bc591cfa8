/*
 * The loop of a simulated door: ports, submission, delivery, timers, handles.
 *
 * The happy path: a start function puts an operation into the door's list.  io_poll submits the
 * list in order, and each operation then belongs to the network or the disk, which complete it by
 * an event into the door's queue.  io_poll delivers that queue, in order, to the mailboxes.
 *
 * A full mailbox stops delivery for the whole door, exactly as unread completions in the ring of
 * the io_uring door do.
 *
 * io_park lets the world go on until there is something for this door, so that code which waits
 * (recovery, tools) runs unchanged.  A simulation of many nodes never parks: it asks
 * world_io_ready, and steps the world itself.
 */

#include "sim/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where io_create makes doors: see world_enter. */
static struct {
    struct world *world;
    uint32_t node;
} entered;

void world_enter(struct world *world, uint32_t node) {
    ASSERT(world == NULL || node < world->nodes_count);
    entered.world = world;
    entered.node = node;
}

/* ---- handles ----------------------------------------------------------------------------- */

int32_t handle_new(struct node *node, enum handle_sort sort) {
    ASSERT(sort != HANDLE_FREE);
    uint32_t at = WORLD_HANDLE_FIRST;
    while (at < node->handles_count && node->handles[at].sort != HANDLE_FREE)
        at++;
    if (at >= node->handles_count) {
        uint32_t wanted = at + 64;
        struct handle *grown = realloc(node->handles, wanted * sizeof(*grown));
        ASSERT(grown != NULL);
        memset(grown + node->handles_count, 0, (wanted - node->handles_count) * sizeof(*grown));
        node->handles = grown;
        node->handles_count = wanted;
    }
    node->handles[at] = (struct handle){.sort = sort};
    return (int32_t)at;
}

struct handle *handle_get(struct node *node, int32_t handle, enum handle_sort sort) {
    ASSERT(handle >= 0 && (uint32_t)handle < node->handles_count);
    ASSERT(node->handles[handle].sort == sort);
    return &node->handles[handle];
}

/* No operation of any door of the node may refer to a handle that is closed. */
static void handle_check_idle(const struct node *node, int32_t handle) {
    for (uint32_t i = 0; i < WORLD_DOORS_MAX; i++) {
        for (uint32_t j = 0; node->doors[i] != NULL && j < WORLD_PORTS_MAX; j++) {
            const struct io_port *port = node->doors[i]->ports[j];
            if (port == NULL)
                continue;
            for (const struct sim_operation *each = port->operations; each; each = each->next)
                ASSERT(each->handle != handle || each->kind == 0);
        }
    }
}

void io_close(struct io *io, int32_t handle) {
    if (io->dead)
        return;
    struct node *node = io->node;
    ASSERT(handle >= 0 && (uint32_t)handle < node->handles_count);
    handle_check_idle(node, handle);
    struct handle closed = node->handles[handle];
    node->handles[handle] = (struct handle){0};
    switch (closed.sort) {
    case HANDLE_FREE: UNREACHABLE("a handle is closed once");
    case HANDLE_LISTENER: listener_close(closed.listener); break;
    case HANDLE_SOCKET: side_close(closed.connection, closed.side); break;
    case HANDLE_FILE: file_release(closed.file, true); break;
    case HANDLE_DIRECTORY:
        if (closed.directory->locked_by == handle)
            closed.directory->locked_by = -1;
        break;
    }
}

/* The simulated kernel takes no time for it. */
void io_socket_close(struct io *io, int32_t socket) {
    io_close(io, socket);
}

/* Nor for a call. */
bool io_called(const struct io *io) {
    (void)io;
    return false;
}

/* ---- doors and ports --------------------------------------------------------------------- */

struct io *world_io(struct world *world, uint32_t node) {
    struct node *host = world_node(world, node);
    uint32_t index = 0;
    while (index < WORLD_DOORS_MAX && host->doors[index] != NULL)
        index++;
    ASSERT(index < WORLD_DOORS_MAX);
    struct io *io = world_allocate(1, sizeof(*io));
    io->node = host;
    io->index = index;
    io->features = IO_FEATURE_DIRECT_WRITE;
    io->submit_last = &io->submit_first;
    host->doors[index] = io;
    return io;
}

int io_create(struct io **out, const struct io_options *options, struct error_text *error) {
    if (entered.world == NULL) {
        error_text_set(error, "no node of a simulated world was entered");
        return WEIR_EUNSUPPORTED;
    }
    *out = world_io(entered.world, entered.node);
    (*out)->features &= options->features_allowed;
    return 0;
}

void io_adopt(struct io *io) {
    for (uint32_t i = 0; i < WORLD_PORTS_MAX; i++)
        ASSERT(io->ports[i] == NULL || io->dead || io->ports[i]->outstanding == 0);
}

uint32_t io_features(const struct io *io) {
    return io->features;
}

int io_port_create(struct io *io, struct io_port **out, uint32_t operations_max) {
    uint32_t index = 0;
    while (index < WORLD_PORTS_MAX && io->ports[index] != NULL)
        index++;
    ASSERT(index < WORLD_PORTS_MAX);
    struct io_port *port = world_allocate(1, sizeof(*port));
    int status = io_mailbox_create(&port->mailbox, operations_max);
    ASSERT(status == 0);
    port->io = io;
    port->index = index;
    port->operations_max = operations_max;
    io->ports[index] = port;
    if (io->ports_high <= index)
        io->ports_high = index + 1;
    *out = port;
    return 0;
}

static void port_free(struct io_port *port) {
    port->io->ports[port->index] = NULL;
    io_mailbox_destroy(&port->mailbox);
    free(port);
}

void io_port_destroy(struct io_port *port) {
    if (!port->io->dead) {
        ASSERT(port->outstanding == 0);
        ASSERT(io_mailbox_count(&port->mailbox) == 0);
    }
    ASSERT(port->operations == NULL);
    port_free(port);
}

void door_free(struct io *io) {
    for (uint32_t i = 0; i < WORLD_PORTS_MAX; i++)
        if (io->ports[i] != NULL)
            port_free(io->ports[i]);
    free(io->queue);
    for (uint32_t group = 0; group < IO_BUFFER_GROUPS; group++) {
        free(io->buffers[group].free);
        free(io->buffers[group].filled);
        free(io->buffers[group].taken);
    }
    free(io);
}

void io_destroy(struct io *io) {
    for (uint32_t i = 0; i < WORLD_PORTS_MAX; i++)
        ASSERT(io->ports[i] == NULL);
    struct world *world = io->node->world;
    if (io->dead) {
        uint32_t i = 0;
        while (world->dead_doors[i] != io)
            i++;
        world->dead_doors[i] = world->dead_doors[--world->dead_doors_count];
    } else {
        io->node->doors[io->index] = NULL;
    }
    door_free(io);
}

void door_kill(struct io *io) {
    io->dead = true;
    io->submit_first = NULL;
    io->submit_last = &io->submit_first;
    io->queue_count = 0;
    for (uint32_t i = 0; i < WORLD_PORTS_MAX; i++) {
        struct io_port *port = io->ports[i];
        if (port == NULL)
            continue;
        port->timer_set = false;
        while (port->operations != NULL) {
            struct sim_operation *operation = port->operations;
            if (!operation->scheduled) {
                operation_free(operation);
                continue;
            }
            /* The event that refers to it frees it. */
            operation->dead = true;
            port->operations = operation->next;
            if (operation->next != NULL)
                operation->next->link = &port->operations;
            operation->link = NULL;
        }
    }
}

/* ---- operations -------------------------------------------------------------------------- */

struct sim_operation *operation_start(struct io_port *port, uint8_t kind, int32_t handle,
                                      uint64_t user) {
    ASSERT(!port->io->dead);
    if (kind != 0) {
        ASSERT(port->outstanding < port->operations_max);
        port->outstanding++;
    }
    struct sim_operation *operation = world_allocate(1, sizeof(*operation));
    operation->port = port;
    operation->id = port->io->node->world->next_id++;
    operation->kind = kind;
    operation->handle = handle;
    operation->user = user;
    operation->link = &port->operations;
    operation->next = port->operations;
    if (operation->next != NULL)
        operation->next->link = &operation->next;
    port->operations = operation;
    *port->io->submit_last = operation;
    port->io->submit_last = &operation->submit_next;
    return operation;
}

void operation_free(struct sim_operation *operation) {
    if (operation->link != NULL) {
        *operation->link = operation->next;
        if (operation->next != NULL)
            operation->next->link = operation->link;
    }
    free(operation);
}

void operation_complete(struct sim_operation *operation, int32_t result, uint8_t flags,
                        uint32_t buffer) {
    struct io *io = operation->port->io;
    ASSERT(!io->dead && !operation->dead);
    uint64_t capacity = io->queue_capacity;
    if (io->queue_head > 0 && io->queue_count == 0)
        io->queue_head = 0;
    io->queue =
        world_grow(io->queue, io->queue_head + io->queue_count, &capacity, sizeof(*io->queue));
    io->queue_capacity = (uint32_t)capacity;
    io->queue[io->queue_head + io->queue_count++] = (struct queued_completion){
        .port = operation->port,
        .completion = {.user = operation->user,
                       .result = result,
                       .buffer = buffer,
                       .kind = operation->kind,
                       .flags = flags},
    };
    world_note(io->node->world, "complete", operation->id, operation->kind, result);
    if (!(flags & IO_MORE))
        operation_free(operation);
}

static void submit_all(struct io *io) {
    while (io->submit_first != NULL) {
        struct sim_operation *operation = io->submit_first;
        io->submit_first = operation->submit_next;
        if (io->submit_first == NULL)
            io->submit_last = &io->submit_first;
        world_note(io->node->world, "submit", operation->id, operation->kind, operation->handle);
        if (operation->kind <= IO_SEND)
            socket_submit(operation);
        else
            file_submit(operation);
    }
}

/* ---- timers ------------------------------------------------------------------------------ */

static void timer_complete(struct io_port *port, int32_t result) {
    ASSERT(port->timer_set);
    port->timer_set = false;
    io_mailbox_put(
        &port->mailbox,
        (struct io_completion){.user = port->timer_user, .result = result, .kind = IO_TIMER});
    port->io->posted++;
    world_note(port->io->node->world, "timer", port->io->node->number, port->index, result);
}

void io_timer_set(struct io_port *port, uint64_t deadline_ns, uint64_t user) {
    if (port->io->dead)
        return;
    ASSERT(port->outstanding < port->operations_max);
    if (port->timer_set)
        timer_complete(port, -ECANCELED);
    port->outstanding++;
    port->timer_set = true;
    port->timer_deadline_ns = deadline_ns;
    port->timer_user = user;
    struct node *node = port->io->node;
    uint64_t time_ns = node_world_time_ns(node, deadline_ns);
    if (time_ns != UINT64_MAX)
        world_schedule(node->world, time_ns - node->world->now_ns, world_time_comes, NULL, 0);
}

void io_timer_stop(struct io_port *port) {
    if (!port->io->dead && port->timer_set)
        timer_complete(port, -ECANCELED);
}

static bool timer_due(const struct io_port *port) {
    return port != NULL && port->timer_set &&
           port->timer_deadline_ns <= node_monotonic_ns(port->io->node);
}

/* ---- the loop ---------------------------------------------------------------------------- */

uint32_t io_take(struct io_port *port, struct io_completion *completions, uint32_t max) {
    if (port->io->dead || port->io->node->paused)
        return 0;
    return io_mailbox_take(&port->mailbox, completions, max, &port->outstanding);
}

uint32_t io_outstanding(const struct io_port *port) {
    return port->io->dead ? 0 : port->outstanding;
}

/* Whether the oldest completion could be delivered. */
static bool queue_moves(const struct io *io) {
    return io->queue_count > 0 && !io_mailbox_full(&io->queue[io->queue_head].port->mailbox);
}

uint32_t io_poll(struct io *io) {
    if (io->dead || io->node->paused)
        return 0;
    submit_all(io);
    for (uint32_t i = 0; i < io->ports_high; i++)
        if (timer_due(io->ports[i]))
            timer_complete(io->ports[i], 0);
    while (queue_moves(io)) {
        const struct queued_completion *queued = &io->queue[io->queue_head++];
        io->queue_count--;
        io_mailbox_put(&queued->port->mailbox, queued->completion);
        io->posted++;
    }
    uint32_t posted = io->posted;
    io->posted = 0;
    return posted;
}

bool world_io_ready(const struct io *io) {
    if (io->dead || io->node->paused)
        return false;
    bool due = false;
    for (uint32_t i = 0; i < io->ports_high; i++)
        due = due || timer_due(io->ports[i]);
    return due || io->posted > 0 || io->submit_first != NULL || io->woken || queue_moves(io);
}

uint32_t io_park(struct io *io, uint64_t timeout_ns) {
    if (io->dead)
        return 0;
    struct world *world = io->node->world;
    uint64_t until_ns = UINT64_MAX;
    if (timeout_ns < UINT64_MAX - node_monotonic_ns(io->node))
        until_ns = node_world_time_ns(io->node, node_monotonic_ns(io->node) + timeout_ns);
    uint32_t posted = io_poll(io);
    uint32_t waiting = io->queue_count; /* for room in a mailbox */
    while (posted == 0 && !io->woken && world->now_ns < until_ns) {
        if (!world_step_until(world, until_ns))
            break;
        if (io->dead)
            return 0;
        if (io->queue_count > waiting || world_io_ready(io))
            posted = io_poll(io);
        if (io->queue_count > waiting)
            break;
    }
    io->woken = false;
    return posted;
}

uint32_t io_park_gathering(struct io *io, uint64_t gather_ns) {
    (void)gather_ns; /* what is gathered is what the world delivers at one moment */
    return io_park(io, UINT64_MAX);
}

void io_wake(struct io *io) {
    io->woken = true;
}

struct io_completion io_wait(struct io_port *port) {
    struct io_completion completion;
    while (io_take(port, &completion, 1) == 0) {
        ASSERT(!port->io->dead && port->outstanding > 0);
        io_park(port->io, UINT64_MAX);
        if (!world_io_ready(port->io) && io_mailbox_count(&port->mailbox) == 0 &&
            port->io->node->world->events_count == 0)
            UNREACHABLE("the world has come to rest, and what is waited for has not happened");
    }
    return completion;
}

/* ---- time and entropy -------------------------------------------------------------------- */

uint64_t io_monotonic_ns(struct io *io) {
    return node_monotonic_ns(io->node);
}

uint64_t io_wall_ms(struct io *io) {
    return node_wall_ms(io->node);
}

void io_entropy(struct io *io, void *memory, size_t length_bytes) {
    uint8_t *at = memory;
    for (size_t i = 0; i < length_bytes; i++)
        at[i] = (uint8_t)random_u64(&io->node->world->random);
}
