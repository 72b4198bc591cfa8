#ifndef WEIR_MACHINES_KV_H
#define WEIR_MACHINES_KV_H

/*
 * kv, the Redis-like store: what its files share. Outside, only machines/machine.h is included.
 *
 *     kv.c            create, destroy, maintain: the life of a machine
 *     kv_execute.c    a run of operations: prefetch, dispatch, replies that do not fit
 *     kv_commands.c   the command table      kv_rows*.h     its rows, a file for each type
 *     kv_keys.c       where the keys of commands like ZUNION are
 *     kv_options.c    the options of SET, EXPIRE and SCAN, read once for validate and execute
 *     kv_store.c      finding and changing one record, with its deadline, digest and snapshot
 *     kv_string.c     GET SET APPEND ...      kv_generic.c   DEL EXPIRE FLUSHALL ...
 *     kv_getset.c     GETDEL, GETEX, CAS      kv_rename.c    RENAME, COPY
 *     kv_range.c      GETRANGE, SETRANGE      kv_object.c    OBJECT, RANDOMKEY
 *     kv_memory.c     MEMORY USAGE
 *     kv_number.c     INCR, INCRBYFLOAT ...   kv_float.c     its arithmetic
 *     kv_bits.c       SETBIT, BITCOUNT ...    kv_bitop.c     BITOP
 *     kv_lcs.c        LCS                     kv_options_bits.c  the options of these
 *     kv_validate.c   what is refused before it enters the log
 *     kv_scan.c       KEYS, SCAN, DBSIZE      kv_pattern.c   their patterns
 *     kv_set.h        sets                    kv_scan_elements.c  HSCAN, SSCAN, ZSCAN
 *     kv_list.h       lists                   kv_sort.h      SORT, SORT_RO
 *     kv_snapshot.c   begin, emit, end        kv_restore.c   the way back
 *     kv_digest.c     what replicas compare     kv_watch.c    what WATCH asks
 *     kv_pick.c       a random choice that is the same on every replica
 *     kv_packed.c, kv_tree.c   small collections in one piece; sequences by rank and order
 *     kv_table.c, kv_expiry.c, kv_record.h   a partition's data;  memory.c, vector.c below them
 *
 * A partition is a space (table, deadlines, memory), its running digest, and blocks of flushed
 * spaces on their way back to the host.
 *
 * Time. A key is absent at log time >= its deadline, whether or not its record is still there.
 * Commands therefore ask kv_find, which knows the time; only maintain removes what is due.
 *
 * Slices. A command that runs out of budget returns KV_MORE and keeps its place in the run's
 * cursor. Until it has finished, nothing else is executed, so it may keep addresses of records.
 * The words of the cursor:
 *
 *     0, 1   the command's own: index of the key it is at, a count
 *     2..4   kv_store_value: the object apart, how much of it is filled, the digest so far
 *     5, 6   kv_reply_value: where the reserved reply lies, how much of it is written
 *     7      the command's own
 */

#include "machines/kv_expiry.h"
#include "machines/kv_pattern.h"
#include "machines/kv_rows.h"
#include "machines/kv_sources.h"
#include "machines/kv_table.h"

enum {
    KV_SLICE_BYTES = 4096,  /* values are copied and digested in pieces of this */
    KV_UNIT_BYTES = 100,    /* a unit of budget copies this much */
    KV_PREFETCH_COUNT = 32, /* operations fetched ahead at a time */
    KV_PARTITION_BITS_MAX = 8,
    /* Of kv_watch.c, in all partitions together, 8 bytes each. A key that is watched and absent is
     * taken for a changed one if any of those removed meanwhile is in its cell: one in a hundred
     * times while 20 are. */
    KV_GONE_CELLS = 2048,
};

/* Everything of a partition that a flush throws away. Movable. */
struct kv_space {
    struct memory memory;
    struct kv_table table;
    struct kv_expiry expiry;
    struct kv_collection *graveyard; /* large collections to be given back (kv_collection.h) */
};

/* One key range, which shares nothing with the others. */
struct kv_partition {
    struct kv_space space;
    struct memory_retired retired;
    uint64_t digest;
    uint64_t changed; /* index of the entry that changed anything in it last */
    uint64_t flushed; /* that, as it was before the last flush */
};

