/*
 * The form of the hash commands, with Redis's errors in Redis's order.
 */

#include "machines/kv_float.h"
#include "machines/kv_hash.h"

/* A field is copied, compared and hashed in one piece, as a key is. */
static bool kv_field_check(const struct machine_argument *field, struct reply_writer *error) {
    if (field->length_bytes <= KV_KEY_BYTES_MAX)
        return true;
    kv_error(error, "ERR field too long: the limit is 65536 bytes");
    return false;
}

/* HSET and HMSET: pairs behind the key. */
static bool kv_hash_pairs_check(uint32_t row, const struct machine_argument *arguments,
                                uint32_t count, struct reply_writer *error) {
    if (count % 2 == 0) {
        if (error != NULL)
            reply_error_format(error, "ERR wrong number of arguments for '%s' command",
                               kv_commands[row].name);
        return false;
    }
    for (uint32_t i = 1; i < count; i += 2)
        if (!kv_field_check(&arguments[i], error))
            return false;
    return true;
}

/* Fields that are only looked for may have any length: a longer one than can be is not there. */
bool kv_validate_hash(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                      const struct machine_options *options, struct reply_writer *error) {
    int64_t number;
    bool with_values;
    (void)options;
    ASSERT_HOT(row < KV_ROWS && count >= 1);
    switch ((enum kv_row)row) {
    case KV_ROW_HSET:
    case KV_ROW_HMSET: return kv_hash_pairs_check(row, arguments, count, error);
    case KV_ROW_HSETNX: return kv_field_check(&arguments[1], error);
    case KV_ROW_HINCRBY:
        return kv_integer(&arguments[2], &number, error) && kv_field_check(&arguments[1], error);
    case KV_ROW_HINCRBYFLOAT:
        if (!kv_float_is_spelled(arguments[2].data, arguments[2].length_bytes)) {
            kv_error(error, kv_error_not_float);
            return false;
        }
        return kv_field_check(&arguments[1], error);
    case KV_ROW_HRANDFIELD:
        return kv_options_hrandfield(arguments, count, &number, &with_values, error);
    default: UNREACHABLE("a row of another type");
    }
}
