/*
 * The options of commands, with Redis's errors in Redis's order. Validate and execute read them by
 * the same functions, so validate cannot accept what execute refuses.
 */

#include "machines/kv.h"

#include "base/decimal.h"

const char kv_error_not_integer[] = "ERR value is not an integer or out of range";
const char kv_error_syntax[] = "ERR syntax error";
const char kv_error_too_long[] = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
const char kv_error_not_float[] = "ERR value is not a valid float";
const char kv_error_wrong_type[] =
    "WRONGTYPE Operation against a key holding the wrong kind of value";

void kv_error(struct reply_writer *error, const char *text) {
    if (error != NULL)
        reply_error(error, text, strlen(text));
}

void kv_error_expire_time(uint32_t row, struct reply_writer *error) {
    if (error != NULL)
        reply_error_format(error, "ERR invalid expire time in '%s' command", kv_commands[row].name);
}

bool kv_is_word(const struct machine_argument *argument, const char *word) {
    if (strlen(word) != argument->length_bytes)
        return false;
    for (uint32_t i = 0; i < argument->length_bytes; i++) {
        const uint8_t byte = argument->data[i];
        const uint8_t upper = byte >= 'a' && byte <= 'z' ? (uint8_t)(byte - 'a' + 'A') : byte;
        if (upper != (uint8_t)word[i])
            return false;
    }
    return true;
}

bool kv_integer(const struct machine_argument *argument, int64_t *value,
                struct reply_writer *error) {
    if (decimal_parse_i64((const char *)argument->data, argument->length_bytes, value) == 0)
        return true;
    kv_error(error, kv_error_not_integer);
    return false;
}

/* EX, PX, EXAT, PXAT: all exclude each other and KEEPTTL, though each may be repeated. */
struct kv_expiry_word {
    const char *word;
    bool relative;
    int64_t unit_ms;
};

static const struct kv_expiry_word kv_expiry_words[] = {
    {"EX", true, 1000},
    {"PX", true, 1},
    {"EXAT", false, 1000},
    {"PXAT", false, 1},
};

static const struct kv_expiry_word *kv_expiry_word_find(const struct machine_argument *argument) {
    for (size_t i = 0; i < ARRAY_COUNT(kv_expiry_words); i++)
        if (kv_is_word(argument, kv_expiry_words[i].word))
            return &kv_expiry_words[i];
    return NULL;
}

/* row: of the command that the error names. */
static bool kv_set_amount(uint32_t row, bool relative, int64_t unit_ms,
                          const struct machine_argument *argument, struct kv_set_options *options,
                          struct reply_writer *error) {
    int64_t amount;
    if (!kv_integer(argument, &amount, error))
        return false;
    if (amount <= 0 || amount > INT64_MAX / unit_ms) {
        kv_error_expire_time(row, error);
        return false;
    }
    options->expires = true;
    options->relative = relative;
    options->amount_ms = amount * unit_ms;
    return true;
}

/* SET's words that stand alone. False: none of them, or not together with what came before. */
static bool kv_set_word(const struct machine_argument *argument, bool expires,
                        struct kv_set_options *options) {
    if (kv_is_word(argument, "NX") && !options->only_present)
        options->only_absent = true;
    else if (kv_is_word(argument, "XX") && !options->only_absent)
        options->only_present = true;
    else if (kv_is_word(argument, "GET"))
        options->get = true;
    else if (kv_is_word(argument, "KEEPTTL") && !expires)
        options->keep_ttl = true;
    else
        return false;
    return true;
}

bool kv_options_set(const struct machine_argument *arguments, uint32_t count,
                    struct kv_set_options *options, struct reply_writer *error) {
    *options = (struct kv_set_options){0};
    const struct kv_expiry_word *word = NULL;
    const struct machine_argument *amount = NULL;
    for (uint32_t i = 2; i < count; i++) {
        if (kv_set_word(&arguments[i], word != NULL, options))
            continue;
        const struct kv_expiry_word *other = kv_expiry_word_find(&arguments[i]);
        if (other == NULL || options->keep_ttl || (word != NULL && word != other) ||
            i + 1 == count) {
            kv_error(error, kv_error_syntax);
            return false;
        }
        word = other;
        amount = &arguments[++i];
    }
    return word == NULL ||
           kv_set_amount(KV_ROW_SET, word->relative, word->unit_ms, amount, options, error);
}

