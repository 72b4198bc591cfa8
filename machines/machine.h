#ifndef WEIR_MACHINES_MACHINE_H
#define WEIR_MACHINES_MACHINE_H

/*
 * The machine: the deterministic state machine that applies the log.
 *
 * A machine is a struct of C functions.  It sees bytes, the index, the log time and a random
 * source derived from them, and nothing else: no clock, no system call, no thread, no memory but
 * what its host gives it.  Two machines that are given the same entries in the same order are in
 * the same state and gave the same replies; that is the whole of replication.
 *
 * Commands are data: a const table says name, id, arity, flags and where the keys are.  Parse and
 * validate read the table; the machine is asked only for what a table cannot say.
 *
 * Reads and writes.  A write comes from a committed log entry, on every replica, and always
 * applies: whatever could refuse it was decided before it entered the log (validate), or is a
 * reply (a wrong type, an absent key).  A read never changes the machine, on no replica.  Its
 * moment carries the leader's clock, for answers such as a remaining time to live.
 *
 * Partitions.  The key space is cut into a fixed number of partitions, a power of two given at
 * creation, by the top bits of the key's hash (MACHINE_PARTITION).  A partition shares nothing
 * with another one: each has its table, its memory, its digest, so that threads can later own
 * different partitions.  A machine that declares one partition is always executed by one thread.
 *
 * Nothing long in one call.  A call is given a budget in units of about 100 ns (the visit of a
 * key, a hundred bytes copied).  A function that could take longer returns MACHINE_MORE, having
 * kept its place in the cursor, and is called again; between the calls the partitions concerned
 * are given nothing else to do.  The long ones are KEYS, FLUSHALL, a million-argument MSET,
 * growing a table, restore, snapshot and freeing: all of them must return within the budget.
 *
 * Any budget of at least 1 makes progress.  It may be overrun by the smallest step that leaves
 * things whole: one split of a hash table's segment (450 units), 4 KiB of a value, or one key,
 * which is at most key_bytes_max long.
 *
 * Memory.  A machine takes pages from its host and counts them (memory_bytes).  The host refuses
 * MACHINE_GROWS commands before the log when its limit is reached (-OOM); what is in the log is
 * always applied.  So the limit must leave room for what may already be in the log then, at most
 * twice the bytes of the uncommitted and unapplied entries, and 25 % of the content for rounding.
 * A short command that may make a long value (MACHINE_AMPLIFIES) tells before how long, and is
 * refused unless that fits with what those under way may need.
 * If pages_take has none left in the middle of an apply, the machine aborts the process with a
 * sentence: a replica that cannot apply must stop, since going on would be to differ, and the log
 * still has the entry.  create, snapshot_begin and restore have somebody to tell: WEIR_ENOMEM.
 *
 * Replies are written as a protocol-neutral stream (wire/reply.h); serialize makes RESP of it.
 *
 * Threads: all calls on one machine come from one thread at a time, except `validate` and the
 * tables, which are pure and may be used from any thread at any time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/reply.h"

/* Raised when this header changes incompatibly.  The built-in machines are compiled with it; it is
 * there for machines from a file, which this version of weir does not load. */
#define MACHINE_ABI_VERSION 2u

/* The partition of a key: the top bits of its hash.  partition_bits is in [0, 8]. */
static inline uint32_t machine_partition(uint64_t key_hash, uint32_t partition_bits) {
    return partition_bits == 0 ? 0 : (uint32_t)(key_hash >> (64 - partition_bits));
}

/*
 * Hash of a key, computed once, by parse.  A key may hold a {tag}: the bytes between the first
 * '{' and the first '}' after it, if not empty.  The top 16 bits of the hash then come from the
 * tag, so that all keys of a tag share a partition; the other 48 from the whole key.  Without a
 * tag all 64 come from the key.  (XXH3-64; seed from the log's genesis record.)
 */
uint64_t machine_key_hash(const uint8_t *key, uint32_t length_bytes, uint64_t seed);

