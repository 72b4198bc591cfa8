/*
 * Commands about members that are named, or that are the first or the last. Each begins with
 * kv_find and kv_typed, and, if it writes, kv_protect; from there on it cannot fail. Replies are
 * those of Redis 7.0.
 */

#include "machines/kv_zset.h"

/* ---- ZADD ------------------------------------------------------------------------------------ */

/* What happened so far. Words: 0 the score being checked, 1 the one being applied (0: none yet),
 * 2 how many members were added, 3 how many got another score, 4 how many were processed, 5 the
 * last score's bits. */
enum { ZADD_CHECK, ZADD_APPLY, ZADD_ADDED, ZADD_UPDATED, ZADD_PROCESSED, ZADD_SCORE };

/* All scores are read before anything is changed. KV_MORE: out of budget; *valid: none is wrong. */
static enum kv_step zadd_check(struct kv_call *call, const struct kv_zadd_options *options,
                               bool *valid) {
    const struct machine_operation *operation = call->operation;
    uint64_t *word = call->cursor->word;
    *valid = true;
    if (word[ZADD_CHECK] == 0)
        word[ZADD_CHECK] = options->first;
    for (; word[ZADD_CHECK] < operation->argument_count; word[ZADD_CHECK] += 2) {
        double score;
        uint32_t units = 0;
        if (call->run->budget == 0)
            return KV_MORE;
        *valid = kv_options_zadd_pair(&operation->arguments[word[ZADD_CHECK]], &score, &units,
                                      call->reply);
        if (!*valid)
            return KV_DONE;
        kv_spend(call, units);
    }
    return KV_DONE;
}

/* One member gets a score, if the options let it. False after the error. */
static bool zadd_apply(struct kv_call *call, struct kv_found *found,
                       const struct kv_zadd_options *options) {
    uint64_t *word = call->cursor->word;
    const struct machine_argument *pair = &call->operation->arguments[word[ZADD_APPLY]];
    const struct kv_bytes member = {pair[1].data, pair[1].length_bytes};
    double score = 0;
    double old = 0;
    uint32_t units = 0;
    const bool parsed = kv_score_parse(pair, &score, &units);
    ASSERT(parsed);
    kv_spend(call, units);
    const bool there = kv_zset_score(call, found, member, &old);
    if (there ? options->only_absent : options->only_present)
        return true;
    if (there && options->increment) {
        score += old;
        if (isnan(score)) {
            kv_error(call->reply, "ERR resulting score is not a number (NaN)");
            return false;
        }
    }
    if (there && ((options->less && score >= old) || (options->greater && score <= old)))
        return true;
    word[ZADD_PROCESSED]++;
    memcpy(&word[ZADD_SCORE], &score, sizeof(score));
    if (there && score == old)
        return true;
    kv_zset_put(call, found, member, score, there ? &old : NULL);
    word[there ? ZADD_UPDATED : ZADD_ADDED]++;
    return true;
}

static void zadd_reply(struct kv_call *call, const struct kv_zadd_options *options) {
    const uint64_t *word = call->cursor->word;
    double score;
    memcpy(&score, &word[ZADD_SCORE], sizeof(score));
    if (!options->increment)
        kv_reply_integer(call,
                         (int64_t)(word[ZADD_ADDED] + (options->changed ? word[ZADD_UPDATED] : 0)));
    else if (word[ZADD_PROCESSED] == 0)
        kv_reply_null(call);
    else if (call->reply != NULL)
        reply_double(call->reply, score);
}

/* ZADD, ZINCRBY. */
enum kv_step kv_zadd(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    struct kv_found found = kv_find(call, 0, 0);
    struct kv_zadd_options options;
    uint64_t *word = call->cursor->word;
    if (!kv_options_zadd(operation->row, operation->arguments, operation->argument_count, &options,
                         call->reply))
        return KV_DONE;
    if (word[ZADD_APPLY] == 0) {
        bool valid;
        if (zadd_check(call, &options, &valid) == KV_MORE)
            return KV_MORE;
        if (!valid || !kv_typed(call, &found, KV_TYPE_ZSET))
            return KV_DONE;
    }
    if (kv_protect(call, &found) == KV_MORE)
        return KV_MORE;
    if (word[ZADD_APPLY] == 0)
        word[ZADD_APPLY] = options.first;
    for (; word[ZADD_APPLY] < operation->argument_count; word[ZADD_APPLY] += 2) {
        if (call->run->budget == 0)
            return KV_MORE;
        if (!zadd_apply(call, &found, &options))
            return KV_DONE;
        kv_spend(call, 1);
    }
    zadd_reply(call, &options);
    return KV_DONE;
}

