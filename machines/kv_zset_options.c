/*
 * The forms of the commands about sorted sets, with Redis's errors in Redis's order.
 *
 * What costs more than a look at each argument is left to execute, which has a budget: the scores
 * of a long ZADD, and what follows the keys of ZUNION and its like, which Redis reads after it has
 * looked at the keys.
 */

#include "machines/kv_zset.h"

/* Scores of a ZADD are read before it costs a quorum, but no more than these, and none any more
 * when that has taken so many units: 0.1 ms, and 0.1 ms for the last one, which may be long. */
enum { KV_ZADD_VALIDATE_PAIRS = 32, KV_ZADD_VALIDATE_UNITS = 1000 };

static const char kv_error_range[] = "ERR min or max is not a float";
static const char kv_error_lex_range[] = "ERR min or max not valid string range item";
static const char kv_error_not_positive[] = "ERR value is out of range, must be positive";

/* ---- ZADD ------------------------------------------------------------------------------------ */

static bool zadd_word(const struct machine_argument *argument, struct kv_zadd_options *options) {
    const struct {
        const char *word;
        bool *flag;
    } words[] = {{"NX", &options->only_absent}, {"XX", &options->only_present},
                 {"GT", &options->greater},     {"LT", &options->less},
                 {"CH", &options->changed},     {"INCR", &options->increment}};
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (kv_is_word(argument, words[i].word)) {
            *words[i].flag = true;
            return true;
        }
    return false;
}

bool kv_options_zadd(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                     struct kv_zadd_options *options, struct reply_writer *error) {
    *options = (struct kv_zadd_options){.increment = row == KV_ROW_ZINCRBY, .first = 1};
    while (options->first < count && zadd_word(&arguments[options->first], options))
        options->first++;
    const uint32_t pair_words = count - options->first;
    if (pair_words == 0 || pair_words % 2 != 0) {
        kv_error(error, kv_error_syntax);
        return false;
    }
    const bool absent = options->only_absent;
    if (absent && options->only_present) {
        kv_error(error, "ERR XX and NX options at the same time are not compatible");
        return false;
    }
    if ((absent && (options->greater || options->less)) || (options->greater && options->less)) {
        kv_error(error, "ERR GT, LT, and/or NX options at the same time are not compatible");
        return false;
    }
    if (options->increment && pair_words > 2) {
        kv_error(error, "ERR INCR option supports a single increment-element pair");
        return false;
    }
    return true;
}

bool kv_options_zadd_pair(const struct machine_argument *pair, double *score, uint32_t *units,
                          struct reply_writer *error) {
    if (!kv_score_parse(&pair[0], score, units)) {
        kv_error(error, kv_error_not_float);
        return false;
    }
    if (pair[1].length_bytes > KV_KEY_BYTES_MAX) {
        kv_error(error, "ERR member too long: the limit is 65536 bytes");
        return false;
    }
    return true;
}

static bool validate_zadd(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                          struct reply_writer *error) {
    struct kv_zadd_options options;
    if (!kv_options_zadd(row, arguments, count, &options, error))
        return false;
    uint32_t left = KV_ZADD_VALIDATE_PAIRS;
    uint32_t units = 0;
    for (uint32_t i = options.first; i < count && left > 0 && units < KV_ZADD_VALIDATE_UNITS;
         i += 2, left--) {
        double score;
        if (!kv_options_zadd_pair(&arguments[i], &score, &units, error))
            return false;
    }
    return true;
}

/* ---- Ranges ---------------------------------------------------------------------------------- */

/* "[a", "(a", "-", "+"; Redis takes these two for what they are up to a zero byte. */
static bool lex_bound_parse(const struct machine_argument *text, struct kv_lex_bound *bound) {
    *bound = (struct kv_lex_bound){{NULL, 0}, 0, true};
    if (text->length_bytes == 0)
        return false;
    const uint8_t first = text->data[0];
    if (first == '+' || first == '-') {
        bound->infinite = first == '+' ? 1 : -1;
        return text->length_bytes == 1 || text->data[1] == 0;
    }
    bound->exclusive = first == '(';
    bound->member = (struct kv_bytes){text->data + 1, text->length_bytes - 1};
    return first == '(' || first == '[';
}

/* How the rows differ. */
struct zrange_form {
    enum kv_zrange_by by; /* KV_ZRANGE_ANY: as the options say */
    bool reverse;
    bool with_options;
    bool stores; /* the source is the second argument */
};