struct kv_element;  /* kv_collection.h */
struct kv_snapshot; /* kv_snapshot.c */
struct kv_restore;  /* kv_restore.c */

struct kv {
    struct machine_host host;
    struct machine_options options;
    uint32_t partition_count;
    uint32_t flushing;            /* a hint: some partition may have retired blocks */
    uint64_t log_time_ms;         /* the latest that the machine was told */
    uint64_t fresh_pages;         /* of all partitions, used for the first time */
    uint64_t fresh_pages_paid;    /* of these, taken off a budget */
    uint64_t length_bytes;        /* of this struct with its partitions, as taken from the host */
    uint32_t parity;              /* KV_EMITTED or 0: what records not needed by a snapshot have */
    struct kv_snapshot *snapshot; /* NULL: none, and none being swept */
    struct kv_restore *restore;   /* NULL: not restoring */
    uint32_t destroy_partition;
    /* Of a value, since create, with what the elements of a large collection cost beside their own
     * bytes; values up to KV_INLINE_BYTES_MAX count as so. */
    uint64_t longest_bytes;
    uint64_t draws;            /* RANDOMKEYs so far: no other reply, and no digest, shows it */
    uint64_t *gone;            /* KV_GONE_CELLS, in this struct's piece of memory */
    void *scratch;             /* of the LCS or SORT in execution; NULL: none */
    uint64_t scratch_bytes;    /* as taken from the host */
    struct kv_sources sources; /* of the ZUNION, or its like, in execution */
    struct kv_partition partition[];
};

/* ---- One command in execution (kv_execute.c) ------------------------------------------------- */

/* Whether a command has finished, or must be called again with its cursor. */
enum kv_step { KV_DONE, KV_MORE };

struct kv_call {
    struct kv *kv;
    struct machine_run *run;
    const struct machine_operation *operation;
    struct reply_writer *reply; /* NULL: nobody listens */
    struct machine_cursor *cursor;
    uint64_t now_ms; /* log time: decides what is there */
};

#define KV_ROW_NUMBER(row, ...) KV_ROW_##row,
/* Rows of the command table (kv_rows.h), in its order. */
enum kv_row { KV_ROWS_ALL(KV_ROW_NUMBER) KV_ROWS };
#undef KV_ROW_NUMBER

/* The command table, by enum kv_row. */
extern const struct machine_command kv_commands[KV_ROWS];

/* A page fault: 2 us of clearing and mapping 4 KiB, measured on a virtual machine. */
enum { KV_FRESH_PAGE_UNITS = 20 };

/* Takes units from the run's budget, and what the pages have cost that were used for the first
 * time since the last call; it never falls below 0. */
static inline void kv_spend(struct kv_call *call, uint64_t units) {
    struct machine_run *run = call->run;
    units += (call->kv->fresh_pages - call->kv->fresh_pages_paid) * KV_FRESH_PAGE_UNITS;
    call->kv->fresh_pages_paid = call->kv->fresh_pages;
    run->budget -= units < run->budget ? (uint32_t)units : run->budget;
}

/* Replies of a kind, if somebody listens. */
static inline void kv_reply_integer(struct kv_call *call, int64_t value) {
    if (call->reply != NULL)
        reply_integer(call->reply, value);
}

/* As kv_reply_integer: +OK. */
static inline void kv_reply_ok(struct kv_call *call) {
    if (call->reply != NULL)
        reply_ok(call->reply);
}

/* As kv_reply_integer: the null of a missing value. */
static inline void kv_reply_null(struct kv_call *call) {
    if (call->reply != NULL)
        reply_null(call->reply);
}

/* An error; `error` may be NULL. */
void kv_error(struct reply_writer *error, const char *text);

/* Redis's texts that several commands use. */
extern const char kv_error_not_integer[];
extern const char kv_error_syntax[];
extern const char kv_error_too_long[];
extern const char kv_error_not_float[];
extern const char kv_error_wrong_type[];

