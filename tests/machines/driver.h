#ifndef WEIR_TESTS_MACHINES_DRIVER_H
#define WEIR_TESTS_MACHINES_DRIVER_H

/*
 * A host for a machine on one thread: pages from the kernel, counted; commands as words; replies as
 * RESP 2 text; slices of a budget that the test chooses, each of them measured.
 *
 * It knows machines through machines/machine.h alone.
 */

#include "base/random.h"
#include "machines/machine.h"
#include "sim/kv_model.h"

struct driver {
    const struct machine_operations *operations;
    struct machine *machine;
    struct machine_options options;
    struct machine_host host;
    struct machine_name_index names;
    uint64_t pages_bytes; /* taken and not given back */
    uint64_t page_calls;  /* pages_take so far */
    uint32_t budget;      /* of each slice */
    uint64_t slices;      /* calls of execute so far */
    uint64_t units;       /* that they have taken off their budgets */
    bool follower;        /* executes writes only, without replies */
    /* Called when a slice returned MACHINE_MORE, before the next; may be NULL. */
    void (*between)(void *context);
    void *context;
    uint8_t *region; /* of replies */
    size_t region_bytes;
};

/* Creates an empty machine. The budget is UINT32_MAX until the test sets another. */
void driver_begin(struct driver *driver, const struct machine_operations *operations,
                  uint32_t partition_bits);

/* Destroys it in slices, and asserts that the host has all its pages back. */
void driver_end(struct driver *driver);

/* Executes one command at this moment. The reply, if `reply` is not NULL, replaces its content. */
void driver_execute(struct driver *driver, const struct kv_model_word *words, size_t count,
                    const struct machine_moment *moment, struct kv_model_text *reply);

/* The same, from words separated by one space each. */
void driver_command(struct driver *driver, const char *line, const struct machine_moment *moment,
                    struct kv_model_text *reply);

/* Executes the line and asserts that the reply is this RESP 2 text. */
void driver_expect(struct driver *driver, const char *line, const struct machine_moment *moment,
                   const char *expected);

/* Calls maintain until it has nothing left to do; returns how many calls that took. */
uint64_t driver_maintain(struct driver *driver, uint64_t log_time_ms);

/* digest_full, in slices of the driver's budget. */
uint64_t driver_digest_full(struct driver *driver);

/* Writes a whole snapshot to `bytes`, with nothing in between. */
void driver_snapshot(struct driver *driver, const struct machine_moment *moment,
                     struct kv_model_text *bytes);

/* A sink that appends to a text; it is full whenever `chance` of 8 says so. */
struct driver_sink {
    struct kv_model_text *bytes;
    struct random *random; /* NULL: never full */
    uint32_t chance;
    uint8_t buffer[MACHINE_SINK_BYTES_MAX];
};
struct machine_sink driver_sink_make(struct driver_sink *sink);

/* Restores bytes into the driver's empty machine, cut at random places; the first error or 0. */
int driver_restore(struct driver *driver, const struct kv_model_text *bytes, struct random *random);

/* A moment that both times agree on. */
struct machine_moment driver_moment(uint64_t index, uint64_t time_ms);

#endif
