/*
 * The form of the hash commands, with Redis's errors in Redis's order.
 */

#include "machines/kv_hash.h"

/* A field is copied, compared and hashed in one piece, as a key is. */
static bool kv_field_check(const struct machine_argument *field, struct reply_writer *error) {
    if (field->length_bytes <= KV_KEY_BYTES_MAX)
        return true;
    kv_error(error, "ERR field too long: the limit is 65536 bytes");
    return false;
}

bool kv_validate_hash(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                      const struct machine_options *options, struct reply_writer *error) {
    (void)options;
    ASSERT_HOT(row < KV_ROWS && count >= 1);
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
