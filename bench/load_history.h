#ifndef WEIR_BENCH_LOAD_HISTORY_H
#define WEIR_BENCH_LOAD_HISTORY_H

/*
 * What a worker asked and was told, operation by operation (sim/history.h), for weir check-history.
 *
 * Values are made unique, so that of each read it is known which write it saw: the first sixteen
 * bytes of every __data__ are a tag of the run, the worker and a count, in hexadecimal. A worker
 * that has recorded its share of operations asks nothing more, and the run ends.
 *
 * Owned by one thread. Memory is taken at once; the kernel backs what is used.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "sim/history.h"

enum {
    LOAD_HISTORY_UNIQUE_BYTES = 16,
    LOAD_HISTORY_OPERATIONS_DEFAULT = 1000000,
    /* A count of the unique values has 26 bits; of 64 threads each has its own. */
    LOAD_HISTORY_OPERATIONS_MAX = HISTORY_OPERATIONS_MAX,
    /* What one recv may leave of a reply until the next: longer replies end the run. */
    LOAD_HISTORY_REPLY_BYTES_MIN = 4096,
};

/* One worker's. */
struct load_history {
    struct history history;
    uint64_t unique; /* of the next value */
    uint32_t worker; /* its number, and how many there are: nobody else's numbers */
    uint32_t workers;
    uint32_t connection_next; /* of the next connection, before worker and workers come in */
    uint64_t operation_bytes_max;
    uint64_t pending; /* operations without their end, each of which may need a reply's room */
    const char *full; /* why nothing more is recorded; NULL: it is */
};

/* Creates one for worker number `worker` of `workers`, with its share of the operations, each of so
 * many bytes of words and reply. Errors: WEIR_ENOMEM. The caller owns it. */
int load_history_create(struct load_history *history, uint32_t worker, uint32_t workers,
                        uint64_t operations_max, uint64_t operation_bytes_max);

/* Frees what create took; also of a zeroed one. */
void load_history_destroy(struct load_history *history);

/* A number for a connection that is opened now. */
uint32_t load_history_connection(struct load_history *history);

/* Writes the next unique text of LOAD_HISTORY_UNIQUE_BYTES. */
void load_history_unique(struct load_history *history, uint8_t *out);

/* Whether there is room for `count` operations more; if not, `full` says so from now on. */
bool load_history_has_room(struct load_history *history, uint64_t count);

/* Records that a request, whole in RESP, is about to be sent; returns its number. has_room said so
 * of it. */
uint32_t load_history_invoke(struct load_history *history, uint32_t client, uint32_t connection,
                             uint32_t sequence, uint64_t now_ns, const uint8_t *request,
                             size_t length_bytes);

/* Records the whole reply of an operation. One that is longer than an operation may be is not
 * looked at: the operation stays pending, which is read as unknown, and the history is `full`. */
void load_history_return(struct load_history *history, uint32_t number, uint64_t now_ns,
                         const char *reply, size_t length_bytes);

/* Nothing will come any more: a write may take effect at any later time, or never. */
void load_history_lose(struct load_history *history, uint32_t number);

/* Writes all operations of `count` workers. Blocks. Errors: WEIR_EIO with a
 * sentence. */
int load_history_write(const struct load_history *const *histories, uint32_t count,
                       const char *path, struct error_text *error);

#endif
