#ifndef WEIR_STAGES_BATCH_H
#define WEIR_STAGES_BATCH_H

/*
 * The batch: what travels through the stages.
 *
 * A batch is one piece of one connection's byte stream, as it was received, with its parsed form
 * beside it and room for its replies.  It is a preallocated slot; its number is the number of the
 * receive buffer that it owns, so giving the one back gives the other back, and "no batch left" is
 * the kernel's own "no buffer left": the client feels it as TCP backpressure.
 *
 * Ownership.  Exactly one stage owns a batch at any moment: `owner`, asserted at each hand-over.
 * A stage may touch a batch from the moment it dequeued its number until it enqueues it again.
 * Nothing in it is atomic; the ring's publish and consume order it.
 *
 *     stage       writes, while it owns the batch
 *     read        connection, sequence, length, flags
 *     parse       commands, arguments, key hashes, carry
 *     validate    fate and stamps of each command; the local replies
 *     replicate   index, term, place; links in its queues
 *     apply       the replies of reads and writes
 *     serialize   turns the replies into RESP where they stand; pieces
 *     write       nothing but what it needs to send; then the batch goes home to read
 *
 * A command refused on the way keeps travelling, marked with its reply, so order is kept.
 *
 * Memory beyond the slot.  A command that did not arrive in one piece is completed in the
 * connection's carry, a block of the parse shard's arena; replies that exceed the slot's room go to
 * blocks of apply's or validate's arena.  The batch holds these blocks (at most one of each sort);
 * write gives each back to its owner over a ring of its own when the last byte is sent.
 *
 * What arrives in pieces too many.  A batch holds at most BATCH_COMMANDS_MAX commands.  What
 * is behind them in the buffer goes to the connection's carry, and the batch is marked
 * BATCH_CONTINUE: when it comes home, read sends it round again without bytes of its own, and parse
 * goes on in the carry.
 *
 * What is watched.  A batch ends behind a WATCH and comes round again, and nothing of its
 * connection is parsed before it does: it brings validate the index after which the WATCH ran.  It
 * ends behind an EXEC, too, so that there is one at most in an entry.
 *
 * What waits.  Behind a WAIT nothing of its connection is parsed until it is answered, and no batch
 * is held for that long: replicate keeps what it waits for, the batch goes home without its answer
 * (BATCH_WAITING), and when the wait is over read sends another one round that bears the answer
 * (BATCH_GOES_ON), behind which parse goes on in the carry.
 *
 * A pause of clients (CLIENT PAUSE) is waited for in the same way: parse leaves the command that
 * has to wait in the carry, the batch with those before it goes home (BATCH_PAUSED), and read sends
 * another one round (BATCH_GOES_ON) when the pause is over.
 *
 *     parse: BATCH_WAITS ──► replicate: enough have it ──► answered ──► home ──► BATCH_GOES_ON
 *                                └─ not yet: BATCH_WAITING ──► home       (none to be written)
 *                                        └ later: HOME_WAIT_OVER ──► read ──► BATCH_GOES_ON
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "entry/transaction.h"
#include "stages/consistency.h"
#include "wire/reply.h"
#include "wire/reply_encode.h"
#include "wire/resp_parse.h"

/* The stages, in the order of a request's path. */
enum stage_id {
    STAGE_READ,
    STAGE_PARSE,
    STAGE_VALIDATE,
    STAGE_REPLICATE,
    STAGE_APPLY,
    STAGE_SERIALIZE,
    STAGE_WRITE,
    STAGE_COUNT,
};

enum {
    /* One receive buffer.  A pipeline of 128 SETs of 64-byte values is 14 KiB. */
    BATCH_BUFFER_BYTES = 16 * 1024,
    /* A buffer full of the shortest useful command ("PING\r\n" is 6 bytes) holds 2,730 of them;
       what exceeds this goes another round.  512 covers the deepest usual pipelines at once. */
    BATCH_COMMANDS_MAX = 512,
    /* Every argument that fits a buffer: each costs at least RESP_ARGUMENT_BYTES_MIN there; an
       inline line is bounded by its own table check.  2,730 rounded up. */
    BATCH_ARGUMENTS_MAX = 2736,
    /* 512 short replies (16 to 24 bytes each), or 170 values of 64 bytes. */
    BATCH_REPLY_BYTES = 16 * 1024,
    /* The replies of a batch that are long enough for parse to be careful with the connection: in
       its eight batches under way they would be 8 MiB. */
    BATCH_LONG_REPLIES_BYTES = 1024 * 1024,
    /* One piece for each command's stream, wherever it lies, and 64 for large values sent from
       where they stand. */
    BATCH_PIECES_MAX = BATCH_COMMANDS_MAX + 64,
};

_Static_assert(BATCH_ARGUMENTS_MAX >= BATCH_BUFFER_BYTES / RESP_ARGUMENT_BYTES_MIN,
               "every multibulk argument that fits the buffer has a slot");