/* machine_operations.execute (kv_execute.c) and .validate (kv_validate.c). */
enum machine_progress kv_execute(struct machine *machine, struct machine_run *run);
enum machine_verdict kv_validate(uint32_t row, const struct machine_argument *arguments,
                                 uint32_t argument_count, const struct machine_options *options,
                                 struct reply_writer *error);

/* machine_operations.key_positions (kv_keys.c). */
void kv_key_positions(uint32_t row, const struct machine_argument *arguments,
                      uint32_t argument_count, struct machine_keys *keys);

/* machine_operations.growth_bytes (kv_validate.c). */
uint64_t kv_growth_bytes(uint32_t row, const struct machine_argument *arguments,
                         uint32_t argument_count, uint64_t longest_bytes, uint64_t *value_bytes);

/* ---- Options (kv_options.c); each returns false after writing the error ---------------------- */

/* What SET was asked for beside key and value. */
struct kv_set_options {
    bool only_absent;  /* NX */
    bool only_present; /* XX */
    bool get;
    bool keep_ttl;
    bool relative;     /* EX, PX: from log time */
    bool expires;      /* one of EX PX EXAT PXAT */
    int64_t amount_ms; /* checked: > 0 */
};
bool kv_options_set(const struct machine_argument *arguments, uint32_t count,
                    struct kv_set_options *options, struct reply_writer *error);

/* SETEX and PSETEX: the amount of time alone. row: theirs. */
bool kv_options_setex(uint32_t row, const struct machine_argument *arguments,
                      struct kv_set_options *options, struct reply_writer *error);

/* What GETEX was asked for. Its amount is read only if the key is there: Redis answers null for an
 * absent key whatever the amount. */
struct kv_getex_options {
    bool persist;
    const struct machine_argument *amount; /* NULL: none of EX PX EXAT PXAT */
    bool relative;
    int64_t unit_ms;
};
bool kv_options_getex(const struct machine_argument *arguments, uint32_t count,
                      struct kv_getex_options *options, struct reply_writer *error);
bool kv_options_getex_amount(const struct kv_getex_options *options, struct kv_set_options *amount,
                             struct reply_writer *error);

/* What CAS was asked for beside key, expected and new value. */
struct kv_cas_options {
    bool absent;               /* the key is expected to be absent */
    bool removes;              /* DELETE: the key is removed */
    struct kv_set_options set; /* the new value's deadline */
};
bool kv_options_cas(const struct machine_argument *arguments, uint32_t count,
                    struct kv_cas_options *options, struct reply_writer *error);

/* COPY source destination [DB 0] [REPLACE] */
bool kv_options_copy(const struct machine_argument *arguments, uint32_t count, bool *replace,
                     struct reply_writer *error);

/* What EXPIRE and PEXPIRE, EXPIREAT and PEXPIREAT were asked for. */
struct kv_expire_options {
    bool only_without; /* NX */
    bool only_with;    /* XX */
    bool only_later;   /* GT */
    bool only_earlier; /* LT */
    bool relative;     /* EXPIRE, PEXPIRE: from log time */
    int64_t amount_ms;
};
/* row: KV_ROW_EXPIRE or KV_ROW_EXPIREAT (seconds), KV_ROW_PEXPIRE or KV_ROW_PEXPIREAT. */
bool kv_options_expire(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                       struct kv_expire_options *options, struct reply_writer *error);

/* No type was named. */
enum { KV_SCAN_ANY = -1 };

/* What SCAN was asked for. */
struct kv_scan_options {
    uint64_t cursor;
    int64_t count;
    struct machine_argument pattern; /* data NULL: every key */
    int32_t type;                    /* enum kv_type, KV_SCAN_ANY, or KV_TYPES: none there is */
};
bool kv_options_scan(const struct machine_argument *arguments, uint32_t count,
                     struct kv_scan_options *options, struct reply_writer *error);

/* The cursor alone. */
bool kv_options_cursor(const struct machine_argument *argument, uint64_t *cursor,
                       struct reply_writer *error);

/* HSCAN, SSCAN, ZSCAN key cursor [MATCH pattern] [COUNT count] (kv_scan_elements.c) */
bool kv_options_scan_elements(const struct machine_argument *arguments, uint32_t count,
                              struct kv_scan_options *options, struct reply_writer *error);

