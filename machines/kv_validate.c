/*
 * What of a command can be refused before it costs a quorum: its form. By the same functions as in
 * execute, so that nothing is accepted here that is refused there for its form.
 *
 * Some forms are judged in execute alone, because Redis looks at the key first: the amount of
 * GETEX, the range of BITCOUNT and BITPOS, the options of LCS.
 */

#include "machines/kv.h"
#include "machines/kv_float.h"
#include "machines/kv_hash.h"
#include "machines/kv_memory.h"
#include "machines/kv_zset.h"

static bool kv_validate_pairs(const char *name, uint32_t argument_count,
                              struct reply_writer *error) {
    if (argument_count % 2 == 0)
        return true;
    if (error != NULL)
        reply_error_format(error, "ERR wrong number of arguments for '%s' command", name);
    return false;
}

bool kv_validate_generic(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                         const struct machine_options *options, struct reply_writer *error) {
    (void)options;
    struct kv_expire_options expire;
    struct kv_scan_options scan;
    struct kv_memory_options memory;
    bool flag;
    switch ((enum kv_row)row) {
    case KV_ROW_EXPIRE:
    case KV_ROW_PEXPIRE:
    case KV_ROW_EXPIREAT:
    case KV_ROW_PEXPIREAT: return kv_options_expire(row, arguments, count, &expire, error);
    case KV_ROW_SCAN: return kv_options_scan(arguments, count, &scan, error);
    case KV_ROW_FLUSHALL:
    case KV_ROW_FLUSHDB: return kv_options_flush(arguments, count, error);
    case KV_ROW_COPY: return kv_options_copy(arguments, count, &flag, error);
    case KV_ROW_MEMORY: return kv_options_memory(arguments, count, &memory, error);
    case KV_ROW_OBJECT: return kv_options_object(arguments, count, &flag, error);
    default: UNREACHABLE("a row of another group");
    }
}

/* Commands about parts of values, bits, and floating point. */
bool kv_validate_parts(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                       const struct machine_options *options, struct reply_writer *error) {
    const uint64_t value_bytes_max = options->value_bytes_max;
    int64_t start;
    int64_t end;
    uint64_t offset;
    uint32_t bit;
    enum kv_bitop operation;
    switch ((enum kv_row)row) {
    case KV_ROW_INCRBYFLOAT: return kv_options_incrbyfloat(arguments, error);
    case KV_ROW_GETRANGE:
    case KV_ROW_SUBSTR: return kv_options_getrange(arguments, &start, &end, error);
    case KV_ROW_SETRANGE: return kv_options_setrange(arguments, value_bytes_max, &start, error);
    case KV_ROW_GETBIT:
        return kv_options_bit_offset(&arguments[1], value_bytes_max, &offset, error);
    case KV_ROW_SETBIT: return kv_options_setbit(arguments, value_bytes_max, &offset, &bit, error);
    case KV_ROW_BITPOS: return kv_options_bitpos_bit(&arguments[1], &bit, error);
    case KV_ROW_BITOP: return kv_options_bitop(arguments, count, &operation, error);
    default: UNREACHABLE("a row of another group");
    }
}

/* Commands about whole values. */
bool kv_validate_string(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                        const struct machine_options *options, struct reply_writer *error) {
    int64_t number;
    struct kv_set_options set;
    struct kv_getex_options getex;
    struct kv_cas_options cas;
    (void)options;
    switch ((enum kv_row)row) {
    case KV_ROW_SET: return kv_options_set(arguments, count, &set, error);
    case KV_ROW_INCRBY:
    case KV_ROW_DECRBY: return kv_integer(&arguments[1], &number, error);
    case KV_ROW_SETEX:
    case KV_ROW_PSETEX: return kv_options_setex(row, arguments, &set, error);
    case KV_ROW_GETEX: return kv_options_getex(arguments, count, &getex, error);
    case KV_ROW_CAS: return kv_options_cas(arguments, count, &cas, error);
    case KV_ROW_MSET:
    case KV_ROW_MSETNX: return kv_validate_pairs(kv_commands[row].name, count, error);
    default: UNREACHABLE("a row of another group");
    }
}

