#ifndef WEIR_STAGES_SLOWLOG_H
#define WEIR_STAGES_SLOWLOG_H

/*
 * The commands that took longest to execute: SLOWLOG.
 *
 * How long a command took is the time from the poll in which the machine began it to the one in
 * which it was done (of a command about connections: in which validate began and ended it), by the
 * clock that the polls are given: waiting for a disk, a quorum or a queue is not in it, and what
 * began and ended in the same poll took 0.  So anything that takes long is seen, since it takes
 * many polls.
 *
 * Apply is the one writer: it executes, and every command passes it with its arguments.  Entries
 * are a ring of the last SLOWLOG_ENTRIES_MAX; each is guarded by a sequence, as a connection's
 * record is (stages/node_record.h).  Readers: any thread, which finds an entry whole or not at all.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "stages/batch.h"

struct node;

enum {
    SLOWLOG_ENTRIES_MAX = 1024, /* slowlog-max-len at most; a power of two: 6 MiB, when used */
    /* As Redis cuts them: the last argument is then "... (N more arguments)". */
    SLOWLOG_ARGUMENTS_MAX = 32,
    SLOWLOG_ARGUMENT_BYTES = 128,
    /* That, and "... (4294967295 more bytes)". */
    SLOWLOG_TEXT_BYTES = SLOWLOG_ARGUMENT_BYTES + 32,
    SLOWLOG_NAME_BYTES = 64, /* of an address, of a connection's name; with the zero */
};

struct slowlog_entry {
    uint32_t sequence; /* odd while it is being written */
    uint32_t argument_count;
    uint64_t id; /* from 0, one more each */
    uint64_t unix_s;
    uint64_t duration_us;
    char address[SLOWLOG_NAME_BYTES];
    char name[SLOWLOG_NAME_BYTES];
    uint32_t lengths[SLOWLOG_ARGUMENTS_MAX];
    uint8_t texts[SLOWLOG_ARGUMENTS_MAX][SLOWLOG_TEXT_BYTES];
};

struct slowlog {
    CACHE_ALIGNED uint64_t written; /* entries ever; the next one's id */
    uint64_t first; /* of those, the oldest that is kept, as slowlog-max-len had it */
    struct slowlog_entry entries[SLOWLOG_ENTRIES_MAX];
};

/* Notes a command of the batch.  Apply only. */
void slowlog_note(struct node *node, const struct batch *batch, const struct batch_command *command,
                  uint64_t duration_us);

/* Entries [*first, the result) are kept: none, if there is no log.  Any thread. */
uint64_t slowlog_range(const struct node *node, uint64_t *first);

/* Copies an entry; false if it is gone.  Any thread. */
bool slowlog_copy(const struct node *node, uint64_t id, struct slowlog_entry *out);

/* Forgets all entries so far.  Validate only. */
void slowlog_reset(struct node *node);

#endif
