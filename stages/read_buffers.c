/* See stages/read_buffers.h.  Nothing can fail after the start. */

#include "stages/read_buffers.h"

#include <stdlib.h>

#include "base/assert.h"

enum {
    /* With their tables 3.5 MiB, of which short commands touch 12 KiB a batch: a core's second
       cache holds that.  50 connections with a deep pipeline each need no more. */
    READ_OFFER_FIRST = 32,
    /* As many are in the kernel's hands whatever waits to be parsed: who asks now is heard now. */
    READ_OFFER_LEAST = 8,
};

int read_buffers_create(struct read_buffers *buffers, uint32_t count) {
    ASSERT(buffers->spare == NULL && count > 0);
    buffers->spare = calloc(count, sizeof(*buffers->spare));
    buffers->count = count;
    return buffers->spare == NULL ? WEIR_ENOMEM : WEIR_OK;
}

int read_buffers_register(struct read_buffers *buffers, struct io *io, uint8_t *memory,
                          uint32_t buffer_bytes, struct error_text *error) {
    uint32_t count = buffers->count;
    uint32_t first = count < READ_OFFER_FIRST ? count : READ_OFFER_FIRST;
    int result =
        io_buffers_register(io, READ_BUFFER_GROUP, memory, buffer_bytes, count, first, error);
    if (result != WEIR_OK) {
        return result;
    }
    buffers->io = io;
    buffers->offered = first;
    buffers->goal = first;
    while (buffers->spare_count < count - first) {
        buffers->spare[buffers->spare_count] = count - 1 - buffers->spare_count;
        buffers->spare_count++;
    }
    return WEIR_OK;
}

void read_buffers_destroy(struct read_buffers *buffers) {
    free(buffers->spare);
    *buffers = (struct read_buffers){0};
}

void read_buffers_taken(struct read_buffers *buffers) {
    ASSERT_HOT(buffers->offered > 0);
    buffers->offered--;
}

void read_buffers_home(struct read_buffers *buffers, uint32_t index) {
    ASSERT_HOT(index < buffers->count);
    ASSERT_HOT(buffers->offered + buffers->spare_count < buffers->count);
    buffers->spare[buffers->spare_count++] = index;
}

void read_buffers_offer(struct read_buffers *buffers, uint32_t waiting) {
    if (buffers->missed && buffers->spare_count > 0 && buffers->goal < buffers->count) {
        uint32_t left = buffers->count - buffers->goal;
        buffers->goal += buffers->goal < left ? buffers->goal : left;
    }
    buffers->missed = false;
    const uint32_t goal =
        buffers->goal > waiting + READ_OFFER_LEAST ? buffers->goal - waiting : READ_OFFER_LEAST;
    while (buffers->offered < goal && buffers->spare_count > 0) {
        io_buffer_return(buffers->io, READ_BUFFER_GROUP, buffers->spare[--buffers->spare_count]);
        buffers->offered++;
    }
}
