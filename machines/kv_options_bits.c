/*
 * The options of commands about parts of values and bits, of LCS and OBJECT, with Redis's errors in
 * Redis's order.
 */

#include "machines/kv.h"
#include "machines/kv_float.h"

#include "base/decimal.h"

bool kv_options_getrange(const struct machine_argument *arguments, int64_t *start, int64_t *end,
                         struct reply_writer *error) {
    return kv_integer(&arguments[1], start, error) && kv_integer(&arguments[2], end, error);
}

bool kv_options_setrange(const struct machine_argument *arguments, uint64_t value_bytes_max,
                         int64_t *offset, struct reply_writer *error) {
    const uint64_t length_bytes = arguments[2].length_bytes;
    if (!kv_integer(&arguments[1], offset, error))
        return false;
    if (*offset < 0) {
        kv_error(error, "ERR offset is out of range");
        return false;
    }
    if (length_bytes == 0 ||
        (length_bytes <= value_bytes_max && (uint64_t)*offset <= value_bytes_max - length_bytes))
        return true; /* nothing is written at all, or not too far */
    kv_error(error, kv_error_too_long);
    return false;
}

bool kv_options_incrbyfloat(const struct machine_argument *arguments, struct reply_writer *error) {
    if (kv_float_is_spelled(arguments[1].data, arguments[1].length_bytes))
        return true;
    kv_error(error, kv_error_not_float);
    return false;
}

/* ---- Bits ------------------------------------------------------------------------------------ */

bool kv_options_bit_offset(const struct machine_argument *argument, uint64_t value_bytes_max,
                           uint64_t *offset, struct reply_writer *error) {
    int64_t number;
    if (decimal_parse_i64((const char *)argument->data, argument->length_bytes, &number) == 0 &&
        number >= 0 && (uint64_t)number / 8 < value_bytes_max) {
        *offset = (uint64_t)number;
        return true;
    }
    kv_error(error, "ERR bit offset is not an integer or out of range");
    return false;
}

bool kv_options_setbit(const struct machine_argument *arguments, uint64_t value_bytes_max,
                       uint64_t *offset, uint32_t *bit, struct reply_writer *error) {
    if (!kv_options_bit_offset(&arguments[1], value_bytes_max, offset, error))
        return false;
    int64_t number;
    if (decimal_parse_i64((const char *)arguments[2].data, arguments[2].length_bytes, &number) ==
            0 &&
        (number == 0 || number == 1)) {
        *bit = (uint32_t)number;
        return true;
    }
    kv_error(error, "ERR bit is not an integer or out of range");
    return false;
}

bool kv_options_bitpos_bit(const struct machine_argument *argument, uint32_t *bit,
                           struct reply_writer *error) {
    int64_t number;
    if (!kv_integer(argument, &number, error))
        return false;
    if (number == 0 || number == 1) {
        *bit = (uint32_t)number;
        return true;
    }
    kv_error(error, "ERR The bit argument must be 1 or 0.");
    return false;
}

/* BYTE or BIT. */
static bool kv_bit_unit(const struct machine_argument *argument, bool *is_bit,
                        struct reply_writer *error) {
    *is_bit = kv_is_word(argument, "BIT");
    if (*is_bit || kv_is_word(argument, "BYTE"))
        return true;
    kv_error(error, kv_error_syntax);
    return false;
}

/* Both ends, counted from the end if negative, are cut to `total` units, and become bits. */
static void kv_bit_range_set(struct kv_bit_range *range, int64_t start, int64_t end, int64_t total,
                             bool is_bit) {
    start = start < 0 ? start + total : start;
    end = end < 0 ? end + total : end;
    start = start < 0 ? 0 : start;
    end = end < 0 ? 0 : end;
    end = end >= total ? total - 1 : end;
    if (start > end) {
        range->first = 1; /* nothing; and no product that overflows */
        range->last = 0;
        return;
    }
    range->first = is_bit ? start : start * 8;
    range->last = is_bit ? end : end * 8 + 7;
}

