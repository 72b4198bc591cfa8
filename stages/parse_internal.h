#ifndef WEIR_STAGES_PARSE_INTERNAL_H
#define WEIR_STAGES_PARSE_INTERNAL_H

/* What the files of the parse stage share; see stages/parse.c.  One owner: its thread. */

#include "stages/arena.h"
#include "stages/directory.h"
#include "stages/parse.h"
#include "stages/pipeline.h"

/* The unfinished command of a connection. */
struct parse_carry {
    uint32_t block;          /* BATCH_NO_BLOCK: none */
    uint32_t length_bytes;   /* of the command's bytes, and whatever is behind it */
    uint32_t capacity_bytes; /* the tables begin here, rounded up to 8 */
    uint32_t argument_capacity;
    uint32_t argument_count; /* found so far */
};

/* See the picture in stages/parse.c. */
enum parse_state { PARSE_READING = 0, PARSE_BROKEN };

/* A connection, as parse knows it. */
struct parse_connection {
    uint32_t generation;
    uint8_t state;       /* enum parse_state */
    bool refused;        /* its carry was taken away: say so with the next batch */
    uint32_t continuing; /* batches of it that come round again */
    uint32_t
        waiting; /* of these, up to the one whose AUTH or HELLO decides how to go on; 0: none */
    struct resp_parser parser;
    struct parse_carry carry;
};

/* The shard. */
struct parse_shard {
    struct pipeline *pipeline;
    struct node *node;
    const struct directory *directory;
    struct ring *from_read;
    struct ring *to_validate;
    struct ring *from_write; /* carry blocks that came home */
    struct arena *arena;
    struct parse_connection *connections;
    uint32_t connections_max;
    uint32_t *positions; /* scratch: key positions of one command */
};

/* What is being parsed. */
struct parse_region {
    uint8_t *bytes; /* of the current command */
    uint32_t length_bytes;
    bool in_carry;
};

/* ---- parse_carry.c -------------------------------------------------------------------------- */

/* The bytes of an unfinished command; the first one is the command's first. */
uint8_t *parse_carry_bytes(const struct parse_shard *shard, const struct parse_carry *carry);

/* The table of its arguments found so far, and room for its key hashes behind it. */
struct resp_argument *parse_carry_arguments(const struct parse_shard *shard,
                                            const struct parse_carry *carry);
uint64_t *parse_carry_hashes(const struct parse_shard *shard, const struct parse_carry *carry);

/* Gives the block back, if there is one. */
void parse_carry_forget(struct parse_shard *shard, struct parse_carry *carry);

/* Gives the connection a carry of at least these capacities, keeping what is in it.  False if
 * there is no memory even after refusing others; then nothing has changed. */
bool parse_carry_reserve(struct parse_shard *shard, struct parse_connection *connection,
                         uint32_t capacity_bytes, uint32_t argument_capacity);

/* How large to make a carry that holds `have` bytes of a command which needs at least `needed`. */
uint32_t parse_carry_goal_bytes(uint32_t have, uint32_t needed);

#endif
