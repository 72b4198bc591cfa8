#ifndef WEIR_TESTS_SIM_HOST_H
#define WEIR_TESTS_SIM_HOST_H

/* A process on a simulated node, for tests that start, kill and crash it: one door, one port, one
 * directory, and file operations that wait. */

#include "base/bytes.h"
#include "sim/world.h"

#include <string.h>

#include "tests/cmocka_wrapper.h"

enum { HOST_BUFFERS = 8, HOST_BUFFER_BYTES = 128 };

struct host {
    struct world *world;
    uint32_t node;
    struct io *io;
    struct io_port *port;
    int32_t directory;
    uint8_t buffers[HOST_BUFFERS * HOST_BUFFER_BYTES];
};

/* A process on the node: its door, with the directory "data" open. */
static inline void host_start(struct host *host, struct world *world, uint32_t node) {
    struct error_text error;
    host->world = world;
    host->node = node;
    host->io = world_io(world, node);
    assert_int_equal(io_port_create(host->io, &host->port, 32), 0);
    assert_int_equal(io_buffers_register(host->io, 0, host->buffers, HOST_BUFFER_BYTES,
                                         HOST_BUFFERS, HOST_BUFFERS, &error),
                     0);
    assert_int_equal(io_directory_open(host->io, "data", true, &host->directory, &error), 0);
}

/* A process on the first node of a new world. */
static inline void host_boot(struct host *host, uint64_t seed,
                             const struct world_options *options) {
    struct world *world = world_create(seed, options);
    host_start(host, world, world_node_add(world));
}

/* What is left of a process after world_kill or world_crash, which must have come before. */
static inline void host_bury(struct host *host) {
    io_port_destroy(host->port);
    io_destroy(host->io);
}

static inline int32_t host_open(struct host *host, const char *name, uint32_t flags) {
    io_file_open(host->port, host->directory, name, flags, 0);
    return io_wait(host->port).result;
}

static inline int32_t host_create(struct host *host, const char *name) {
    int32_t file = host_open(host, name, IO_OPEN_WRITE | IO_OPEN_CREATE);
    assert_true(file >= 0);
    return file;
}

static inline int32_t host_write(struct host *host, int32_t file, const void *bytes,
                                 size_t length_bytes, uint64_t offset_bytes, enum io_sync sync) {
    struct iovec piece = {(void *)(uintptr_t)bytes, length_bytes};
    io_file_write(host->port, file, &piece, 1, offset_bytes, sync, 0);
    return io_wait(host->port).result;
}

/* Sectors that hold one value in every byte. */
static inline int32_t host_fill(struct host *host, int32_t file, uint8_t value,
                                uint64_t sector_first, size_t sectors, enum io_sync sync) {
    uint8_t bytes[16 * WORLD_SECTOR_BYTES];
    assert_true(sectors <= 16);
    memset(bytes, value, sectors * WORLD_SECTOR_BYTES);
    return host_write(host, file, bytes, sectors * WORLD_SECTOR_BYTES,
                      sector_first * WORLD_SECTOR_BYTES, sync);
}

static inline int32_t host_sync(struct host *host, int32_t file) {
    io_file_sync(host->port, file, 0);
    return io_wait(host->port).result;
}

static inline void host_sync_names(struct host *host) {
    io_directory_sync(host->port, host->directory, 0);
    assert_int_equal(io_wait(host->port).result, 0);
}

/* A file with synced sectors of one value and a synced name. */
static inline int32_t host_create_filled(struct host *host, const char *name, uint8_t value,
                                         size_t sectors) {
    int32_t file = host_create(host, name);
    assert_int_equal(host_fill(host, file, value, 0, sectors, IO_SYNC),
                     (int32_t)(sectors * WORLD_SECTOR_BYTES));
    host_sync_names(host);
    return file;
}

/* The value of a sector of a file at rest; fails if the sector is torn; -1: there is none. */
static inline int host_sector(struct host *host, const char *name, uint64_t sector) {
    uint64_t length_bytes = 0;
    if (!world_file_size(host->world, host->node, "data", name, &length_bytes) ||
        length_bytes < (sector + 1) * WORLD_SECTOR_BYTES)
        return -1;
    uint8_t bytes[WORLD_SECTOR_BYTES];
    world_file_read(host->world, host->node, "data", name, sector * WORLD_SECTOR_BYTES, bytes,
                    WORLD_SECTOR_BYTES);
    for (int i = 1; i < WORLD_SECTOR_BYTES; i++)
        assert_int_equal(bytes[i], bytes[0]);
    return bytes[0];
}

static inline bool host_has(struct host *host, const char *name) {
    uint64_t length_bytes;
    return world_file_size(host->world, host->node, "data", name, &length_bytes);
}

#endif