bool kv_options_bitcount(const struct machine_argument *arguments, uint32_t count,
                         uint32_t value_bytes, struct kv_bit_range *range,
                         struct reply_writer *error) {
    int64_t start = 0;
    int64_t end = -1;
    bool is_bit = false;
    *range = (struct kv_bit_range){.has_end = count > 1};
    if (count == 2 || count > 4) {
        kv_error(error, kv_error_syntax);
        return false;
    }
    if (count > 1) {
        if (!kv_integer(&arguments[1], &start, error) || !kv_integer(&arguments[2], &end, error))
            return false;
        if (start < 0 && end < 0 && start > end) {
            range->first = 1; /* before the unit is looked at, and before they are cut */
            return true;
        }
        if (count == 4 && !kv_bit_unit(&arguments[3], &is_bit, error))
            return false;
    }
    const int64_t total = is_bit ? (int64_t)value_bytes * 8 : value_bytes;
    kv_bit_range_set(range, start, end, total, is_bit);
    return true;
}

bool kv_options_bitpos(const struct machine_argument *arguments, uint32_t count,
                       uint32_t value_bytes, struct kv_bit_range *range,
                       struct reply_writer *error) {
    int64_t start = 0;
    int64_t end = -1;
    bool is_bit = false;
    *range = (struct kv_bit_range){.has_end = count > 3};
    if (count > 5) {
        kv_error(error, kv_error_syntax);
        return false;
    }
    if ((count > 2 && !kv_integer(&arguments[2], &start, error)) ||
        (count > 4 && !kv_bit_unit(&arguments[4], &is_bit, error)) ||
        (count > 3 && !kv_integer(&arguments[3], &end, error)))
        return false;
    const int64_t total = is_bit ? (int64_t)value_bytes * 8 : value_bytes;
    kv_bit_range_set(range, start, end, total, is_bit);
    return true;
}

bool kv_options_bitop(const struct machine_argument *arguments, uint32_t count,
                      enum kv_bitop *operation, struct reply_writer *error) {
    static const char *const words[] = {"AND", "OR", "XOR", "NOT"};
    uint32_t i = 0;
    while (i < ARRAY_COUNT(words) && !kv_is_word(&arguments[0], words[i]))
        i++;
    if (i == ARRAY_COUNT(words)) {
        kv_error(error, kv_error_syntax);
        return false;
    }
    *operation = (enum kv_bitop)i;
    if (*operation != KV_BITOP_NOT || count == 3)
        return true;
    kv_error(error, "ERR BITOP NOT must be called with a single source key.");
    return false;
}

/* ---- LCS, OBJECT ----------------------------------------------------------------------------- */

bool kv_options_lcs(const struct machine_argument *arguments, uint32_t count,
                    struct kv_lcs_options *options, struct reply_writer *error) {
    *options = (struct kv_lcs_options){0};
    for (uint32_t i = 2; i < count; i++) {
        if (kv_is_word(&arguments[i], "IDX")) {
            options->indexes = true;
        } else if (kv_is_word(&arguments[i], "LEN")) {
            options->length = true;
        } else if (kv_is_word(&arguments[i], "WITHMATCHLEN")) {
            options->with_lengths = true;
        } else if (kv_is_word(&arguments[i], "MINMATCHLEN") && i + 1 < count) {
            if (!kv_integer(&arguments[++i], &options->length_min, error))
                return false;
        } else {
            kv_error(error, kv_error_syntax);
            return false;
        }
    }
    if (!options->indexes || !options->length)
        return true;
    kv_error(error, "ERR If you want both the length and indexes, please just use IDX.");
    return false;
}

bool kv_options_object(const struct machine_argument *arguments, uint32_t count, bool *help,
                       struct reply_writer *error) {
    *help = kv_is_word(&arguments[0], "HELP");
    const bool encoding = kv_is_word(&arguments[0], "ENCODING");
    if ((*help && count == 1) || (encoding && count == 2))
        return true;
    if (error == NULL)
        return false;
    if (*help || encoding)
        reply_error_format(error, "ERR wrong number of arguments for 'object|%s' command",
                           *help ? "help" : "encoding");
    else
        reply_error_format(error, "ERR unknown subcommand '%.*s'. Try OBJECT HELP.",
                           (int)(arguments[0].length_bytes < 128 ? arguments[0].length_bytes : 128),
                           (const char *)arguments[0].data);
    return false;
}