/* ---- ZREM ------------------------------------------------------------------------------------ */

/* Words: 0 the argument it is at, from 1 on, 1 how many members were there. */
enum kv_step kv_zrem(struct kv_call *call) {
    uint64_t *word = call->cursor->word;
    struct kv_found found = kv_find(call, 0, 0);
    if (word[0] == 0 && !kv_typed(call, &found, KV_TYPE_ZSET))
        return KV_DONE;
    if (kv_protect(call, &found) == KV_MORE)
        return KV_MORE;
    if (word[0] == 0)
        word[0] = 1;
    for (; word[0] < call->operation->argument_count && found.present != NULL; word[0]++) {
        const struct kv_bytes member = kv_zset_argument(call, word[0]);
        double score;
        if (call->run->budget == 0)
            return KV_MORE;
        if (kv_zset_score(call, &found, member, &score)) {
            struct kv_zset_view view;
            kv_zset_open(&view, found.present);
            kv_zset_remove(call, &found, kv_zset_rank(&view, member, score));
            word[1]++;
        }
        kv_spend(call, 1);
    }
    kv_reply_integer(call, (int64_t)word[1]);
    return KV_DONE;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static void zset_reply_score(struct kv_call *call, const struct kv_found *found,
                             struct kv_bytes member) {
    double score;
    if (kv_zset_score(call, found, member, &score))
        reply_double(call->reply, score);
    else
        reply_null(call->reply);
}

enum kv_step kv_zscore(struct kv_call *call) {
    const struct kv_found found = kv_find(call, 0, 0);
    if (call->reply != NULL && kv_typed(call, &found, KV_TYPE_ZSET))
        zset_reply_score(call, &found, kv_zset_argument(call, 1));
    return KV_DONE;
}

/* Word 0: the argument it is at, from 1 on. */
enum kv_step kv_zmscore(struct kv_call *call) {
    const struct kv_found found = kv_find(call, 0, 0);
    uint64_t *word = call->cursor->word;
    if (call->reply == NULL || !kv_typed(call, &found, KV_TYPE_ZSET))
        return KV_DONE;
    if (word[0] == 0) {
        reply_array(call->reply, call->operation->argument_count - 1);
        word[0] = 1;
    }
    for (; word[0] < call->operation->argument_count; word[0]++) {
        if (call->run->budget == 0)
            return KV_MORE;
        zset_reply_score(call, &found, kv_zset_argument(call, word[0]));
        kv_spend(call, 1);
    }
    return KV_DONE;
}

enum kv_step kv_zcard(struct kv_call *call) {
    const struct kv_found found = kv_find(call, 0, 0);
    if (kv_typed(call, &found, KV_TYPE_ZSET))
        kv_reply_integer(call,
                         found.present != NULL ? (int64_t)kv_collection_count(found.present) : 0);
    return KV_DONE;
}

/* ZRANK, ZREVRANK. */
enum kv_step kv_zrank(struct kv_call *call) {
    const struct kv_found found = kv_find(call, 0, 0);
    const struct kv_bytes member = kv_zset_argument(call, 1);
    struct kv_zset_view view;
    double score;
    if (!kv_typed(call, &found, KV_TYPE_ZSET))
        return KV_DONE;
    if (!kv_zset_score(call, &found, member, &score)) {
        kv_reply_null(call);
        return KV_DONE;
    }
    kv_zset_open(&view, found.present);
    const uint64_t rank = kv_zset_rank(&view, member, score);
    ASSERT(rank < view.count);
    const bool reverse = call->operation->row == KV_ROW_ZREVRANK;
    kv_reply_integer(call, (int64_t)(reverse ? view.count - 1 - rank : rank));
    return KV_DONE;
}

/* ---- Popping --------------------------------------------------------------------------------- */

/* Members are replied first and then removed. Words: 0 how many are written, 1 the phase, 2 how
 * many are left to be removed, 3 how many there are in all, 4 the key it is at. */
enum zpop_phase { ZPOP_BEGIN, ZPOP_REPLY, ZPOP_REMOVE };

/* In which form the members are replied. */
enum zpop_form {
    ZPOP_FLAT,   /* member, score */
    ZPOP_PAIRS,  /* pairs: nested in RESP 3 only */
    ZPOP_NESTED, /* with the key; arrays of two in either protocol */
};

static void zpop_reply_begin(struct kv_call *call, const struct kv_found *found,
                             enum zpop_form form, uint64_t count) {
    switch (form) {
    case ZPOP_FLAT: reply_array(call->reply, 2); break;
    case ZPOP_PAIRS: reply_pairs(call->reply, count); break;
    case ZPOP_NESTED:
        reply_array(call->reply, 2);
        reply_bulk(call->reply, found->key, found->key_bytes);
        reply_array(call->reply, count);
        break;
    }
}

static enum kv_step zpop_reply(struct kv_call *call, const struct kv_found *found,
                               enum zpop_form form, bool max) {
    uint64_t *word = call->cursor->word;
    struct kv_zset_view view;
    kv_zset_open(&view, found->present);
    for (; word[0] < word[3]; word[0]++) {
        struct kv_zmember at;
        if (call->run->budget == 0)
            return KV_MORE;
        kv_zset_at(&view, max ? view.count - 1 - word[0] : word[0], &at);
        if (form == ZPOP_NESTED)
            reply_array(call->reply, 2);
        kv_reply_zmember(call, &at, form == ZPOP_PAIRS);
        if (form != ZPOP_PAIRS)
            reply_double(call->reply, at.score);
    }
    return KV_DONE;
}

/* Pops from a present key. */
static enum kv_step zpop(struct kv_call *call, struct kv_found *found, enum zpop_form form,
                         bool max, uint64_t wanted) {
    uint64_t *word = call->cursor->word;
    if (word[1] == ZPOP_BEGIN) {
        const uint64_t count = kv_collection_count(found->present);
        word[2] = word[3] = wanted < count ? wanted : count;
        word[1] = call->reply != NULL ? ZPOP_REPLY : ZPOP_REMOVE;
        if (call->reply != NULL)
            zpop_reply_begin(call, found, form, word[3]);
    }
    if (word[1] == ZPOP_REPLY) {
        if (zpop_reply(call, found, form, max) == KV_MORE)
            return KV_MORE;
        if (kv_reply_overflows(call))
            return KV_DONE; /* nothing was changed */
        word[1] = ZPOP_REMOVE;
    }
    const uint64_t count = found->present != NULL ? kv_collection_count(found->present) : 0;
    return kv_zset_remove_range(call, found, max ? count - word[2] : 0, &word[2]);
}

/* ZPOPMIN, ZPOPMAX. */
enum kv_step kv_zpop(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    struct kv_found found = kv_find(call, 0, 0);
    int64_t wanted;
    if (!kv_options_zpop(operation->arguments, operation->argument_count, &wanted, call->reply))
        return KV_DONE;
    if (call->cursor->word[1] == ZPOP_BEGIN) {
        if (!kv_typed(call, &found, KV_TYPE_ZSET))
            return KV_DONE;
        if (found.present == NULL || wanted == 0) {
            if (call->reply != NULL)
                reply_array(call->reply, 0);
            return KV_DONE;
        }
    }
    return zpop(call, &found, wanted == KV_ZPOP_ONE ? ZPOP_FLAT : ZPOP_PAIRS,
                operation->row == KV_ROW_ZPOPMAX, wanted == KV_ZPOP_ONE ? 1 : (uint64_t)wanted);
}

/* The first key that is there. */
enum kv_step kv_zmpop(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    uint64_t *word = call->cursor->word;
    struct kv_zmpop_options options;
    if (!kv_options_zmpop(operation->arguments, operation->argument_count, &options, call->reply))
        return KV_DONE;
    ASSERT(operation->key_count == options.key_count);
    struct kv_found found = kv_find(call, (uint32_t)word[4], 1 + (uint32_t)word[4]);
    while (word[1] == ZPOP_BEGIN && found.present == NULL) {
        if (++word[4] == options.key_count) {
            if (call->reply != NULL)
                reply_null_array(call->reply);
            return KV_DONE;
        }
        if (call->run->budget == 0)
            return KV_MORE;
        kv_spend(call, 1);
        found = kv_find(call, (uint32_t)word[4], 1 + (uint32_t)word[4]);
    }
    if (word[1] == ZPOP_BEGIN && !kv_typed(call, &found, KV_TYPE_ZSET))
        return KV_DONE;
    return zpop(call, &found, ZPOP_NESTED, options.max, (uint64_t)options.wanted);
}

enum kv_step kv_zscan(struct kv_call *call) {
    return kv_scan_elements(call, KV_TYPE_ZSET);
}