/* FLUSHALL [ASYNC | SYNC] */
bool kv_options_flush(const struct machine_argument *arguments, uint32_t count,
                      struct reply_writer *error);

/* GETRANGE and SUBSTR: both ends; SETRANGE: the offset, with which the value does not become longer
 * than value_bytes_max. */
bool kv_options_getrange(const struct machine_argument *arguments, int64_t *start, int64_t *end,
                         struct reply_writer *error);
bool kv_options_setrange(const struct machine_argument *arguments, uint64_t value_bytes_max,
                         int64_t *offset, struct reply_writer *error);

/* INCRBYFLOAT: whether the amount is spelled as a number; what it amounts to is not computed. */
bool kv_options_incrbyfloat(const struct machine_argument *arguments, struct reply_writer *error);

/* GETBIT and SETBIT: the offset in bits, below 8 * value_bytes_max; SETBIT: the bit, too. */
bool kv_options_bit_offset(const struct machine_argument *argument, uint64_t value_bytes_max,
                           uint64_t *offset, struct reply_writer *error);
bool kv_options_setbit(const struct machine_argument *arguments, uint64_t value_bytes_max,
                       uint64_t *offset, uint32_t *bit, struct reply_writer *error);

/* BITCOUNT and BITPOS: [start [end [BYTE | BIT]]] of a value that is `value_bytes` long, as the
 * first and the last bit (first > last: none), as Redis counts. */
struct kv_bit_range {
    int64_t first;
    int64_t last;
    bool has_end; /* it was given */
};
bool kv_options_bitcount(const struct machine_argument *arguments, uint32_t count,
                         uint32_t value_bytes, struct kv_bit_range *range,
                         struct reply_writer *error);
bool kv_options_bitpos(const struct machine_argument *arguments, uint32_t count,
                       uint32_t value_bytes, struct kv_bit_range *range,
                       struct reply_writer *error);
/* BITPOS: the bit that is looked for, read before the key is. */
bool kv_options_bitpos_bit(const struct machine_argument *argument, uint32_t *bit,
                           struct reply_writer *error);

/* BITOP */
enum kv_bitop { KV_BITOP_AND, KV_BITOP_OR, KV_BITOP_XOR, KV_BITOP_NOT };
bool kv_options_bitop(const struct machine_argument *arguments, uint32_t count,
                      enum kv_bitop *operation, struct reply_writer *error);

/* What LCS was asked for. */
struct kv_lcs_options {
    bool length;       /* LEN */
    bool indexes;      /* IDX */
    bool with_lengths; /* WITHMATCHLEN */
    int64_t length_min;
};
bool kv_options_lcs(const struct machine_argument *arguments, uint32_t count,
                    struct kv_lcs_options *options, struct reply_writer *error);

/* OBJECT: whether it is HELP, which has no key. */
bool kv_options_object(const struct machine_argument *arguments, uint32_t count, bool *help,
                       struct reply_writer *error);

/* Whether the argument is this word, in any case. */
bool kv_is_word(const struct machine_argument *argument, const char *word);

/* An integer argument; writes Redis's error if it is none. */
bool kv_integer(const struct machine_argument *argument, int64_t *value,
                struct reply_writer *error);

/* The error of a deadline that cannot be, naming the row's command; `error` may be NULL. */
void kv_error_expire_time(uint32_t row, struct reply_writer *error);

/* ---- One record (kv_store.c) ----------------------------------------------------------------- */

/* What is known of one key of a command. Valid until something is inserted or removed. */
struct kv_found {
    struct kv_partition *partition;
    uint64_t *slot;            /* NULL: no record at all */
    struct kv_record *present; /* NULL: the key is absent (there may be a record that is due) */
    const uint8_t *key;
    uint32_t key_bytes;
    uint64_t hash;
};

/* Looks up the key'th key (counted among keys), which is that argument. */
struct kv_found kv_find(const struct kv_call *call, uint32_t key, uint32_t argument);

/* Whether a key is absent or of that type; else writes the error. */
bool kv_typed(struct kv_call *call, const struct kv_found *found, enum kv_type type);

/* Whether two that were looked for are one key. */
bool kv_is_same_key(const struct kv_found *a, const struct kv_found *b);