static struct zrange_form zrange_form(uint32_t row) {
    switch ((enum kv_row)row) {
    case KV_ROW_ZRANGE: return (struct zrange_form){KV_ZRANGE_ANY, false, true, false};
    case KV_ROW_ZRANGESTORE: return (struct zrange_form){KV_ZRANGE_ANY, false, true, true};
    case KV_ROW_ZREVRANGE: return (struct zrange_form){KV_ZRANGE_RANK, true, true, false};
    case KV_ROW_ZRANGEBYSCORE: return (struct zrange_form){KV_ZRANGE_SCORE, false, true, false};
    case KV_ROW_ZREVRANGEBYSCORE: return (struct zrange_form){KV_ZRANGE_SCORE, true, true, false};
    case KV_ROW_ZRANGEBYLEX: return (struct zrange_form){KV_ZRANGE_LEX, false, true, false};
    case KV_ROW_ZREVRANGEBYLEX: return (struct zrange_form){KV_ZRANGE_LEX, true, true, false};
    case KV_ROW_ZREMRANGEBYRANK: return (struct zrange_form){KV_ZRANGE_RANK, false, false, false};
    case KV_ROW_ZCOUNT:
    case KV_ROW_ZREMRANGEBYSCORE: return (struct zrange_form){KV_ZRANGE_SCORE, false, false, false};
    case KV_ROW_ZLEXCOUNT:
    case KV_ROW_ZREMRANGEBYLEX: return (struct zrange_form){KV_ZRANGE_LEX, false, false, false};
    default: UNREACHABLE("a row without a range");
    }
}

/* One option at *at, which moves behind it. */
static bool zrange_option(const struct zrange_form *form, const struct machine_argument *arguments,
                          uint32_t count, uint32_t *at, struct kv_zrange_options *options,
                          struct reply_writer *error) {
    const struct machine_argument *word = &arguments[(*at)++];
    if (!form->stores && kv_is_word(word, "WITHSCORES")) {
        options->with_scores = true;
        return true;
    }
    if (kv_is_word(word, "LIMIT") && count - *at >= 2) {
        *at += 2;
        return kv_integer(&word[1], &options->offset, error) &&
               kv_integer(&word[2], &options->limit, error);
    }
    /* A row that says the order or the direction itself does not know the word. */
    if (form->by == KV_ZRANGE_ANY && !options->reverse && kv_is_word(word, "REV")) {
        options->reverse = true;
        return true;
    }
    if (options->by == KV_ZRANGE_ANY && kv_is_word(word, "BYLEX")) {
        options->by = KV_ZRANGE_LEX;
        return true;
    }
    if (options->by == KV_ZRANGE_ANY && kv_is_word(word, "BYSCORE")) {
        options->by = KV_ZRANGE_SCORE;
        return true;
    }
    kv_error(error, kv_error_syntax);
    return false;
}

/* Both ends; in reverse, the upper one comes first. */
static bool zrange_ends(const struct machine_argument *ends, struct kv_zrange_options *options,
                        struct reply_writer *error) {
    const bool swapped = options->reverse && options->by != KV_ZRANGE_RANK;
    const struct machine_argument *min = &ends[swapped];
    const struct machine_argument *max = &ends[!swapped];
    switch (options->by) {
    case KV_ZRANGE_RANK:
        return kv_integer(min, &options->start, error) && kv_integer(max, &options->end, error);
    case KV_ZRANGE_SCORE:
        if (kv_score_bound_parse(min, &options->min) && kv_score_bound_parse(max, &options->max))
            return true;
        kv_error(error, kv_error_range);
        return false;
    case KV_ZRANGE_LEX:
        if (lex_bound_parse(min, &options->lex_min) && lex_bound_parse(max, &options->lex_max))
            return true;
        kv_error(error, kv_error_lex_range);
        return false;
    case KV_ZRANGE_ANY: break;
    }
    UNREACHABLE("a range is by something");
}

bool kv_options_zrange(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                       struct kv_zrange_options *options, struct reply_writer *error) {
    const struct zrange_form form = zrange_form(row);
    const uint32_t first = form.stores ? 2 : 1;
    *options = (struct kv_zrange_options){.by = form.by, .reverse = form.reverse, .limit = -1};
    ASSERT_HOT(count >= first + 2 && (form.with_options || count == first + 2));
    for (uint32_t at = first + 2; at < count;)
        if (!zrange_option(&form, arguments, count, &at, options, error))
            return false;
    if (options->by == KV_ZRANGE_ANY)
        options->by = KV_ZRANGE_RANK;
    if (options->limit != -1 && options->by == KV_ZRANGE_RANK) {
        kv_error(error, "ERR syntax error, LIMIT is only supported in combination with either "
                        "BYSCORE or BYLEX");
        return false;
    }
    if (options->with_scores && options->by == KV_ZRANGE_LEX) {
        kv_error(error, "ERR syntax error, WITHSCORES not supported in combination with BYLEX");
        return false;
    }
    return zrange_ends(&arguments[first], options, error);
}

/* ---- Counts and keys ------------------------------------------------------------------------- */

/* A number from `least` on; the error says what Redis says of any other and of what is none. */
static bool count_at_least(const struct machine_argument *argument, int64_t least, int64_t *number,
                           const char *text, struct reply_writer *error) {
    if (kv_integer(argument, number, NULL) && *number >= least)
        return true;
    kv_error(error, text);
    return false;
}

