#ifndef WEIR_TESTS_STAGES_VALIDATE_RIG_H
#define WEIR_TESTS_STAGES_VALIDATE_RIG_H

/*
 * The validate stage between two rings of a pipeline that has no other stage.
 *
 * The rig plays parse (bytes become a batch) and what is behind validate: replies that validate
 * made, or that apply would write for it, come out as RESP. Reads and writes of the machine are
 * shown as "<READ>" and "<WRITE>" in the place of their replies, since no machine runs here.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stages/directory.h"
#include "stages/node.h"
#include "stages/stage.h"

enum {
    RIG_CONNECTIONS = 64,
    RIG_BATCHES = 8,
    RIG_OUTPUT_BYTES = 1024 * 1024,
    RIG_INPUT_BYTES = 8 * 1024 * 1024,
};

struct rig {
    struct node_options options; /* change before rig_start */
    struct node node;
    struct stage_moment moment;
    struct directory *directory;
    void *shard;
    struct batch *batches;
    struct ring *from_parse;
    struct ring *to_replicate;
    struct ring *from_write;
    struct ring *to_read;
    uint32_t generations[RIG_CONNECTIONS]; /* 0: not open, or only a record */
    uint32_t opened;                       /* connections, one after the other */
    uint32_t wakes;                        /* of the main thread */
    uint32_t polls;                        /* of the last rig_send */
    char *output;                          /* of the last rig_send, zero-terminated */
    size_t output_bytes;
    uint32_t block; /* local block of the last batch, given back at the next one */
    uint16_t flags; /* of the last batch, as validate left them */
    uint32_t write_count, read_count, write_entry_bytes;
};

/* Fills the options with defaults: no password, no limits, the machine kv. */
void rig_prepare(struct rig *rig);

/* Makes the shard; fails the test if that fails. */
void rig_start(struct rig *rig);
void rig_stop(struct rig *rig);

/* Sends bytes on a connection (opened by its first use) as one batch; the answer as RESP. */
const char *rig_send(struct rig *rig, uint32_t slot, const void *bytes, size_t length);

/* The same for a line, or lines ended by \r\n. */
const char *rig_say(struct rig *rig, uint32_t slot, const char *lines);

/* The same as rig_say in two steps, with several batches under way: puts the lines into the ring as
 * batch `id`, which must be home; */
void rig_put(struct rig *rig, uint32_t id, uint32_t slot, const char *lines);
/* and polls once.  The batch that then comes out first is shown in `output` and its number
 * returned; UINT32_MAX if none comes. */
uint32_t rig_take(struct rig *rig);

/* Opens connections up to this many in the eyes of CLIENT LIST, with no batch of theirs. */
void rig_crowd(struct rig *rig, uint32_t count);

/* Ends the connection: the marker without bytes. */
void rig_end(struct rig *rig, uint32_t slot);

/* Fails the test unless the line is answered by exactly this. */
void rig_expect(struct rig *rig, uint32_t slot, const char *line, const char *answer);

#endif
