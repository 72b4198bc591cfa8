/*
 * The forms of the commands about sets, with Redis's errors in Redis's order.
 */

#include "machines/kv_set.h"

bool kv_options_spop(const struct machine_argument *arguments, uint32_t count, int64_t *wanted,
                     struct reply_writer *error) {
    *wanted = KV_COUNT_NONE;
    if (count == 1)
        return true;
    if (count > 2) {
        kv_error(error, kv_error_syntax);
        return false;
    }
    if (kv_integer(&arguments[1], wanted, NULL) && *wanted >= 0)
        return true;
    kv_error(error, "ERR value is out of range, must be positive");
    return false;
}

bool kv_options_random_count(const struct machine_argument *argument, int64_t *wanted,
                             struct reply_writer *error) {
    if (!kv_integer(argument, wanted, error))
        return false;
    if (*wanted >= -KV_REPEATS_MAX)
        return true;
    if (error != NULL)
        reply_error_format(error, "ERR value is out of range, value must between %d and %lld",
                           -KV_REPEATS_MAX, (long long)INT64_MAX);
    return false;
}

bool kv_options_srandmember(const struct machine_argument *arguments, uint32_t count,
                            int64_t *wanted, struct reply_writer *error) {
    *wanted = KV_COUNT_NONE;
    if (count == 1)
        return true;
    if (count == 2)
        return kv_options_random_count(&arguments[1], wanted, error);
    kv_error(error, kv_error_syntax);
    return false;
}

bool kv_options_sintercard(const struct machine_argument *arguments, uint32_t count,
                           uint32_t *key_count, uint64_t *limit, struct reply_writer *error) {
    int64_t number;
    *limit = 0;
    if (!kv_integer(&arguments[0], &number, NULL) || number < 1) {
        kv_error(error, "ERR numkeys should be greater than 0");
        return false;
    }
    if (number > count - 1) {
        kv_error(error, "ERR Number of keys can't be greater than number of args");
        return false;
    }
    *key_count = (uint32_t)number;
    for (uint32_t i = *key_count + 1; i < count; i += 2) {
        if (!kv_is_word(&arguments[i], "LIMIT") || i + 1 == count) {
            kv_error(error, kv_error_syntax);
            return false;
        }
        if (!kv_integer(&arguments[i + 1], &number, NULL) || number < 0) {
            kv_error(error, "ERR LIMIT can't be negative");
            return false;
        }
        *limit = (uint64_t)number;
    }
    return true;
}

/* Members are copied and compared in one piece, as keys are. */
static bool kv_members_fit(const struct machine_argument *members, uint32_t count,
                           struct reply_writer *error) {
    for (uint32_t i = 0; i < count; i++) {
        if (members[i].length_bytes > KV_KEY_BYTES_MAX) {
            kv_error(error, "ERR member too long: the limit is 65536 bytes");
            return false;
        }
    }
    return true;
}

bool kv_validate_set(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                     const struct machine_options *options, struct reply_writer *error) {
    (void)options;
    int64_t wanted;
    uint32_t key_count;
    uint64_t limit;
    switch ((enum kv_row)row) {
    case KV_ROW_SADD: return kv_members_fit(arguments + 1, count - 1, error);
    case KV_ROW_SPOP: return kv_options_spop(arguments, count, &wanted, error);
    case KV_ROW_SRANDMEMBER: return kv_options_srandmember(arguments, count, &wanted, error);
    case KV_ROW_SINTERCARD:
        return kv_options_sintercard(arguments, count, &key_count, &limit, error);
    default: UNREACHABLE("a row of another group");
    }
}