bool kv_options_zpop(const struct machine_argument *arguments, uint32_t count, int64_t *wanted,
                     struct reply_writer *error) {
    *wanted = KV_ZPOP_ONE;
    if (count > 2) {
        kv_error(error, kv_error_syntax);
        return false;
    }
    return count == 1 || count_at_least(&arguments[1], 0, wanted, kv_error_not_positive, error);
}

bool kv_options_zmpop(const struct machine_argument *arguments, uint32_t count,
                      struct kv_zmpop_options *options, struct reply_writer *error) {
    int64_t keys;
    bool counted = false;
    *options = (struct kv_zmpop_options){.wanted = 1};
    if (!count_at_least(&arguments[0], 1, &keys, "ERR numkeys should be greater than 0", error))
        return false;
    if (keys >= (int64_t)count - 1) {
        kv_error(error, kv_error_syntax);
        return false;
    }
    options->key_count = (uint32_t)keys;
    const struct machine_argument *where = &arguments[1 + keys];
    options->max = kv_is_word(where, "MAX");
    if (!options->max && !kv_is_word(where, "MIN")) {
        kv_error(error, kv_error_syntax);
        return false;
    }
    for (uint32_t i = options->key_count + 2; i < count; i += 2) {
        if (counted || !kv_is_word(&arguments[i], "COUNT") || i + 1 == count) {
            kv_error(error, kv_error_syntax);
            return false;
        }
        counted = true;
        if (!count_at_least(&arguments[i + 1], 1, &options->wanted,
                            "ERR count should be greater than 0", error))
            return false;
    }
    return true;
}

bool kv_options_zrandmember(const struct machine_argument *arguments, uint32_t count,
                            struct kv_zrandmember_options *options, struct reply_writer *error) {
    *options = (struct kv_zrandmember_options){.single = count == 1};
    if (count == 1)
        return true;
    if (!kv_integer(&arguments[1], &options->wanted, error))
        return false;
    if (options->wanted < -KV_REPEATS_MAX) {
        if (error != NULL)
            reply_error_format(error, "ERR value is out of range, value must between %d and %lld",
                               -KV_REPEATS_MAX, (long long)INT64_MAX);
        return false;
    }
    if (count > 3 || (count == 3 && !kv_is_word(&arguments[2], "WITHSCORES"))) {
        kv_error(error, kv_error_syntax);
        return false;
    }
    options->with_scores = count == 3;
    if (options->with_scores && options->wanted > INT64_MAX / 2) {
        kv_error(error, "ERR value is out of range");
        return false;
    }
    return true;
}

bool kv_options_zkeys(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                      uint32_t number, uint32_t *key_count, struct reply_writer *error) {
    int64_t keys;
    ASSERT_HOT(number < count && row < KV_ROWS);
    if (!kv_integer(&arguments[number], &keys, error))
        return false;
    if (keys < 1) {
        if (error != NULL)
            reply_error_format(error, "ERR at least 1 input key is needed for '%s' command",
                               kv_commands[row].name);
        return false;
    }
    if (keys > (int64_t)count - number - 1) {
        kv_error(error, kv_error_syntax);
        return false;
    }
    if (keys > KV_ZSOURCES_MAX) {
        if (error != NULL)
            reply_error_format(error, "ERR too many keys: the limit is %d", KV_ZSOURCES_MAX);
        return false;
    }
    *key_count = (uint32_t)keys;
    return true;
}

/* ---- Rows ------------------------------------------------------------------------------------ */

bool kv_validate_zset(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                      const struct machine_options *options, struct reply_writer *error) {
    struct kv_zrange_options range;
    struct kv_zmpop_options zmpop;
    struct kv_zrandmember_options zrandmember;
    int64_t wanted;
    uint32_t keys;
    (void)options;
    switch ((enum kv_row)row) {
    case KV_ROW_ZADD:
    case KV_ROW_ZINCRBY: return validate_zadd(row, arguments, count, error);
    case KV_ROW_ZPOPMIN:
    case KV_ROW_ZPOPMAX: return kv_options_zpop(arguments, count, &wanted, error);
    case KV_ROW_ZMPOP: return kv_options_zmpop(arguments, count, &zmpop, error);
    case KV_ROW_ZRANDMEMBER: return kv_options_zrandmember(arguments, count, &zrandmember, error);
    case KV_ROW_ZUNION:
    case KV_ROW_ZINTER:
    case KV_ROW_ZDIFF:
    case KV_ROW_ZINTERCARD: return kv_options_zkeys(row, arguments, count, 0, &keys, error);
    case KV_ROW_ZUNIONSTORE:
    case KV_ROW_ZINTERSTORE:
    case KV_ROW_ZDIFFSTORE: return kv_options_zkeys(row, arguments, count, 1, &keys, error);
    default: return kv_options_zrange(row, arguments, count, &range, error);
    }
}
