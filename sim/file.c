/*
 * io.h's files in the simulated world: delays, parts, faults.
 *
 * The happy path: a submitted operation takes effect at its first event, a write in several parts,
 * each at an event of its own, cut at sectors; then it completes.  A write with IO_SYNC becomes
 * durable at one more event after its last part.  What the caller lent is read when it takes
 * effect, not before, so memory that is reused too early does harm here as it does on Linux.
 *
 * Failure modes: whether an operation fails is decided when it is submitted, by the faults that the
 * test has ordered (world_disk_fail); of WORLD_DISK_OPENED when the file is there.  A failing write
 * stops after any of its parts.  A failing
 * sync abandons what it covered.  A disk that is dead fails everything; what was in flight then may
 * have reached it, or not, as with a power cut.
 */

#include "sim/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- faults ------------------------------------------------------------------------------ */

static bool disk_dead(const struct disk *disk) {
    return disk->sequence >= disk->dies_at;
}

/* Counts an operation of a sort; the error that it is to fail with, or 0. */
static int fault_take(struct disk *disk, enum world_disk_operation operation) {
    struct disk_fault *fault = &disk->faults[operation];
    if (fault->times == 0)
        return 0;
    if (fault->skip > 0) {
        fault->skip--;
        return 0;
    }
    fault->times--;
    return fault->error;
}

void world_disk_fail(struct world *world, uint32_t node, enum world_disk_operation operation,
                     uint32_t nth, uint32_t times, int error) {
    ASSERT(operation < WORLD_DISK_OPERATIONS && nth >= 1);
    ASSERT(error < 0 || times == 0);
    world_note(world, "fault", node, (uint64_t)operation, error);
    world_node(world, node)->disk.faults[operation] =
        (struct disk_fault){.skip = nth - 1, .times = times, .error = error};
}

void world_disk_die_after(struct world *world, uint32_t node, uint64_t steps) {
    struct disk *disk = &world_node(world, node)->disk;
    disk->dies_at = steps == UINT64_MAX ? steps : disk->sequence + steps;
}

uint64_t world_disk_steps(const struct world *world, uint32_t node) {
    return world_node(world, node)->disk.sequence;
}

void world_disk_delay(struct world *world, uint32_t node, uint64_t ns_min, uint64_t ns_max) {
    ASSERT(ns_min <= ns_max);
    world_note(world, "disk delay", node, ns_min, (int64_t)ns_max);
    world_node(world, node)->disk.delay_ns_min = ns_min;
    world_node(world, node)->disk.delay_ns_max = ns_max;
}

void world_disk_capacity(struct world *world, uint32_t node, uint64_t bytes) {
    world_note(world, "disk capacity", node, bytes, 0);
    world_node(world, node)->disk.capacity_bytes = bytes;
}

uint64_t world_disk_used_bytes(const struct world *world, uint32_t node) {
    return world_node(world, node)->disk.used_bytes;
}

/* ---- events of an operation -------------------------------------------------------------- */

static void operation_comes(struct world *world, void *object, uint64_t argument);

static void operation_schedule(struct sim_operation *operation) {
    struct node *node = operation->port->io->node;
    operation->scheduled = true;
    uint64_t delay_ns =
        world_random_between(node->world, node->disk.delay_ns_min, node->disk.delay_ns_max);
    if (operation->kind == IO_FILE_READ) {
        delay_ns *= node->world->options.disk_read_times;
    }
    world_schedule(node->world, delay_ns, operation_comes, operation, 0);
}

void world_disk_stall(struct world *world, uint32_t node, bool stalled) {
    world_note(world, "stall", node, stalled, 0);
    struct disk *disk = &world_node(world, node)->disk;
    disk->stalled = stalled;
    for (struct sim_operation *each = disk->in_flight; each != NULL && !stalled;
         each = each->disk_next) {
        if (each->held) {
            each->held = false;
            operation_schedule(each);
        }
    }
}

static void in_flight_remove(struct disk *disk, const struct sim_operation *operation) {
    struct sim_operation **at = &disk->in_flight;
    while (*at != operation)
        at = &(*at)->disk_next;
    *at = operation->disk_next;
}

