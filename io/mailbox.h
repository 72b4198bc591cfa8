#ifndef WEIR_IO_MAILBOX_H
#define WEIR_IO_MAILBOX_H

/*
 * The mailbox of a port: a bounded first-in first-out of completions.  Both doors use this one,
 * so that a full mailbox means the same on Linux and in the simulation.
 *
 * Two bounds:
 *   limit      = operations_max of the port.  At this depth the door stops delivering what the
 *                kernel (or the simulated world) has completed: it stays there, in order.
 *   capacity   at least 2 * limit.  Completions that the door makes itself, at once, in a start
 *                function (a replaced timer) are final, so there are never more than operations_max
 *                of them, and they always fit above the limit.
 *
 * One thread.  Internal to the doors: nothing else includes this file.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "io/io.h"

struct io_mailbox {
    struct io_completion *slots;
    uint32_t mask;
    uint32_t limit;
    uint32_t head; /* next to take; both counters wrap */
    uint32_t tail; /* next to fill */
};

/* Room for `limit` deliveries and as many local completions.  Errors: WEIR_ENOMEM. */
static inline int io_mailbox_create(struct io_mailbox *mailbox, uint32_t limit) {
    ASSERT(limit > 0 && limit <= UINT32_C(1) << 24);
    uint32_t capacity = 2;
    while (capacity < 2 * limit)
        capacity *= 2;
    struct io_completion *slots = calloc(capacity, sizeof(*slots));
    if (slots == NULL)
        return WEIR_ENOMEM;
    *mailbox = (struct io_mailbox){.slots = slots, .mask = capacity - 1, .limit = limit};
    return 0;
}

/* Frees it; what is in it is lost. */
static inline void io_mailbox_destroy(struct io_mailbox *mailbox) {
    free(mailbox->slots);
    *mailbox = (struct io_mailbox){0};
}

/* Completions that wait to be taken. */
static inline uint32_t io_mailbox_count(const struct io_mailbox *mailbox) {
    return mailbox->tail - mailbox->head;
}

/* Whether a delivery has to wait until something was taken. */
static inline bool io_mailbox_full(const struct io_mailbox *mailbox) {
    return io_mailbox_count(mailbox) >= mailbox->limit;
}

/* Adds one; there must be room below the capacity. */
static inline void io_mailbox_put(struct io_mailbox *mailbox, struct io_completion completion) {
    ASSERT_HOT(io_mailbox_count(mailbox) <= mailbox->mask);
    mailbox->slots[mailbox->tail & mailbox->mask] = completion;
    mailbox->tail++;
}

/* Takes the oldest ones, `max` at the most; returns their count.  Lowers *outstanding, the port's
 * operations that are not done, by those whose last completion was among them. */
static inline uint32_t io_mailbox_take(struct io_mailbox *mailbox,
                                       struct io_completion *completions, uint32_t max,
                                       uint32_t *outstanding) {
    uint32_t count = io_mailbox_count(mailbox);
    if (count > max)
        count = max;
    for (uint32_t i = 0; i < count; i++) {
        completions[i] = mailbox->slots[mailbox->head++ & mailbox->mask];
        if (!(completions[i].flags & IO_MORE)) {
            ASSERT_HOT(*outstanding > 0);
            (*outstanding)--;
        }
    }
    return count;
}

#endif
