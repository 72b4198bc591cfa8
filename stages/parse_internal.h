#ifndef WEIR_STAGES_PARSE_INTERNAL_H
#define WEIR_STAGES_PARSE_INTERNAL_H

/* What the files of the parse stage share; see stages/parse.c.  One owner: its thread. */

#include "stages/arena.h"
#include "stages/directory.h"
#include "stages/parse.h"
#include "stages/parse_lines.h"
#include "stages/parse_peers.h"
#include "stages/pipeline.h"

enum {
    PARSE_TAKE_MAX = 64,
    /* Received bytes after which a turn ends: what then goes from stage to stage, with its tables
       and replies, stays in a core's second-level cache. */
    PARSE_TURN_BYTES = 32 * 1024,
    /* A carry that holds no more than this may be moved to a larger block in one go. */
    PARSE_MOVE_BYTES_MAX = STAGE_SLICE_BYTES,
    /* Blocks of the arena are powers of two: so many sizes. */
    PARSE_BLOCK_SIZES = ARENA_BYTES_MAX_LOG2 + 1,
};

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
    bool held;           /* behind a WAIT: nothing is parsed before the batch that goes on */
    uint32_t continuing; /* batches of it that come round again */
    uint32_t waiting; /* of these, up to the one whose AUTH, HELLO or WATCH decides how to go on */
    uint32_t reads_max;    /* that its next batch may have; BATCH_COMMANDS_MAX: it is not watched */
    uint32_t reads;        /* of its last batch */
    uint32_t long_batches; /* of its record, when its replies were last judged */
    struct resp_parser parser;
    struct parse_carry carry;
    uint32_t needed_bytes;   /* the command in it is at least this long; 0: not known */
    uint32_t unparsed_bytes; /* of it, which nobody has looked at yet */
    uint32_t size_next; /* slots, in the list of carries whose blocks are as large as this one's */
    uint32_t size_previous;
};

/* What is being parsed. */
struct parse_region {
    uint8_t *bytes; /* of the current command */
    uint32_t length_bytes;
    bool in_carry;
};

/* The batch under way, and how far; kept between polls when there is too much to do for one. */
struct parse_work {
    struct batch *batch; /* NULL: none */
    bool growing;        /* the carry is being moved to `grown`, ... */
    bool parsing;        /* `region` is valid */
    bool ends;           /* the batch ends with its last command, whatever is behind that */
    struct parse_carry grown;
    uint32_t grown_bytes; /* ... of which so many bytes, and then arguments, are there */
    uint32_t grown_arguments;
    struct parse_region region;
    uint32_t keys_left; /* keys of the last command that are not hashed yet, of */
    struct machine_keys keys;
};

/* The shard. */
struct parse_shard {
    struct pipeline *pipeline;
    struct node *node;
    const struct directory *directory;
    struct parse_peers *peers; /* NULL: the node has none, or this is not the shard for them */
    struct ring *from_read;
    struct ring *to_validate;
    struct ring *from_write; /* carry blocks that came home */
    struct arena *arena;
    struct parse_connection *connections;
    uint32_t connections_max;
    uint32_t size_head[PARSE_BLOCK_SIZES]; /* connections with a carry, by its block's size */

    struct parse_lines *lines; /* batches that wait */
    struct parse_work work;
    int32_t units;   /* left to this poll; negative: overrun */
    uint64_t now_ns; /* of this poll */
};

/* Counts work off. */
static inline void parse_spend(struct parse_shard *shard, uint32_t units) {
    shard->units -= (int32_t)units;
}

/* ---- parse_start.c --------------------------------------------------------------------------- */

/* See struct stage. */
int parse_init(void **out, const struct stage_environment *environment, struct error_text *error);
void parse_fini(void *state);

/* ---- parse_intake.c ------------------------------------------------------------------------- */

/* Lines up the batches that have come, no more than the budget. */
void parse_intake(struct parse_shard *shard, uint32_t budget);

/* Whether a batch is under way, or lined up. */
bool parse_is_waiting(const struct parse_shard *shard);

/* The batch under way, or the one whose turn it is, which is then to be called done
 * (parse_lines_done); NULL: there is none. */