/* Before a record is changed or removed: KV_MORE if a snapshot still needs it and cannot have it
 * now. Call again later; snapshot_emit makes the room. */
enum kv_step kv_protect(struct kv_call *call, const struct kv_found *found);

/* How a value comes to be: `old_bytes` bytes of the present value, then zeros, then `more`. The
 * value of a compact collection is all there, and short. */
struct kv_value {
    enum kv_type type; /* zeroed: a string */
    uint32_t old_bytes;
    uint32_t zero_bytes;
    struct machine_argument more;
    bool is_range; /* a write at an offset: old_bytes may be less than the present value has */
};

/*
 * Gives the key a value and a deadline (KV_DEADLINE_NONE: none), whether it was present or not, and
 * folds the digest. A long value is copied in slices: KV_MORE, call again with the same arguments.
 * kv_protect must have agreed.
 */
enum kv_step kv_store_value(struct kv_call *call, struct kv_found *found,
                            const struct kv_value *value, uint64_t deadline_ms);

/*
 * Writes bytes, at least one, at an offset into the value of a key, present or not; zeros fill a
 * gap before them. The deadline stays. Costs what is written, not what is there. Slices, and
 * kv_protect, as in kv_store_value; the value does not become longer than value_bytes_max.
 */
enum kv_step kv_store_range(struct kv_call *call, struct kv_found *found, uint64_t offset,
                            struct machine_argument bytes);

/*
 * Gives the key the value that lies in `apart`, more than KV_INLINE_BYTES_MAX bytes taken from the
 * memory of its partition, and no deadline. Slices, and kv_protect, as in kv_store_value.
 */
enum kv_step kv_store_apart_value(struct kv_call *call, struct kv_found *found,
                                  const struct kv_apart *apart, uint32_t value_bytes);

/* Whether the value of a record changes its key without being copied: it is so long that it is a
 * block. The digest shows it, so it depends on the length alone. */
bool kv_value_is_movable(const struct kv_record *record);

/* Gives the movable value and the deadline of a present key to another key, present or not, and
 * removes the first. kv_protect must have agreed to both. */
void kv_store_moved(struct kv_call *call, struct kv_found *from, struct kv_found *to);

/* Changes the deadline of a present key only. kv_protect must have agreed. */
void kv_store_deadline(struct kv_call *call, struct kv_found *found, uint64_t deadline_ms);

/* Removes a present key. kv_protect must have agreed. */
void kv_store_remove(struct kv_call *call, struct kv_found *found);

/* A record without its key and value: no deadline, and room for an inline value or a kv_apart.
 * change: the low half of the index of its last change. */
struct kv_record *kv_record_make(struct kv *kv, struct memory *memory, uint64_t hash,
                                 uint32_t change, bool deadlined, uint32_t key_bytes,
                                 uint32_t value_bytes);

/* The same for a key that was looked for, with its key, changed by the command in execution. */
struct kv_record *kv_record_new(const struct kv_call *call, const struct kv_found *found,
                                enum kv_type type, bool deadlined, uint32_t value_bytes);

/* Puts a new record in the table, in place of an old one if the key had one, and frees that. */
void kv_record_install(struct kv_call *call, struct kv_found *found, struct kv_record *record);

/* Notes that the command in execution changed a record where it lies. No snapshot needs it. */
void kv_record_changed(const struct kv_call *call, const struct kv_found *found,
                       struct kv_record *record);

/* Whether the record can take a value of that length without moving. */
bool kv_record_fits(const struct kv_record *record, uint32_t value_bytes, bool deadlined);

/* Sets a deadline on a record that may have no room for one: then it must not be asked for one. */
void kv_record_expire(struct kv_space *space, struct kv_record *record, uint64_t deadline_ms);

/* Frees a record that is in no table, and has no large collection. */
void kv_record_free(struct memory *memory, struct kv_record *record);

/* Takes a record out of a space and frees it. Digest and snapshot are the caller's business. */
void kv_space_remove(struct kv_space *space, uint64_t *slot);

/* Redis would make a reply of any length; here so many members at most are drawn that are put back
 * each time (-count of SRANDMEMBER and its like). */
enum { KV_REPEATS_MAX = 1 << 20 };