enum machine_command_flags {
    MACHINE_READ = 1 << 0,      /* never changes the machine; does not enter the log */
    MACHINE_WRITE = 1 << 1,     /* goes through the log */
    MACHINE_GROWS = 1 << 2,     /* may need memory: refused (-OOM) when the limit is reached */
    MACHINE_FAST = 1 << 3,      /* O(1) or O(log n): shown by COMMAND as "fast" */
    MACHINE_ALL_KEYS = 1 << 4,  /* touches every partition (FLUSHALL, KEYS, DBSIZE, SCAN) */
    MACHINE_UNORDERED = 1 << 5, /* the order of its reply depends on the hash seed */
    MACHINE_CLOCK = 1 << 6,     /* its reply depends on the clock (TTL) */
    MACHINE_ODD_KEYS = 1 << 7,  /* its keys are not, or not all, where first/last/step say, which
                                   are what COMMAND shows: key_positions says where they are */
    MACHINE_AMPLIFIES = 1 << 8, /* with MACHINE_GROWS: may need more than its own bytes account for,
                                   see growth_bytes */
};

enum {
    MACHINE_NAME_BYTES_MAX = 64,   /* no command's name is longer */
    MACHINE_SINK_BYTES_MAX = 4096, /* a machine never asks a sink for more at a time */
    /* The reply of a write that answers a number, a status, or an error of one sentence: the room
       without which such a write is not begun. */
    MACHINE_WRITE_REPLY_BYTES = 256,
    /* Where the keys of an odd command are shows in its first so many arguments.  The longest is
       SORT with 20 GETs before its STORE. */
    MACHINE_KEY_ARGUMENTS_MAX = 64,
    /* ZUNIONSTORE destination numkeys key [key ...]: the destination, and the keys. */
    MACHINE_KEY_RUNS_MAX = 2,
};

/* Where the keys of one command are: `count` arguments from `first` (0 is the first after the
 * name), every `step`th; the first run's come before the second's.  All lie among the arguments. */
struct machine_keys {
    struct machine_key_run {
        uint32_t first;
        uint32_t step;
        uint32_t count; /* 0: there is no such run */
    } run[MACHINE_KEY_RUNS_MAX];
};

/* One row of a machine's command table. */
struct machine_command {
    const char *name;      /* lower case */
    const char *summary;   /* one sentence, for COMMAND DOCS */
    const char *arguments; /* as a person writes them: "key value [NX | XX] ..." */
    const char *group;     /* "string", "generic", ... */
    const char *since;     /* Redis's version of first appearance, or this machine's */
    uint16_t id;           /* 1 to 0xfeff; in the log for ever: never reused, never renumbered */
    int16_t arity;         /* with the name; negative: at least that many (as Redis has it) */
    uint32_t flags;        /* enum machine_command_flags */
    int16_t first_key;     /* 1 is the first argument after the name; 0: no keys */
    int16_t last_key;      /* negative: from the end, -1 is the last argument */
    int16_t key_step;
};

/* One argument: borrowed bytes.  The command's name is never among them. */
struct machine_argument {
    const uint8_t *data;
    uint32_t length_bytes;
};

/* One command to execute. */
struct machine_operation {
    const struct machine_argument *arguments;
    const uint64_t *key_hashes; /* in the order of machine_keys_find */
    uint32_t argument_count;
    uint32_t key_count;
    uint16_t command_id;
    uint16_t row;         /* its row in the machine's command table */
    uint32_t reply_bytes; /* out: how much it wrote to the reply stream */
    uint8_t *reply;       /* NULL; out: where its reply begins; NULL: nobody listens, or it did
                                not fit.  Leave it alone between the slices of an operation. */
};

/* When and where in history the operations of one call happen. */
struct machine_moment {
    uint64_t index;       /* of the entry; for a read: the last entry applied */
    uint64_t log_time_ms; /* of that entry: what is expired is decided by this */
    uint64_t clock_ms;    /* max(log time, leader's clock): reads only; writes must not look */
    uint64_t random;      /* seed of this entry's random choices; 0 for reads */
};