/* wait_reached of a batch that goes on behind a WAIT whose answer is written already. */
#define BATCH_NO_ANSWER UINT32_MAX

/* Keys that one WATCH names at most. */
enum { BATCH_WATCH_KEYS_MAX = 512 };

/* No block. */
#define BATCH_NO_BLOCK UINT32_MAX

enum batch_flags {
    BATCH_OPEN = 1 << 0,        /* first of its connection: every stage resets that slot */
    BATCH_END = 1 << 1,         /* the connection's last, without bytes: every stage forgets it */
    BATCH_CONTINUE = 1 << 2,    /* parse has more in the carry: send it round again */
    BATCH_CLOSE_AFTER = 1 << 3, /* close the connection after this batch's replies (QUIT, error) */
    BATCH_ABORT = 1 << 4,       /* close at once, without further replies */
    BATCH_WAITS = 1 << 5,       /* parse: its last command is a WAIT, nothing is parsed behind it */
    BATCH_WAITING = 1 << 6,     /* replicate: ... which is not answered yet, nor by this batch */
    BATCH_GOES_ON = 1 << 7,     /* read: without bytes; the WAIT before it is over, or the pause */
    BATCH_PAUSED = 1 << 8,      /* parse: nothing is parsed behind it until a pause is over */
};

/* What becomes of a command.  Set by parse (only REFUSED) and validate. */
enum batch_fate {
    FATE_PARSED = 0, /* not yet judged */
    FATE_WRITE,      /* goes through the log */
    FATE_READ,       /* runs at its place in the order */
    FATE_LOCAL,      /* answered by validate: its reply stream stands in the batch or its block */
    FATE_REFUSED,    /* definitely not applied: `refusal` says why, apply writes the words */
    FATE_UNKNOWN,    /* proposed, and leadership lost: may or may not be applied */
};

/* Why a command was refused; stages/refusal.c has the words. */
enum batch_refusal {
    REFUSAL_NONE = 0,
    REFUSAL_UNKNOWN_COMMAND,
    REFUSAL_UNKNOWN_SUBCOMMAND,
    REFUSAL_ARITY,
    REFUSAL_NO_AUTH,
    REFUSAL_NOT_ALLOWED, /* the protocol state does not allow it */
    REFUSAL_MEMORY,      /* -OOM: the memory limit is reached */
    REFUSAL_DISK_FULL,   /* no room for the next log segment */
    REFUSAL_DISKS_FULL,  /* those that a majority needs */
    REFUSAL_OVERLOAD,    /* -TRYAGAIN */
    REFUSAL_ENTRY_SIZE,  /* the batch's writes exceed the largest entry */
    REFUSAL_KEY_SIZE,    /* a key is longer than the machine takes */
    REFUSAL_REPLY_SIZE,  /* the reply exceeds the reply memory */
    REFUSAL_NOT_LEADER,
    REFUSAL_STOPPING,
    REFUSAL_PROTOCOL,      /* not RESP: `row` is the resp_error, `detail` the byte found */
    REFUSAL_CARRY,         /* no memory left for unfinished commands; the connection closes */
    REFUSAL_ONCE_COMMAND,  /* ONCE with what is no write of the machine */
    REFUSAL_ONCE_NUMBER,   /* session or sequence */
    REFUSAL_ONCE_SYNTAX,   /* ONCE.OPEN */
    REFUSAL_ONCE_LIFETIME, /* ONCE.OPEN */
    REFUSAL_WATCH_KEYS,    /* more than BATCH_WATCH_KEYS_MAX */
    REFUSAL_COUNT,
};

/* Where a command is to be found: in the machine's table, among ours, or nowhere. */
enum batch_table { TABLE_NONE = 0, TABLE_MACHINE, TABLE_CONNECTION };

/* What a command has to do with client sessions; see stages/once.h. */
enum batch_once {
    BATCH_ONCE_NONE = 0,
    BATCH_ONCE,      /* set by parse: the inner command of an ONCE */
    BATCH_ONCE_OPEN, /* set by validate: an ONCE.OPEN, accepted */
};

/* One command.  Offsets of arguments count from `base`. */
struct batch_command {
    uint8_t *base;  /* its first byte, in the receive buffer or in the carry */
    uint8_t *reply; /* its reply stream; after serialize meaningless */
    uint32_t reply_bytes;
    uint32_t argument_first; /* of the name, in batch->arguments */
    uint32_t argument_count; /* with the name */
    union {
        uint32_t key_first; /* in batch->key_hashes */
        uint32_t
            local_us; /* of a command about connections: how long validate took, with waiting */
    };
    uint32_t key_count;
    uint16_t row;         /* in its table */
    uint8_t table;        /* enum batch_table */
    uint8_t fate;         /* enum batch_fate */
    uint8_t refusal;      /* enum batch_refusal */
    uint8_t resp_version; /* 2 or 3: stamped by validate, valid for this command's reply */
    uint8_t is_inline;
    uint8_t detail;         /* more about the refusal, or validate's note to itself */
    uint8_t once;           /* enum batch_once */
    uint8_t reads;          /* enum read_mode, stamped by validate; for a read */
    uint8_t reads_anywhere; /* it may be answered as READ_STALE where nobody leads; likewise */
    uint8_t silent;         /* its reply is not sent: CLIENT REPLY; likewise */
};
_Static_assert(sizeof(struct batch_command) == 48, "three to two cache lines");