bool kv_options_setex(uint32_t row, const struct machine_argument *arguments,
                      struct kv_set_options *options, struct reply_writer *error) {
    *options = (struct kv_set_options){0};
    return kv_set_amount(row, true, row == KV_ROW_SETEX ? 1000 : 1, &arguments[1], options, error);
}

bool kv_options_getex(const struct machine_argument *arguments, uint32_t count,
                      struct kv_getex_options *options, struct reply_writer *error) {
    *options = (struct kv_getex_options){0};
    const struct kv_expiry_word *word = NULL;
    for (uint32_t i = 1; i < count; i++) {
        if (kv_is_word(&arguments[i], "PERSIST") && word == NULL) {
            options->persist = true;
            continue;
        }
        const struct kv_expiry_word *other = kv_expiry_word_find(&arguments[i]);
        if (other == NULL || options->persist || (word != NULL && word != other) ||
            i + 1 == count) {
            kv_error(error, kv_error_syntax);
            return false;
        }
        word = other;
        options->relative = word->relative;
        options->unit_ms = word->unit_ms;
        options->amount = &arguments[++i];
    }
    return true;
}

bool kv_options_getex_amount(const struct kv_getex_options *options, struct kv_set_options *amount,
                             struct reply_writer *error) {
    *amount = (struct kv_set_options){0};
    return kv_set_amount(KV_ROW_GETEX, options->relative, options->unit_ms, options->amount, amount,
                         error);
}

/* ABSENT stands for the expected value, DELETE for the new one: those are then empty, so that
 * nobody takes a word for a value that was compared. */
bool kv_options_cas(const struct machine_argument *arguments, uint32_t count,
                    struct kv_cas_options *options, struct reply_writer *error) {
    *options = (struct kv_cas_options){0};
    const struct kv_expiry_word *word = NULL;
    const struct machine_argument *amount = NULL;
    bool accepted = true;
    for (uint32_t i = 3; accepted && i < count; i++) {
        const struct kv_expiry_word *other = kv_expiry_word_find(&arguments[i]);
        if (kv_is_word(&arguments[i], "ABSENT")) {
            options->absent = true;
            accepted = arguments[1].length_bytes == 0;
        } else if (kv_is_word(&arguments[i], "DELETE")) {
            options->removes = true;
            accepted = arguments[2].length_bytes == 0;
        } else if (kv_is_word(&arguments[i], "KEEPTTL")) {
            options->set.keep_ttl = true;
        } else {
            accepted = other != NULL && word == NULL && i + 1 < count;
            word = other;
            amount = &arguments[++i];
        }
    }
    const bool expires = word != NULL;
    const bool one_only = !(expires && options->set.keep_ttl) &&
                          !(options->removes && (expires || options->set.keep_ttl));
    if (!accepted || !one_only) {
        kv_error(error, kv_error_syntax);
        return false;
    }
    return word == NULL ||
           kv_set_amount(KV_ROW_CAS, word->relative, word->unit_ms, amount, &options->set, error);
}

/* The number of a database: there is only 0. */
static bool kv_database(const struct machine_argument *argument, struct reply_writer *error) {
    int64_t number;
    if (!kv_integer(argument, &number, error))
        return false;
    if (number == 0)
        return true;
    if (number >= INT32_MIN && number <= INT32_MAX)
        kv_error(error, "ERR DB index is out of range");
    else if (error != NULL)
        reply_error_format(error, "ERR value is out of range, value must between %d and %d",
                           INT32_MIN, INT32_MAX);
    return false;
}

bool kv_options_copy(const struct machine_argument *arguments, uint32_t count, bool *replace,
                     struct reply_writer *error) {
    *replace = false;
    for (uint32_t i = 2; i < count; i++) {
        if (kv_is_word(&arguments[i], "REPLACE")) {
            *replace = true;
        } else if (kv_is_word(&arguments[i], "DB") && i + 1 < count) {
            if (!kv_database(&arguments[++i], error))
                return false;
        } else {
            kv_error(error, kv_error_syntax);
            return false;
        }
    }
    if (arguments[0].length_bytes != arguments[1].length_bytes ||
        memcmp(arguments[0].data, arguments[1].data, arguments[0].length_bytes) != 0)
        return true;
    kv_error(error, "ERR source and destination objects are the same");
    return false;
}