struct batch *parse_next(struct parse_shard *shard);

/* ---- parse_command.c ------------------------------------------------------------------------ */

/* Adds the command that the parser has just completed; its keys are still to be hashed. */
struct batch_command *parse_command(struct parse_shard *shard, struct batch *batch, uint8_t *base,
                                    const struct resp_command *parsed);

/* Hashes on; false if there are more keys and the units are spent. */
bool parse_keys_hash(struct parse_shard *shard, struct batch *batch);

/* Whether what follows must wait for its outcome: since other limits may hold then, AUTH and HELLO
 * of who is not authenticated, RESET of who is; WATCH; and CLIENT PAUSE. */
bool parse_command_stops(const struct parse_shard *shard, const struct batch_command *command,
                         const struct batch *batch, bool authenticated);

/* ---- parse_pause.c -------------------------------------------------------------------------- */

/* Whether the multibulk that the parser has just completed, whose arguments are in the table, has
 * to wait until a pause of clients is over. */
bool parse_pause_multibulk(const struct parse_shard *shard, const uint8_t *base,
                           const struct resp_argument *arguments, const struct resp_command *parsed,
                           bool authenticated);

/* Whether the region begins with an inline command that has to. */
bool parse_pause_inline(const struct parse_shard *shard, const struct parse_region *region,
                        bool authenticated);

/* ---- parse_reads.c -------------------------------------------------------------------------- */

/* A new connection. */
void parse_reads_open(const struct parse_shard *shard, struct parse_connection *connection,
                      uint32_t slot);

/* A batch of it, which is to be parsed. */
void parse_reads_begin(const struct parse_shard *shard, struct parse_connection *connection,
                       uint32_t slot);

/* What it waited for is home, and its replies were so long. */
void parse_reads_learn(const struct parse_shard *shard, struct parse_connection *connection,
                       uint32_t slot, uint64_t sent_bytes);

/* Counts a command that was added; true if the batch ends with it. */
bool parse_reads_count(const struct parse_shard *shard, struct parse_connection *connection,
                       const struct batch_command *command);

/* Whether nothing behind the batch, which is parsed, may be parsed before its replies are sent. */
bool parse_reads_wait(struct parse_connection *connection, const struct batch *batch);

/* ---- parse_carry.c -------------------------------------------------------------------------- */

/* The bytes of an unfinished command; the first one is the command's first. */
uint8_t *parse_carry_bytes(const struct parse_shard *shard, const struct parse_carry *carry);

/* The table of its arguments found so far, and room for its key hashes behind it. */
struct resp_argument *parse_carry_arguments(const struct parse_shard *shard,
                                            const struct parse_carry *carry);
uint64_t *parse_carry_hashes(const struct parse_shard *shard, const struct parse_carry *carry);

/* The connection has no carry: to be called before its first one. */
void parse_carry_none(struct parse_connection *connection);

/* Gives the block back, if there is one. */
void parse_carry_forget(struct parse_shard *shard, struct parse_connection *connection);

/* Lets go of the carry; returns its block, which now belongs to the caller. */
uint32_t parse_carry_release(struct parse_shard *shard, struct parse_connection *connection);

/* Gives the connection a carry of at least these capacities, keeping what is in it.  False if
 * there is no memory even after refusing others; then nothing has changed.  One that holds more
 * than PARSE_MOVE_BYTES_MAX is not moved here: parse_carry_prepare has made room. */
bool parse_carry_reserve(struct parse_shard *shard, struct parse_connection *connection,
                         uint32_t capacity_bytes, uint32_t argument_capacity);

/* Whether a carry has the room for a batch. */
enum parse_prepared { PARSE_PREPARED, PARSE_PREPARING, PARSE_NO_MEMORY };

/* Makes room in a large carry for all that a batch can add to it, in slices: PARSE_PREPARING means
 * that the units are spent, and it is to be called again. */
enum parse_prepared parse_carry_prepare(struct parse_shard *shard,
                                        struct parse_connection *connection, uint32_t added_bytes);

/* How large to make a carry that holds `have` bytes of a command which needs at least `needed`. */
uint32_t parse_carry_goal_bytes(uint32_t have, uint32_t needed);

#endif