/* A connection: the slot in everybody's tables, and which life of the slot. */
struct batch_connection {
    uint32_t slot;
    uint32_t generation;
};

struct batch {
    /* fixed when the pool is made */
    uint32_t id;    /* == number of its receive buffer */
    uint8_t *bytes; /* BATCH_BUFFER_BYTES */
    struct batch_command *command_slots;
    struct resp_argument *argument_slots;
    uint64_t *key_hash_slots;
    uint8_t *reply_room; /* BATCH_REPLY_BYTES */
    struct reply_piece *piece_slots;

    /* hand-over */
    uint8_t owner;        /* enum stage_id */
    uint8_t lane;         /* the shard that it visits of each stage: 0, the first */
    uint8_t read_shard;   /* the one it goes home to: 0 */
    uint16_t flags;       /* enum batch_flags */
    uint32_t owner_epoch; /* how often its connection has moved to other shards: 0, never yet */

    /* read */
    struct batch_connection connection;
    int32_t socket;        /* write's handle for this connection */
    uint32_t length_bytes; /* received; 0 in a continuation */
    uint64_t sequence;     /* of this batch in its connection, from 0, without gaps */
    uint64_t received_ns;
    uint32_t wait_reached; /* with BATCH_GOES_ON: WAIT's answer, or BATCH_NO_ANSWER.  Replicate sets
                              it for a WAIT that it answers at once */

    /* parse: the tables are the slots above, or lie in the carry block if it needs larger ones */
    struct batch_command *commands;
    struct resp_argument *arguments;
    uint64_t *key_hashes;
    uint32_t command_count;
    uint32_t argument_count;
    uint32_t key_count;
    uint32_t carry_block; /* of the parse shard's arena, or BATCH_NO_BLOCK */

    /* validate */
    uint64_t judged_ms; /* wall clock */
    uint32_t write_count;
    uint32_t read_count;
    uint32_t write_entry_bytes; /* the body of its entry */
    uint64_t growth_bytes;    /* what its commands that amplify may need of the machine's memory */
    uint32_t long_classes;    /* in which of node_validate_figures.long_batches it is: bits */
    uint8_t reads;            /* the strictest enum read_mode of its commands */
    uint32_t local_block;     /* of validate's arena, or BATCH_NO_BLOCK */
    uint32_t wait_members;    /* with BATCH_WAITS: for how many WAIT waits, */
    uint64_t wait_timeout_ms; /* and for how long at most; 0: for ever */
    /* If its last command is an EXEC that was accepted: the arguments of its record
       (entry/transaction.h), in a local block. */
    struct entry_argument exec[ENTRY_TRANSACTION_ARGUMENTS];

    /* replicate */
    uint64_t index; /* of its entry, or 0 */
    uint64_t term;
    uint64_t place;        /* reads run once this index is applied */
    uint64_t round;        /* ... and this round of reads is confirmed */
    uint32_t next;         /* link in a queue of replicate's, or BATCH_NO_BLOCK */
    uint32_t readers_head; /* batches that run right after this one's entry */
    uint32_t readers_tail;

    /* apply */
    struct reply_writer reply;
    uint32_t reply_block; /* of apply's arena, or BATCH_NO_BLOCK */
    /* If its last command is a WATCH that was accepted: the index after which it ran, 0 as long as
       it did not, and which of its keys were there, a bit each.  The batch comes round again and
       brings it to validate. */
    uint64_t watch_index;
    uint64_t watch_present[BATCH_WATCH_KEYS_MAX / 64];

    /* serialize */
    struct reply_pieces pieces;

    /* write */
    uint32_t pieces_sent;
    uint32_t piece_sent_bytes;
};

/* Asserts that `from` owns the batch and makes `to` its owner; the caller then enqueues it. */
static inline void batch_hand_over(struct batch *batch, enum stage_id from, enum stage_id to) {
    ASSERT_HOT(batch->owner == from);
    ASSERT_HOT(to < STAGE_COUNT && to != from);
    batch->owner = (uint8_t)to;
}

/* Argument `index` (0 is the name) of a command. */
static inline const uint8_t *batch_argument(const struct batch *batch,
                                            const struct batch_command *command, uint32_t index,
                                            uint32_t *length_bytes) {
    ASSERT_HOT(index < command->argument_count);
    const struct resp_argument *argument = &batch->arguments[command->argument_first + index];
    *length_bytes = argument->length;
    return command->base + argument->offset;
}

#endif