static bool kv_expire_words(const struct machine_argument *arguments, uint32_t count,
                            struct kv_expire_options *options, struct reply_writer *error) {
    for (uint32_t i = 2; i < count; i++) {
        if (kv_is_word(&arguments[i], "NX")) {
            options->only_without = true;
        } else if (kv_is_word(&arguments[i], "XX")) {
            options->only_with = true;
        } else if (kv_is_word(&arguments[i], "GT")) {
            options->only_later = true;
        } else if (kv_is_word(&arguments[i], "LT")) {
            options->only_earlier = true;
        } else {
            if (error != NULL)
                reply_error_format(error, "ERR Unsupported option %.*s",
                                   (int)arguments[i].length_bytes, (const char *)arguments[i].data);
            return false;
        }
    }
    return true;
}

bool kv_options_expire(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                       struct kv_expire_options *options, struct reply_writer *error) {
    *options =
        (struct kv_expire_options){.relative = row == KV_ROW_EXPIRE || row == KV_ROW_PEXPIRE};
    if (!kv_expire_words(arguments, count, options, error))
        return false;
    if (options->only_without &&
        (options->only_with || options->only_later || options->only_earlier)) {
        kv_error(error, "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if (options->only_later && options->only_earlier) {
        kv_error(error, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    if (!kv_integer(&arguments[1], &options->amount_ms, error))
        return false;
    if (row == KV_ROW_EXPIRE || row == KV_ROW_EXPIREAT) {
        if (options->amount_ms > INT64_MAX / 1000 || options->amount_ms < INT64_MIN / 1000) {
            kv_error_expire_time(row, error);
            return false;
        }
        options->amount_ms *= 1000;
    }
    return true;
}

/* Zeros in front of a cursor are taken, but not without end. */
enum { KV_CURSOR_DIGITS_MAX = 64 };

/* A cursor as strtoul reads it, without leading space: an optional sign, then digits to the end
 * or to a zero byte; nothing at all is 0. */
static bool kv_cursor(const struct machine_argument *argument, uint64_t *cursor) {
    uint32_t i = 0;
    uint32_t length = 0;
    while (length < argument->length_bytes && argument->data[length] != 0)
        if (length++ > KV_CURSOR_DIGITS_MAX)
            return false;
    const bool negative = length > 0 && argument->data[0] == '-';
    if (length > 0 && (negative || argument->data[0] == '+'))
        i++;
    if (i == length && i > 0)
        return false;
    uint64_t value = 0;
    for (; i < length; i++) {
        const uint64_t digit = (uint64_t)argument->data[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *cursor = negative ? 0 - value : value;
    return true;
}

bool kv_options_cursor(const struct machine_argument *argument, uint64_t *cursor,
                       struct reply_writer *error) {
    if (kv_cursor(argument, cursor))
        return true;
    kv_error(error, "ERR invalid cursor");
    return false;
}

/* The type of that name; KV_TYPES if no value can have it. */
static int32_t kv_scan_type(const struct machine_argument *argument) {
    static const char *const names[KV_TYPES] = {"STRING", "LIST", "SET", "ZSET", "HASH"};
    int32_t type = 0;
    while (type < KV_TYPES && !kv_is_word(argument, names[type]))
        type++;
    return type;
}

bool kv_options_scan(const struct machine_argument *arguments, uint32_t count,
                     struct kv_scan_options *options, struct reply_writer *error) {
    *options = (struct kv_scan_options){.count = 10, .type = KV_SCAN_ANY};
    if (!kv_options_cursor(&arguments[0], &options->cursor, error))
        return false;
    for (uint32_t i = 1; i < count; i += 2) {
        const bool has_value = i + 1 < count;
        if (has_value && kv_is_word(&arguments[i], "COUNT")) {
            if (!kv_integer(&arguments[i + 1], &options->count, error))
                return false;
            if (options->count < 1) {
                kv_error(error, kv_error_syntax);
                return false;
            }
        } else if (has_value && kv_is_word(&arguments[i], "MATCH")) {
            options->pattern = arguments[i + 1];
        } else if (has_value && kv_is_word(&arguments[i], "TYPE")) {
            options->type = kv_scan_type(&arguments[i + 1]);
        } else {
            kv_error(error, kv_error_syntax);
            return false;
        }
    }
    return true;
}

bool kv_options_flush(const struct machine_argument *arguments, uint32_t count,
                      struct reply_writer *error) {
    if (count == 0 ||
        (count == 1 && (kv_is_word(&arguments[0], "SYNC") || kv_is_word(&arguments[0], "ASYNC"))))
        return true;
    kv_error(error, kv_error_syntax);
    return false;
}