/* With more sources than this SUNION and SDIFF may gather members on the way (kv_set_algebra.c). */
enum { KV_ASKED_MAX = 8 };

/*
 * The seed of a read's random choice. A read has no random source of the log; its draws are
 * counted, and no other reply shows the count. kv_read_drawn counts one that was answered: one
 * whose reply did not fit is answered again, and must be the same.
 */
uint64_t kv_read_seed(const struct kv_call *call);
void kv_read_drawn(struct kv_call *call);

/* Replies bytes that stay where they are until the command has finished, many in slices. */
enum kv_step kv_reply_bytes(struct kv_call *call, const uint8_t *from, uint32_t length_bytes);

/* Replies the value of a present record, a long one in slices. */
enum kv_step kv_reply_value(struct kv_call *call, const struct kv_record *record);

/* Replies the value that is there before it is changed, once (word 1: it is done). The command then
 * ends, having changed nothing, if kv_reply_overflows. */
enum kv_step kv_reply_old(struct kv_call *call, const struct kv_found *found);

/* Whether the reply did not fit: the command is called again with more room. */
static inline bool kv_reply_overflows(const struct kv_call *call) {
    return call->reply != NULL && call->reply->overflow_bytes > 0;
}

/* The deadline that the options ask for; false if it lies beyond the end of time. */
bool kv_set_deadline(const struct kv_call *call, const struct kv_found *found,
                     const struct kv_set_options *options, uint64_t *deadline_ms);

/* ---- WATCH (kv_watch.c) ---------------------------------------------------------------------- */

/* Notes that the key was removed by the command in execution, or may be gone after it. */
void kv_gone_note(const struct kv_call *call, const struct kv_found *found);

/* machine_operations, by their names there. */
bool kv_holds(const struct machine *machine, const struct machine_argument *key, uint64_t hash,
              const struct machine_moment *moment);
bool kv_changed(const struct machine *machine, const struct machine_watch *watch,
                const struct machine_moment *moment);

/* ---- Digests (kv_digest.c) ------------------------------------------------------------------- */

/* What a change of a key is, in the digest: numbers for ever. */
enum kv_change {
    KV_CHANGE_VALUE,
    KV_CHANGE_APPEND,
    KV_CHANGE_DEADLINE,
    KV_CHANGE_REMOVE,
    KV_CHANGE_FLUSH,
    KV_CHANGE_RANGE, /* the offset stands in place of the deadline */
    KV_CHANGE_MOVE,  /* the hash of the key that had the value follows, not the value */
    /* Of an element (kv_digest_element): a rank, or 0, stands in place of the deadline, the lengths
     * and the bytes of the element follow. */
    KV_CHANGE_FIELD_PUT,
    KV_CHANGE_FIELD_REMOVE,
    KV_CHANGE_MEMBER_ADD,
    KV_CHANGE_MEMBER_REMOVE,
    KV_CHANGE_SCORE_PUT,
    KV_CHANGE_SCORE_REMOVE,
    KV_CHANGE_LIST_INSERT,
    KV_CHANGE_LIST_SET,
    KV_CHANGE_LIST_REMOVE,
    KV_CHANGE_LIST_MOVE, /* an insertion: the hash of the key that had the element */
    KV_CHANGE_COPY, /* of a collection: its packed form follows, or the hash of a large one's key */
};

/* The running digest after a change: of the entry's index, the key's hash, and what changed. Bytes
 * of a value follow by kv_digest_bytes, in pieces of KV_SLICE_BYTES. */
uint64_t kv_digest_change(uint64_t digest, uint64_t index, uint64_t hash, enum kv_change change,
                          uint64_t deadline_ms, uint32_t value_bytes);
uint64_t kv_digest_bytes(uint64_t digest, const uint8_t *bytes, uint32_t length_bytes);

/* How far the digest of a record is. Zeroed: not begun. */
struct kv_digest_state {
    uint64_t place;  /* of the element, as kv_collection_next has it */
    uint64_t offset; /* in the element, or in a string */
    uint64_t digest; /* of that much of it */
    uint64_t sum;    /* of the elements before */
};

/* The digest of one record, all of it, for digest_full: the sum over all records is the content's.
 * Sliced: true when *digest is complete, and the state is zeroed again. */