static void disk_complete(struct sim_operation *operation, int64_t result) {
    in_flight_remove(&operation->port->io->node->disk, operation);
    if (operation->file != NULL)
        file_release(operation->file, false);
    operation_complete(operation, (int32_t)result, 0, 0);
}

/* ---- writing ----------------------------------------------------------------------------- */

/* Puts the next `length_bytes` of the write into the file; false if the disk is full. */
static bool write_part(struct sim_operation *write, uint64_t length_bytes) {
    uint8_t *part = world_allocate(1, length_bytes);
    uint64_t skip = write->done_bytes;
    uint64_t filled = 0;
    for (uint32_t i = 0; i < write->pieces_count && filled < length_bytes; i++) {
        const struct iovec *piece = &write->pieces[i];
        if (skip >= piece->iov_len) {
            skip -= piece->iov_len;
            continue;
        }
        uint64_t some = piece->iov_len - skip;
        if (some > length_bytes - filled)
            some = length_bytes - filled;
        memcpy(part + filled, (const uint8_t *)piece->iov_base + skip, some);
        filled += some;
        skip = 0;
    }
    ASSERT(filled == length_bytes);
    bool written =
        file_write(write->file, write->offset_bytes + write->done_bytes, part, length_bytes);
    free(part);
    if (written) {
        write->done_bytes += length_bytes;
        write->sequence = write->file->node->disk.sequence;
    }
    return written;
}

/* How much of the write its next part takes: to the end, or to the end of some sector. */
static uint64_t write_part_bytes(struct world *world, const struct sim_operation *write) {
    uint64_t left = write->length_bytes - write->done_bytes;
    uint64_t parts = world_random_between(world, 1, world->options.disk_parts_max);
    uint64_t at = write->offset_bytes + write->done_bytes;
    uint64_t end = ALIGN_UP(at + (left + parts - 1) / parts, (uint64_t)WORLD_SECTOR_BYTES);
    return end - at < left ? end - at : left;
}

static void write_comes(struct world *world, struct sim_operation *write) {
    uint64_t left = write->length_bytes - write->done_bytes;
    if (left > 0) {
        if (write->error != 0 && world_chance(world, 500)) {
            disk_complete(write, write->error);
            return;
        }
        if (!write_part(write, write_part_bytes(world, write))) {
            disk_complete(write, -ENOSPC);
            return;
        }
        world_note(world, "write", write->id, write->offset_bytes, (int64_t)write->done_bytes);
        if (write->done_bytes < write->length_bytes || write->sync) {
            operation_schedule(write);
            return;
        }
    }
    uint64_t end_bytes = write->offset_bytes + write->length_bytes;
    uint64_t first = write->offset_bytes / WORLD_SECTOR_BYTES;
    uint64_t end = (end_bytes + WORLD_SECTOR_BYTES - 1) / WORLD_SECTOR_BYTES;
    if (write->error != 0) {
        file_abandon(write->file, first, end, write->sequence);
        disk_complete(write, write->error);
        return;
    }
    if (write->sync) {
        file_make_durable(write->file, first, end, write->sequence, end_bytes);
        halt_at_operation(write, WORLD_POINT_SYNC_DONE);
    }
    disk_complete(write, (int64_t)write->length_bytes);
}

/* ---- the other operations, each at one event --------------------------------------------- */

static int64_t open_comes(struct sim_operation *open) {
    struct node *node = open->port->io->node;
    struct directory *directory = open->directory;
    struct file *file = disk_directory_find(directory, open->from);
    if (open->open_flags & IO_OPEN_CREATE) {
        if (file != NULL)
            return -EEXIST;
        file = file_create(node, FILE_REGULAR);
        disk_directory_change(node, directory, "", open->from, file);
    }
    if (file == NULL)
        return -ENOENT;
    if (file->sort == FILE_SYMBOLIC_LINK)
        return -ELOOP;
    if (file->sort != FILE_REGULAR)
        return -EINVAL;
    int error = fault_take(&node->disk, WORLD_DISK_OPENED);
    if (error != 0)
        return error; /* what was created stays */
    int32_t handle = handle_new(node, HANDLE_FILE);
    node->handles[handle].file = file;
    node->handles[handle].open_flags = open->open_flags;
    file_reference(file, true);
    return handle;
}