#define KV_VALIDATE(row, execute, validate, ...) [KV_ROW_##row] = validate,
static bool (*const kv_validators[KV_ROWS])(uint32_t, const struct machine_argument *, uint32_t,
                                            const struct machine_options *,
                                            struct reply_writer *) = {KV_ROWS_ALL(KV_VALIDATE)};

enum machine_verdict kv_validate(uint32_t row, const struct machine_argument *arguments,
                                 uint32_t argument_count, const struct machine_options *options,
                                 struct reply_writer *error) {
    ASSERT_HOT(row < KV_ROWS);
    if (kv_validators[row] == NULL)
        return MACHINE_ACCEPT;
    return kv_validators[row](row, arguments, argument_count, options, error) ? MACHINE_ACCEPT
                                                                              : MACHINE_REFUSE;
}

/* What a result may take that has all elements of one collection: a large one counts as long as it
 * is in memory (kv_collection_note), a compact one becomes large first. */
static uint64_t kv_result_bytes(uint64_t longest_bytes) {
    const uint64_t compact_bytes =
        KV_INLINE_BYTES_MAX + KV_COMPACT_COUNT_MAX * (KV_ELEMENT_COST_BYTES + KV_SCORE_BYTES);
    return (longest_bytes > compact_bytes ? longest_bytes : compact_bytes) + 4 * MEMORY_PAGE_BYTES;
}

/* A difference is no longer than the first set; with many others these may be gathered. */
static uint64_t kv_sdiffstore_bytes(uint32_t argument_count, uint64_t longest_bytes) {
    const uint32_t others = argument_count - 2;
    return longest_bytes * (others < KV_ASKED_MAX ? 1 : 1 + others);
}

/* A value that is written to at an offset becomes at most so long, and if it is moved for that, has
 * as much room again. INCRBYFLOAT prints all digits of 1e4900. BITOP and COPY make a value no
 * longer than the longest, a union one as long as all of them.
 *
 * A union is not told as a value that the next command may find: ten of them under way, of a few
 * small sets each, would seem to need more memory than there is. What that leaves out is bounded:
 * a union of unions has no element that is not there already. */
uint64_t kv_growth_bytes(uint32_t row, const struct machine_argument *arguments,
                         uint32_t argument_count, uint64_t longest_bytes, uint64_t *value_bytes) {
    int64_t start = 0;
    uint64_t offset = 0;
    *value_bytes = 0;
    ASSERT_HOT(row < KV_ROWS && argument_count >= 1);
    switch ((enum kv_row)row) {
    case KV_ROW_SETRANGE:
        if (!kv_options_setrange(arguments, KV_VALUE_BYTES_MAX, &start, NULL) ||
            arguments[2].length_bytes == 0)
            return 0; /* refused, or it writes nothing */
        *value_bytes = (uint64_t)start + arguments[2].length_bytes;
        return 2 * *value_bytes;
    case KV_ROW_SETBIT:
        if (!kv_options_bit_offset(&arguments[1], KV_VALUE_BYTES_MAX, &offset, NULL))
            return 0;
        *value_bytes = offset / 8 + 1;
        return 2 * *value_bytes;
    case KV_ROW_HINCRBYFLOAT:
    case KV_ROW_INCRBYFLOAT: *value_bytes = KV_FLOAT_TEXT_BYTES_MAX; return *value_bytes;
    case KV_ROW_SORT: return 2 * longest_bytes; /* to sort, 48 bytes an element; to store */
    case KV_ROW_ZRANGESTORE:
    case KV_ROW_ZINTERSTORE:
    case KV_ROW_ZDIFFSTORE: return kv_result_bytes(longest_bytes);
    case KV_ROW_ZUNIONSTORE:
        if (!kv_integer(&arguments[1], &start, NULL) || start < 1 || start > KV_ZSOURCES_MAX)
            return 0; /* refused */
        return (uint64_t)start * kv_result_bytes(longest_bytes);
    case KV_ROW_BITOP:
    case KV_ROW_COPY:
    case KV_ROW_SINTERSTORE: return longest_bytes;
    case KV_ROW_SDIFFSTORE: return kv_sdiffstore_bytes(argument_count, longest_bytes);
    case KV_ROW_SUNIONSTORE: return longest_bytes * (argument_count - 1);
    default: return 0;
    }
}