/* A key that was watched: as it was after an entry. */
struct machine_watch {
    struct machine_argument key;
    uint64_t hash;
    uint64_t index; /* of that entry */
    bool present;   /* the key was there */
};

/* Where a resumable call left off.  Zeroed by the host before the first call of an operation. */
struct machine_cursor {
    uint64_t word[8];
};

/*
 * A run of operations in order.  On a leader it is one batch, its reads between its writes as the
 * client sent them; on a follower the writes of one entry.
 */
struct machine_run {
    struct machine_operation *operations;
    uint32_t count;
    uint32_t next; /* in and out: the first operation not yet finished */
    struct machine_moment moment;
    struct reply_writer *reply;   /* NULL: nobody listens (a follower) */
    struct machine_cursor cursor; /* of operation `next` */
    uint32_t budget;              /* units left; at 0 the call returns MACHINE_MORE, and with some
                                     left only where an emit is needed first */
};

enum machine_progress {
    MACHINE_DONE = 0,       /* next == count */
    MACHINE_MORE = 1,       /* out of budget: call again */
    MACHINE_REPLY_FULL = 2, /* operations[next] has no room for its reply: nothing of it is in the
                               stream, a write has changed nothing yet, and reply->overflow_bytes
                               tells how much room it needs.  Begin the writer anew with that room
                               and call again (the cursor has been zeroed).  Without that room,
                               answer in a read's place and skip it; but a write is applied whatever
                               its reply costs: set run->reply to NULL, so that nobody listens, call
                               again, and close the connection. */
};

/* What validate says of a command before it may cost a quorum. */
enum machine_verdict {
    MACHINE_ACCEPT = 0,
    MACHINE_REFUSE = 1, /* an error reply was written; it definitely will not be applied */
};

/* The memory a machine may use, counted by its host; pages, not objects. */
struct machine_host {
    void *context;
    /* Zeroed memory of a multiple of 4096 bytes, 4096-aligned; NULL when the host has none left.
       A machine asks for 64 KiB to 1 MiB at a time, or for one long value, and cuts it up itself:
       so this is rare, and may be a system call in the middle of an apply. */
    void *(*pages_take)(void *context, size_t length_bytes);
    /* Gives back what was taken: whole, or, of a block of more than 1 MiB, in parts of a multiple
       of 4096 bytes. */
    void (*pages_give)(void *context, void *memory, size_t length_bytes);
};

struct machine_options {
    uint32_t partition_bits;  /* partitions = 1 << partition_bits; [0, 8] */
    uint64_t hash_seed;       /* from the genesis record */
    uint32_t value_bytes_max; /* largest string a command may build */
};

struct machine; /* the machine's own */

/* Receives a snapshot's bytes; a false answer means "full for now": stop and return MORE. */
struct machine_sink {
    void *context;
    /* Room for up to length_bytes contiguous bytes, or NULL if full for now. */
    uint8_t *(*reserve)(void *context, uint32_t length_bytes);
    void (*commit)(void *context, uint32_t length_bytes);
};

struct machine_operations {
    uint32_t abi_version; /* MACHINE_ABI_VERSION */
    uint32_t version;     /* of the machine's behaviour and snapshot format */
    const char *name;
    const struct machine_command *commands;
    uint32_t command_count;
    uint32_t key_bytes_max;      /* longer keys are refused where they are hashed (parse): a key is
                                    copied and compared in one piece */
    uint32_t partition_bits_max; /* 0: this machine has one partition */

    /* Creates an empty machine.  Errors: WEIR_ENOMEM (the host had no pages). */
    int (*create)(struct machine **out, const struct machine_host *host,
                  const struct machine_options *options);

    /* Gives all memory back, in slices: MACHINE_MORE until it is all gone. */
    enum machine_progress (*destroy)(struct machine *machine, uint32_t budget);

    /*
     * Pure: judges a command's form beyond its arity (numbers, options), so that nonsense does not
     * cost a quorum.  Writes the error reply on MACHINE_REFUSE.  Must not accept what `execute`
     * would refuse for its form.
     */
    enum machine_verdict (*validate)(uint32_t row, const struct machine_argument *arguments,
                                     uint32_t argument_count, const struct machine_options *options,
                                     struct reply_writer *error);