static int64_t read_comes(const struct sim_operation *read) {
    const struct image *image = &read->file->current;
    if (read->offset_bytes >= image->size_bytes)
        return 0;
    uint64_t length_bytes = image->size_bytes - read->offset_bytes;
    if (length_bytes > read->length_bytes)
        length_bytes = read->length_bytes;
    if (file_unreadable(read->file, read->offset_bytes, length_bytes))
        return -EIO;
    image_get(image, read->offset_bytes, read->single.iov_base, length_bytes);
    return (int64_t)length_bytes;
}

static int64_t names_come(const struct sim_operation *operation) {
    struct file *file = disk_directory_find(operation->directory, operation->from);
    if (file == NULL)
        return -ENOENT;
    disk_directory_change(operation->port->io->node, operation->directory, operation->from,
                          operation->to, file);
    return 0;
}

static int64_t allocate_comes(const struct sim_operation *allocate) {
    if (!file_grow(allocate->file, allocate->length_bytes))
        return -ENOSPC;
    allocate->file->node->disk.sequence++;
    return 0;
}

static int64_t sync_comes(const struct sim_operation *sync) {
    if (sync->kind == IO_FILE_SYNC)
        file_make_durable(sync->file, 0, UINT64_MAX, sync->sequence, sync->size_bytes);
    else
        directory_make_durable(sync->directory, sync->sequence);
    return 0;
}

static int64_t effect(struct sim_operation *operation) {
    switch (operation->kind) {
    case IO_FILE_OPEN: return open_comes(operation);
    case IO_FILE_READ: return read_comes(operation);
    case IO_FILE_SYNC:
    case IO_DIRECTORY_SYNC: return sync_comes(operation);
    case IO_FILE_ALLOCATE: return allocate_comes(operation);
    case IO_FILE_RENAME:
    case IO_FILE_REMOVE: return names_come(operation);
    default: UNREACHABLE("not an operation of one event");
    }
}

/* The points before and after the effect of an operation's event; WORLD_POINTS: none. */
static enum world_point point_before(const struct sim_operation *operation) {
    switch (operation->kind) {
    case IO_FILE_OPEN:
        return operation->open_flags & IO_OPEN_CREATE ? WORLD_POINT_CREATE : WORLD_POINTS;
    case IO_FILE_WRITE:
        if (operation->done_bytes == 0)
            return WORLD_POINT_WRITE_BEGIN;
        return operation->done_bytes == operation->length_bytes ? WORLD_POINT_SYNC : WORLD_POINTS;
    case IO_FILE_SYNC: return WORLD_POINT_SYNC;
    case IO_DIRECTORY_SYNC: return WORLD_POINT_SYNC_NAMES;
    case IO_FILE_ALLOCATE: return WORLD_POINT_ALLOCATE;
    case IO_FILE_RENAME: return WORLD_POINT_RENAME;
    case IO_FILE_REMOVE: return WORLD_POINT_REMOVE;
    default: return WORLD_POINTS;
    }
}

static enum world_point point_after(const struct sim_operation *operation) {
    switch (operation->kind) {
    case IO_FILE_SYNC: return WORLD_POINT_SYNC_DONE;
    case IO_DIRECTORY_SYNC: return WORLD_POINT_SYNC_NAMES_DONE;
    case IO_FILE_RENAME: return WORLD_POINT_RENAME_DONE;
    case IO_FILE_REMOVE: return WORLD_POINT_REMOVE_DONE;
    default: return WORLD_POINTS;
    }
}

/* What an operation in flight may have done when the disk died, or the process. */
static void effect_uncertain(struct sim_operation *operation, bool power_cut) {
    struct world *world = operation->port->io->node->world;
    if (world->ending || operation->error != 0)
        return; /* the memory lent may be gone; the disk never got it */
    switch (operation->kind) {
    case IO_FILE_WRITE:
        /* Unsynced sectors, of which a power cut then keeps any. */
        if (operation->done_bytes < operation->length_bytes &&
            (power_cut || world_chance(world, 500)))
            write_part(operation, operation->length_bytes - operation->done_bytes);
        return;
    case IO_FILE_ALLOCATE:
    case IO_FILE_RENAME:
    case IO_FILE_REMOVE:
        if (world_chance(world, 500))
            effect(operation);
        return;
    default: return; /* nothing durable comes of it that a power cut might not keep anyhow */
    }
}

