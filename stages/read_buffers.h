#ifndef WEIR_STAGES_READ_BUFFERS_H
#define WEIR_STAGES_READ_BUFFERS_H

/*
 * Which of read's free receive buffers the kernel is offered.  Internal to read.
 *
 * The kernel takes the buffers that it has been offered in turn, first in first out.  Offered all,
 * it would walk through the memory of every batch, with its tables and reply room, and find none of
 * it in a cache.  So it is offered a few, those that came home last, and the others are kept spare:
 * of so many, the goal, some are in its hands and the others wait to be parsed.  A receive that
 * finds none while there are spare ones doubles the number.
 *
 *     in the kernel's hands (offered) ──receive──► a batch under way ──home──► spare
 *              ▲                                                                 │
 *              └──────────────── read_buffers_offer, up to the goal ◄────────────┘
 *
 * One thread: read's.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "io/io.h"

/* The group at the door that clients' connections receive into; members have another. */
enum { READ_BUFFER_GROUP = 0 };

struct read_buffers {
    struct io *io;
    uint32_t *spare; /* last in first out */
    uint32_t spare_count;
    uint32_t count;   /* of all buffers */
    uint32_t offered; /* in the kernel's hands, as far as completions were taken */
    uint32_t goal;    /* how many are to be there, or wait to be parsed */
    bool missed;      /* a receive has found none since the last read_buffers_offer */
};

/* Zeroed before; for `count` buffers.  Errors: WEIR_ENOMEM. */
int read_buffers_create(struct read_buffers *buffers, uint32_t count);

/* Registers them, at `memory`, at the door.  Errors: as io_buffers_register. */
int read_buffers_register(struct read_buffers *buffers, struct io *io, uint8_t *memory,
                          uint32_t buffer_bytes, struct error_text *error);

/* Frees what create took; also zeroed. */
void read_buffers_destroy(struct read_buffers *buffers);

/* A completion has brought a buffer; it is a batch's now. */
void read_buffers_taken(struct read_buffers *buffers);

/* The buffer's batch is home. */
void read_buffers_home(struct read_buffers *buffers, uint32_t index);

/* Offers spare ones up to the goal, once a poll, less the `waiting` that wait to be parsed; what is
 * spare and needed is then in the kernel. */
void read_buffers_offer(struct read_buffers *buffers, uint32_t waiting);

#endif
