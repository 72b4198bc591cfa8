/*
 * The options of commands about lists, with Redis's errors in Redis's order.
 */

#include "machines/kv_list.h"

#include "base/decimal.h"

/* A number of at least `min`, or that error, also if it is none. */
static bool kv_count(const struct machine_argument *argument, int64_t min, int64_t *value,
                     const char *text, struct reply_writer *error) {
    if (decimal_parse_i64((const char *)argument->data, argument->length_bytes, value) == 0 &&
        *value >= min)
        return true;
    kv_error(error, text);
    return false;
}

bool kv_options_pop(const char *name, const struct machine_argument *arguments, uint32_t count,
                    int64_t *pop_count, struct reply_writer *error) {
    *pop_count = -1;
    if (count > 2) {
        if (error != NULL)
            reply_error_format(error, "ERR wrong number of arguments for '%s' command", name);
        return false;
    }
    return count < 2 || kv_count(&arguments[1], 0, pop_count,
                                 "ERR value is out of range, must be positive", error);
}

bool kv_options_end(const struct machine_argument *argument, bool *is_front,
                    struct reply_writer *error) {
    *is_front = kv_is_word(argument, "LEFT");
    if (*is_front || kv_is_word(argument, "RIGHT"))
        return true;
    kv_error(error, kv_error_syntax);
    return false;
}

bool kv_options_linsert(const struct machine_argument *argument, bool *after,
                        struct reply_writer *error) {
    *after = kv_is_word(argument, "AFTER");
    if (*after || kv_is_word(argument, "BEFORE"))
        return true;
    kv_error(error, kv_error_syntax);
    return false;
}

bool kv_options_lmpop(const struct machine_argument *arguments, uint32_t count,
                      struct kv_lmpop_options *options, struct reply_writer *error) {
    int64_t key_count;
    *options = (struct kv_lmpop_options){.count = 1};
    ASSERT_HOT(count >= 3);
    if (!kv_count(&arguments[0], 1, &key_count, "ERR numkeys should be greater than 0", error))
        return false;
    if (key_count > (int64_t)count - 2) {
        kv_error(error, kv_error_syntax);
        return false;
    }
    options->key_count = (uint32_t)key_count;
    const uint32_t end = 1 + options->key_count;
    if (!kv_options_end(&arguments[end], &options->from_front, error))
        return false;
    if (end + 1 == count)
        return true;
    if (end + 2 == count || !kv_is_word(&arguments[end + 1], "COUNT")) {
        kv_error(error, kv_error_syntax);
        return false;
    }
    if (!kv_count(&arguments[end + 2], 1, &options->count, "ERR count should be greater than 0",
                  error))
        return false;
    if (end + 3 == count)
        return true;
    kv_error(error, kv_error_syntax);
    return false;
}

/* RANK. */
static bool kv_lpos_rank(const struct machine_argument *argument, struct kv_lpos_options *options,
                         struct reply_writer *error) {
    int64_t rank;
    if (!kv_integer(argument, &rank, error))
        return false;
    if (rank == 0) {
        kv_error(error, "ERR RANK can't be zero: use 1 to start from the first match, 2 from the "
                        "second ... or use negative to start from the end of the list");
        return false;
    }
    options->backwards = rank < 0;
    options->rank_wraps = rank == INT64_MIN;
    options->rank = rank == INT64_MIN ? 1 : (uint64_t)(rank < 0 ? -rank : rank);
    return true;
}

/* One option, and its argument. */
static bool kv_lpos_option(const struct machine_argument *arguments,
                           struct kv_lpos_options *options, struct reply_writer *error) {
    int64_t compare_max;
    if (kv_is_word(&arguments[0], "RANK"))
        return kv_lpos_rank(&arguments[1], options, error);
    if (kv_is_word(&arguments[0], "COUNT"))
        return kv_count(&arguments[1], 0, &options->count, "ERR COUNT can't be negative", error);
    if (!kv_is_word(&arguments[0], "MAXLEN")) {
        kv_error(error, kv_error_syntax);
        return false;
    }
    if (!kv_count(&arguments[1], 0, &compare_max, "ERR MAXLEN can't be negative", error))
        return false;
    options->compare_max = compare_max == 0 ? UINT64_MAX : (uint64_t)compare_max;
    return true;
}

bool kv_options_lpos(const struct machine_argument *arguments, uint32_t count,
                     struct kv_lpos_options *options, struct reply_writer *error) {
    *options = (struct kv_lpos_options){.rank = 1, .count = -1, .compare_max = UINT64_MAX};
    uint32_t next = 2;
    for (; next + 1 < count; next += 2)
        if (!kv_lpos_option(&arguments[next], options, error))
            return false;
    if (next != count) {
        kv_error(error, kv_error_syntax);
        return false;
    }
    if (options->rank_wraps && options->count > 0)
        options->count = 0;
    return true;
}

bool kv_validate_list(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                      const struct machine_options *options, struct reply_writer *error) {
    (void)options;
    int64_t start;
    int64_t end;
    bool flag;
    struct kv_lmpop_options lmpop;
    struct kv_lpos_options lpos;
    switch ((enum kv_row)row) {
    case KV_ROW_LPOP:
    case KV_ROW_RPOP: return kv_options_pop(kv_commands[row].name, arguments, count, &start, error);
    case KV_ROW_LRANGE:
    case KV_ROW_LTRIM:
        return kv_integer(&arguments[1], &start, error) && kv_integer(&arguments[2], &end, error);
    case KV_ROW_LREM: return kv_integer(&arguments[1], &start, error);
    case KV_ROW_LINSERT: return kv_options_linsert(&arguments[1], &flag, error);
    case KV_ROW_LPOS: return kv_options_lpos(arguments, count, &lpos, error);
    case KV_ROW_LMOVE:
        return kv_options_end(&arguments[2], &flag, error) &&
               kv_options_end(&arguments[3], &flag, error);
    case KV_ROW_LMPOP: return kv_options_lmpop(arguments, count, &lmpop, error);
    default: UNREACHABLE("a row of another group");
    }
}