bool kv_digest_record(const struct kv_record *record, struct kv_digest_state *state,
                      uint64_t *digest, uint32_t *budget);

/* Its parts, of a large collection without an order: the head's digest, with the number of
 * elements, each element's added to state->sum in any order (false: out of budget), and the end. */
uint64_t kv_digest_head(const struct kv_record *record, uint64_t amount);
bool kv_digest_add(const struct kv_element *element, struct kv_digest_state *state,
                   uint32_t *budget);
uint64_t kv_digest_finish(uint64_t head, uint64_t sum);

/* machine_operations.digest and .digest_full. */
uint64_t kv_digest(const struct machine *machine, uint32_t partition);
enum machine_progress kv_digest_full(struct machine *machine, struct machine_cursor *cursor,
                                     uint32_t budget, uint64_t *digest);

/* ---- Snapshots (kv_snapshot.c, kv_restore.c) ------------------------------------------------- */

/* Whether the record may be changed now; if not, emit has to be called first. */
bool kv_snapshot_protect(struct kv *kv, struct kv_partition *partition, struct kv_record *record);

/* The same of one element of a large hash or set, which is about to be changed or removed, or,
 * NULL, of one to be added: not the collection has to be written for that, only the element. */
bool kv_snapshot_protect_element(struct kv *kv, struct kv_record *record,
                                 struct kv_record *element);

/* Whether the record is being written: then it stays unmarked though an element was changed. */
bool kv_snapshot_is_writing(const struct kv *kv, const struct kv_record *record);

/* Moves a partition's content out of the way of a flush: into the snapshot, if that still needs
 * it, else to the retired blocks. */
void kv_snapshot_flush(struct kv *kv, struct kv_partition *partition);

/* Brings the marks of an abandoned snapshot in order. Returns whether there is more to do. */
bool kv_snapshot_sweep(struct kv *kv, uint32_t *budget);

/* What snapshot and restore have taken from the host. */
uint64_t kv_snapshot_bytes(const struct kv *kv);

/* Gives back what the snapshot or the restore holds, for destroy. */
void kv_snapshot_discard(struct kv *kv);
void kv_restore_discard(struct kv *kv);

/* machine_operations, by their names there. */
int kv_snapshot_begin(struct machine *machine, const struct machine_moment *moment);
enum machine_progress kv_snapshot_emit(struct machine *machine, const struct machine_sink *sink,
                                       uint32_t budget);
void kv_snapshot_end(struct machine *machine);
int kv_restore(struct machine *machine, uint32_t version, const uint8_t *bytes, size_t length_bytes,
               size_t *consumed, uint32_t budget);
int kv_restore_end(struct machine *machine);

/* Gives back the memory of an LCS or a SORT, if there is one (kv_lcs.c). */
void kv_scratch_give(struct kv *kv);

/* ---- Commands: the functions of the rows ----------------------------------------------------- */

#define KV_ROW_EXECUTE(row, execute, ...) enum kv_step execute(struct kv_call *call);
/* Executes call->operation, its reply written. A row may share its function with others. */
KV_ROWS_ALL(KV_ROW_EXECUTE)
#undef KV_ROW_EXECUTE

/* Judge the form of a command of a group, for kv_validate; false after the error. */
bool kv_validate_set(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                     const struct machine_options *options, struct reply_writer *error);
bool kv_validate_scan_elements(uint32_t row, const struct machine_argument *arguments,
                               uint32_t count, const struct machine_options *options,
                               struct reply_writer *error);
bool kv_validate_string(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                        const struct machine_options *options, struct reply_writer *error);
/* Parts of strings, bits, floating point. */
bool kv_validate_parts(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                       const struct machine_options *options, struct reply_writer *error);
/* SORT and SORT_RO (kv_sort_options.c). */
bool kv_validate_sort(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                      const struct machine_options *options, struct reply_writer *error);
/* Lists (kv_options_list.c). */
bool kv_validate_list(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                      const struct machine_options *options, struct reply_writer *error);
/* Keys, whatever their type. */
bool kv_validate_generic(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                         const struct machine_options *options, struct reply_writer *error);

#endif