    /*
     * Pure: where the keys of a MACHINE_ODD_KEYS command are, whose arity suits; called by parse
     * before validate.  It may look at the first min(argument_count, MACHINE_KEY_ARGUMENTS_MAX)
     * arguments.  Where these make no sense, which validate then refuses, it says as many keys as
     * it likes, or none.  `keys` comes zeroed.  NULL if no command is odd: a machine that has such
     * a command, and no key_positions, is refused at start.
     */
    void (*key_positions)(uint32_t row, const struct machine_argument *arguments,
                          uint32_t argument_count, struct machine_keys *keys);

    /*
     * Pure: what a MACHINE_AMPLIFIES command, which validate accepts, may need beside its own
     * bytes, at most; `longest_bytes` is the longest value that it may find.  The host refuses it
     * (-OOM) unless as much is left below its limit.  *value_bytes is how long a value it may make,
     * 0 if no longer than what it may find.  NULL if no command amplifies.
     */
    uint64_t (*growth_bytes)(uint32_t row, const struct machine_argument *arguments,
                             uint32_t argument_count, uint64_t longest_bytes,
                             uint64_t *value_bytes);

    /* Executes a run, prefetching over it. */
    enum machine_progress (*execute)(struct machine *machine, struct machine_run *run);

    /*
     * Tells the machine the log time of an entry without commands.  Also the place of sliced
     * housekeeping that no reply and no digest shows: growing a table, removing what has expired,
     * freeing what was flushed.  MACHINE_MORE while there is more to do; during a snapshot the
     * room for it may have to be made by snapshot_emit.
     */
    enum machine_progress (*maintain)(struct machine *machine, uint64_t log_time_ms,
                                      uint32_t budget);

    /* The earliest log time at which something expires; UINT64_MAX if nothing does.  May lie in
       the past until maintain has returned MACHINE_DONE. */
    uint64_t (*next_deadline_ms)(const struct machine *machine);

    /*
     * Snapshot.  begin fixes the state as of now (index and log time are the moment's); it is
     * called between runs, not between the slices of one.  From then on emit writes slices of that
     * state while execute goes on: a record that is about to change and was not yet written is
     * written (or kept) first, so that the bytes describe exactly the state at begin.  Where that
     * cannot be done at once, execute and maintain return MACHINE_MORE before the change, and go
     * on after an emit whose sink had room; so a host that gets MACHINE_MORE calls emit before it
     * calls again.  end releases whatever was kept, after the last slice or to abandon it.  At most
     * one at a time.
     *
     * Errors of begin: WEIR_ENOMEM; WEIR_EAGAIN, what an abandoned snapshot left is not yet in
     * order: call maintain until it returns MACHINE_DONE.
     */
    int (*snapshot_begin)(struct machine *machine, const struct machine_moment *moment);
    enum machine_progress (*snapshot_emit)(struct machine *machine, const struct machine_sink *sink,
                                           uint32_t budget);
    void (*snapshot_end)(struct machine *machine);

    /*
     * Restore into an empty machine, from bytes whose checksum was verified, in any slicing;
     * `version` is the one that wrote them.  MACHINE_DONE: all are consumed, the next may come.
     * MACHINE_MORE: out of budget, *consumed says how far.
     * Errors (negative, base/error.h): WEIR_ECORRUPT, WEIR_EVERSION, WEIR_ENOMEM; then the machine
     * may only be destroyed.
     */
    int (*restore)(struct machine *machine, uint32_t version, const uint8_t *bytes,
                   size_t length_bytes, size_t *consumed, uint32_t budget);
    /* After the last byte.  Errors: WEIR_ECORRUPT if the snapshot was not complete. */
    int (*restore_end)(struct machine *machine);