static void operation_comes(struct world *world, void *object, uint64_t argument) {
    (void)argument;
    struct sim_operation *operation = object;
    if (operation->dead) {
        operation_free(operation);
        return;
    }
    struct disk *disk = &operation->port->io->node->disk;
    operation->scheduled = false;
    if (disk->stalled) {
        operation->held = true;
        return;
    }
    if (operation->error == 0 && point_before(operation) < WORLD_POINTS)
        halt_at_operation(operation, point_before(operation));
    if (disk_dead(disk)) {
        effect_uncertain(operation, true);
        disk_complete(operation, -EIO);
        return;
    }
    if (operation->kind == IO_FILE_WRITE) {
        write_comes(world, operation);
        return;
    }
    if (operation->error == 0) {
        int64_t result = effect(operation);
        if (result >= 0 && point_after(operation) < WORLD_POINTS)
            halt_at_operation(operation, point_after(operation));
        disk_complete(operation, result);
        return;
    }
    if (operation->kind == IO_FILE_SYNC)
        file_abandon(operation->file, 0, UINT64_MAX, operation->sequence);
    disk_complete(operation, operation->error);
}

void file_in_flight_end(struct node *node, bool power_cut) {
    while (node->disk.in_flight != NULL) {
        struct sim_operation *operation = node->disk.in_flight;
        node->disk.in_flight = operation->disk_next;
        effect_uncertain(operation, power_cut);
        if (operation->file != NULL)
            file_release(operation->file, false);
    }
}

/* ---- submission -------------------------------------------------------------------------- */

static void transfer_check(const struct handle *handle, const struct sim_operation *transfer) {
    if (!(handle->open_flags & IO_OPEN_DIRECT))
        return;
    uint64_t mask = transfer->port->io->node->world->options.disk_alignment_bytes - 1;
    ASSERT((transfer->offset_bytes & mask) == 0);
    for (uint32_t i = 0; i < transfer->pieces_count; i++) {
        ASSERT(((uintptr_t)transfer->pieces[i].iov_base & mask) == 0);
        ASSERT((transfer->pieces[i].iov_len & mask) == 0);
    }
}

static enum world_disk_operation fault_sort(uint8_t kind) {
    switch (kind) {
    case IO_FILE_OPEN: return WORLD_DISK_OPEN;
    case IO_FILE_READ: return WORLD_DISK_READ;
    case IO_FILE_WRITE: return WORLD_DISK_WRITE;
    case IO_FILE_SYNC:
    case IO_DIRECTORY_SYNC: return WORLD_DISK_SYNC;
    case IO_FILE_ALLOCATE: return WORLD_DISK_ALLOCATE;
    case IO_FILE_RENAME:
    case IO_FILE_REMOVE: return WORLD_DISK_NAMES;
    default: UNREACHABLE("not an operation of a file");
    }
}

void file_submit(struct sim_operation *operation) {
    struct node *node = operation->port->io->node;
    struct disk *disk = &node->disk;
    const struct handle *handle = &node->handles[operation->handle];
    if (handle->sort == HANDLE_DIRECTORY) {
        operation->directory = handle->directory;
    } else {
        operation->file = handle_get(node, operation->handle, HANDLE_FILE)->file;
        operation->size_bytes = operation->file->current.size_bytes;
        file_reference(operation->file, false);
        transfer_check(handle, operation);
    }
    if (operation->kind == IO_FILE_WRITE)
        halt_at_operation(operation, WORLD_POINT_WRITE);
    operation->sequence = disk->sequence;
    operation->disk_next = disk->in_flight;
    disk->in_flight = operation;
    bool changes = operation->kind == IO_FILE_WRITE || operation->kind == IO_FILE_ALLOCATE;
    if (changes && !(handle->open_flags & IO_OPEN_WRITE)) {
        disk_complete(operation, -EBADF);
        return;
    }
    operation->error = disk_dead(disk) ? -EIO : fault_take(disk, fault_sort(operation->kind));
    if (operation->sync && operation->error == 0)
        operation->error = fault_take(disk, WORLD_DISK_SYNC);
    operation_schedule(operation);
}

