/*
 * Where the keys are of the commands that say themselves how many there are: "numkeys key [key
 * ...]". Those in front of the number (ZUNIONSTORE's destination) are keys too.
 *
 * A number that is none, or that promises more keys than there are arguments, gives no such keys:
 * validate refuses the command.
 *
 * SORT has its key, and that of its STORE.
 */

#include "machines/kv_sort.h"

/* The argument that is the number of keys, or -1: the row has no odd keys. */
static int32_t kv_keys_number(uint32_t row) {
    switch ((enum kv_row)row) {
    case KV_ROW_LMPOP:
    case KV_ROW_SINTERCARD:
    case KV_ROW_ZUNION:
    case KV_ROW_ZINTER:
    case KV_ROW_ZDIFF:
    case KV_ROW_ZINTERCARD:
    case KV_ROW_ZMPOP: return 0;
    case KV_ROW_ZUNIONSTORE:
    case KV_ROW_ZINTERSTORE:
    case KV_ROW_ZDIFFSTORE: return 1;
    default: return -1;
    }
}

static void kv_keys_sort(uint32_t row, const struct machine_argument *arguments,
                         uint32_t argument_count, struct machine_keys *keys) {
    struct kv_sort_options options;
    keys->run[0] = (struct machine_key_run){.first = 0, .step = 1, .count = 1};
    if (kv_options_sort(row, arguments, argument_count, &options, NULL) && options.store != 0)
        keys->run[1] = (struct machine_key_run){.first = options.store, .step = 1, .count = 1};
}

void kv_key_positions(uint32_t row, const struct machine_argument *arguments,
                      uint32_t argument_count, struct machine_keys *keys) {
    if (row == KV_ROW_SORT) {
        kv_keys_sort(row, arguments, argument_count, keys);
        return;
    }
    const int32_t number = kv_keys_number(row);
    ASSERT(number >= 0 && number < MACHINE_KEY_ARGUMENTS_MAX && (uint32_t)number < argument_count);
    const uint32_t first = (uint32_t)number + 1;
    int64_t count = 0;
    keys->run[0] = (struct machine_key_run){.first = 0, .step = 1, .count = (uint32_t)number};
    if (kv_integer(&arguments[number], &count, NULL) && count > 0 &&
        count <= (int64_t)(argument_count - first))
        keys->run[1] =
            (struct machine_key_run){.first = first, .step = 1, .count = (uint32_t)count};
}