    /*
     * For WATCH; NULL, both, if keys cannot be watched. holds: whether the key is there at a
     * moment. changed: whether the key was changed, removed or expired since it was watched, seen
     * from a moment that is not earlier; true in vain now and then, never false if it was. The
     * answer is the same on every replica that has applied the same entries.
     */
    bool (*holds)(const struct machine *machine, const struct machine_argument *key, uint64_t hash,
                  const struct machine_moment *moment);
    bool (*changed)(const struct machine *machine, const struct machine_watch *watch,
                    const struct machine_moment *moment);

    /*
     * The running digest of a partition: folded from (index, key hash, bytes changed) of every
     * change, so equal histories give equal digests and it costs a few ns a write.  Part of the
     * snapshot.
     */
    uint64_t (*digest)(const struct machine *machine, uint32_t partition);

    /* A digest of the whole content, independent of history and layout; sliced like restore
       (cursor zeroed first; *digest is complete on MACHINE_DONE).  For tests and snapshots. */
    enum machine_progress (*digest_full)(struct machine *machine, struct machine_cursor *cursor,
                                         uint32_t budget, uint64_t *digest);

    /* Bytes in use and records held: for the memory limit, INFO and tests.  In use are whole pages
       that hold something; pages kept for reuse are not. */
    uint64_t (*memory_bytes)(const struct machine *machine);
    uint64_t (*record_count)(const struct machine *machine);

    /* No value held is longer; it may be more, since it does not fall.  NULL if no command
       amplifies. */
    uint64_t (*longest_bytes)(const struct machine *machine);

    /* Switches behaviour to a newer version at a log entry.  Errors: WEIR_EVERSION.  Not called by
       this version of weir: nothing in its log says that there is a newer one. */
    int (*upgrade)(struct machine *machine, uint32_t from_version, uint32_t to_version);
};

/* The built-in machines. */
extern const struct machine_operations machine_kv;
extern const struct machine_operations machine_log;

/* The built-in machine of that name, or NULL. */
const struct machine_operations *machine_find(const char *name);

/* The row of a command by name in any case, or -1.  O(1); `index` was built by machine_index. */
struct machine_name_index {
    uint32_t mask;       /* of the slots */
    uint16_t slot[1024]; /* row + 1, or 0; open addressing over a case-folded hash */
};
void machine_name_index_build(struct machine_name_index *index,
                              const struct machine_operations *operations);
int32_t machine_name_find(const struct machine_name_index *index,
                          const struct machine_operations *operations, const uint8_t *name,
                          uint32_t length_bytes);

/*
 * Where the keys of a command are whose arity suits: by the table, or by key_positions.  Only a
 * MACHINE_ODD_KEYS command looks at `arguments`, and at no more than MACHINE_KEY_ARGUMENTS_MAX of
 * them; for others it may be NULL.  Pure.
 */
void machine_keys_find(const struct machine_operations *operations, uint32_t row,
                       const struct machine_argument *arguments, uint32_t argument_count,
                       struct machine_keys *keys);

/* How many keys these are, and which argument the key'th is. */
static inline uint32_t machine_keys_count(const struct machine_keys *keys) {
    return keys->run[0].count + keys->run[1].count;
}
static inline uint32_t machine_keys_at(const struct machine_keys *keys, uint32_t key) {
    const struct machine_key_run *run = &keys->run[key >= keys->run[0].count];
    return run->first + run->step * (key - (run == keys->run ? 0 : keys->run[0].count));
}

/*
 * For machines: notes where the reply of operations[next], which is about to be executed or to go
 * on, begins.  MACHINE_REPLY_FULL: it is a write that was not begun, and there is less room than
 * MACHINE_WRITE_REPLY_BYTES; otherwise MACHINE_DONE.
 */
enum machine_progress machine_reply_start(struct machine_run *run, bool is_write);

/*
 * For machines: what to do about the reply of operations[next], which has just been executed and
 * wrote from operation->reply on.  MACHINE_DONE: it is there.  MACHINE_REPLY_FULL: it did not fit,
 * and the stream is as described at that name; a write must not have changed anything then.
 */
enum machine_progress machine_reply_finish(struct machine_run *run);

/* The row of a command id, or -1. */
int32_t machine_id_find(const struct machine_operations *operations, uint16_t id);

#endif