/* ---- io.h: files ------------------------------------------------------------------------- */

void io_file_open(struct io_port *port, int32_t directory, const char *name, uint32_t flags,
                  uint64_t user) {
    if (port->io->dead)
        return;
    ASSERT(flags & (IO_OPEN_READ | IO_OPEN_WRITE));
    ASSERT(strchr(name, '/') == NULL);
    handle_get(port->io->node, directory, HANDLE_DIRECTORY);
    struct sim_operation *operation = operation_start(port, IO_FILE_OPEN, directory, user);
    operation->from = name;
    operation->open_flags = flags;
    if (!(port->io->features & IO_FEATURE_DIRECT_WRITE))
        operation->open_flags &= ~(uint32_t)IO_OPEN_DIRECT;
}

uint64_t io_file_size_bytes(struct io *io, int32_t file) {
    if (io->dead)
        return 0;
    return handle_get(io->node, file, HANDLE_FILE)->file->current.size_bytes;
}

uint32_t io_file_alignment_bytes(struct io *io, int32_t file) {
    if (io->dead)
        return WORLD_SECTOR_BYTES;
    bool direct = handle_get(io->node, file, HANDLE_FILE)->open_flags & IO_OPEN_DIRECT;
    return direct ? io->node->world->options.disk_alignment_bytes : WORLD_SECTOR_BYTES;
}

void io_file_read(struct io_port *port, int32_t file, void *memory, size_t length_bytes,
                  uint64_t offset_bytes, uint64_t user) {
    if (port->io->dead)
        return;
    ASSERT(length_bytes > 0 && length_bytes <= IO_TRANSFER_BYTES_MAX);
    struct sim_operation *operation = operation_start(port, IO_FILE_READ, file, user);
    operation->single = (struct iovec){memory, length_bytes};
    operation->pieces = &operation->single;
    operation->pieces_count = 1;
    operation->length_bytes = length_bytes;
    operation->offset_bytes = offset_bytes;
}

void io_file_write(struct io_port *port, int32_t file, const struct iovec *pieces, uint32_t count,
                   uint64_t offset_bytes, enum io_sync sync, uint64_t user) {
    if (port->io->dead)
        return;
    ASSERT(count >= 1 && count <= 1024);
    struct sim_operation *operation = operation_start(port, IO_FILE_WRITE, file, user);
    operation->pieces = pieces;
    operation->pieces_count = count;
    operation->offset_bytes = offset_bytes;
    operation->sync = sync != IO_NO_SYNC;
    for (uint32_t i = 0; i < count; i++)
        operation->length_bytes += pieces[i].iov_len;
    ASSERT(operation->length_bytes > 0 && operation->length_bytes <= IO_TRANSFER_BYTES_MAX);
}

void io_file_sync(struct io_port *port, int32_t file, uint64_t user) {
    if (!port->io->dead)
        operation_start(port, IO_FILE_SYNC, file, user);
}

void io_file_allocate(struct io_port *port, int32_t file, uint64_t length_bytes, uint64_t user) {
    if (port->io->dead)
        return;
    ASSERT(length_bytes > 0 && length_bytes <= INT64_MAX);
    operation_start(port, IO_FILE_ALLOCATE, file, user)->length_bytes = length_bytes;
}

void io_file_rename(struct io_port *port, int32_t directory, const char *from, const char *to,
                    uint64_t user) {
    if (port->io->dead)
        return;
    ASSERT(strchr(from, '/') == NULL && strchr(to, '/') == NULL);
    struct sim_operation *operation = operation_start(port, IO_FILE_RENAME, directory, user);
    operation->from = from;
    operation->to = to;
}

void io_file_remove(struct io_port *port, int32_t directory, const char *name, uint64_t user) {
    if (port->io->dead)
        return;
    ASSERT(strchr(name, '/') == NULL);
    struct sim_operation *operation = operation_start(port, IO_FILE_REMOVE, directory, user);
    operation->from = name;
    operation->to = "";
}

void io_directory_sync(struct io_port *port, int32_t directory, uint64_t user) {
    if (!port->io->dead)
        operation_start(port, IO_DIRECTORY_SYNC, directory, user);
}
