/*
 * ZUNION, ZINTER, ZDIFF; what stores their results, and what counts them.
 *
 * Happy path, each phase in slices:
 *
 *     keys      all must be sets or sorted sets, or absent. For a union or an intersection they
 *               are put in the order of their sizes, as Redis does: the order in which scores are
 *               added shows in the last digits of a sum.
 *     options   read after the keys have been looked at, as Redis does.
 *     members   of each source (union), of the smallest (intersection), of the first (difference).
 *               A member of a set has the score 1. What belongs to the result is put in a large
 *               sorted set that is no key's: in the memory of the destination's partition, or, if
 *               nothing is stored, in one of its own.
 *     result    replied, and its memory given back; or digested in its order, which is the same on
 *               every replica whatever the order of the sources' tables, and given to the
 *               destination.
 *
 * What else may happen: a key of another type, or options that make no sense; nothing has been
 * changed then. A result that is only replied may take KV_RESULT_BYTES_MAX: more is refused before
 * it begins. One that is stored was accounted for before it entered the log.
 */

#include "machines/kv_zset.h"

#define KV_RESULT_BYTES_MAX (UINT64_C(256) << 20)

enum zalgebra { ZALGEBRA_UNION, ZALGEBRA_INTER, ZALGEBRA_DIFF };

/* How the rows differ. */
struct zalgebra_form {
    enum zalgebra kind;
    bool stores;
    bool counts;
};

static struct zalgebra_form zalgebra_form(uint32_t row) {
    switch ((enum kv_row)row) {
    case KV_ROW_ZUNION: return (struct zalgebra_form){ZALGEBRA_UNION, false, false};
    case KV_ROW_ZINTER: return (struct zalgebra_form){ZALGEBRA_INTER, false, false};
    case KV_ROW_ZDIFF: return (struct zalgebra_form){ZALGEBRA_DIFF, false, false};
    case KV_ROW_ZUNIONSTORE: return (struct zalgebra_form){ZALGEBRA_UNION, true, false};
    case KV_ROW_ZINTERSTORE: return (struct zalgebra_form){ZALGEBRA_INTER, true, false};
    case KV_ROW_ZDIFFSTORE: return (struct zalgebra_form){ZALGEBRA_DIFF, true, false};
    case KV_ROW_ZINTERCARD: return (struct zalgebra_form){ZALGEBRA_INTER, false, true};
    default: UNREACHABLE("a row of another group");
    }
}

/* Words of the cursor: the phase; the key, argument or source it is at; the place in that source;
 * the result; the source that the present member is looked for in, or how many weights are left to
 * be read; the member's score so far; how many members the result has, and then its rank. Word 7 is
 * kv_zset_store's. */
enum { W_PHASE, W_AT, W_PLACE, W_RESULT, W_OTHER, W_SCORE, W_COUNT };
enum zalgebra_phase {
    ZALGEBRA_KEYS,
    ZALGEBRA_OPTIONS,
    ZALGEBRA_MEMBERS,
    ZALGEBRA_RESULT,
    ZALGEBRA_GIVE, /* the memory of a result that was replied */
};

/* What a phase came to. */
enum zalgebra_step { ZALGEBRA_MORE, ZALGEBRA_NEXT, ZALGEBRA_ERROR };

/* ---- Keys ------------------------------------------------------------------------------------ */

/* Puts a source behind all that are not larger, or at the end. */
static void zalgebra_source_add(struct kv_sources *sources, const struct kv_source *source,
                                bool by_size) {
    uint32_t at = sources->count;
    while (by_size && at > 0 && sources->source[at - 1].count > source->count)
        at--;
    ASSERT(sources->count < KV_ZSOURCES_MAX);
    memmove(&sources->source[at + 1], &sources->source[at],
            (sources->count - at) * sizeof(*source));
    sources->source[at] = *source;
    sources->weights[sources->count] = 1;
    sources->count++;
}

static enum zalgebra_step zalgebra_keys(struct kv_call *call, const struct zalgebra_form *form,
                                        uint32_t key_count) {
    struct kv_sources *sources = &call->kv->sources;
    uint64_t *word = call->cursor->word;
    if (word[W_AT] == 0) {
        sources->count = 0;
        sources->aggregate = KV_AGGREGATE_SUM;
        sources->with_scores = false;
        sources->limit = 0;
    }
    for (; word[W_AT] < key_count; word[W_AT]++) {
        const uint32_t key = (uint32_t)word[W_AT];
        if (call->run->budget == 0)
            return ZALGEBRA_MORE;
        const struct kv_found found = kv_find(call, key + form->stores, key + 1 + form->stores);
        if (found.present != NULL && kv_type_of(found.present) != KV_TYPE_SET &&
            !kv_typed(call, &found, KV_TYPE_ZSET))
            return ZALGEBRA_ERROR;
        const struct kv_source source = {
            found.present, found.present != NULL ? kv_collection_count(found.present) : 0, key};
        zalgebra_source_add(sources, &source, form->kind != ZALGEBRA_DIFF);
        kv_spend(call, 1 + sources->count / 64);
    }
    word[W_AT] = key_count + 1 + form->stores;
    return ZALGEBRA_NEXT;
}

/* ---- Options --------------------------------------------------------------------------------- */

static bool zalgebra_aggregate(const struct machine_argument *argument,
                               enum kv_aggregate *aggregate) {
    static const char *const words[] = {"SUM", "MIN", "MAX"};
    for (uint32_t i = 0; i < ARRAY_COUNT(words); i++)
        if (kv_is_word(argument, words[i])) {
            *aggregate = (enum kv_aggregate)i;
            return true;
        }
    return false;
}

/* One option at word[W_AT], which moves behind it, but for the weights behind WEIGHTS. */
static bool zalgebra_option(struct kv_call *call, const struct zalgebra_form *form) {
    struct kv_sources *sources = &call->kv->sources;
    const struct machine_argument *word = &call->operation->arguments[call->cursor->word[W_AT]];
    uint64_t *at = &call->cursor->word[W_AT];
    const uint64_t left = call->operation->argument_count - *at;
    const bool weighs = form->kind != ZALGEBRA_DIFF && !form->counts;
    int64_t limit;
    if (weighs && left > sources->count && kv_is_word(word, "WEIGHTS")) {
        *at += 1;
        call->cursor->word[W_OTHER] = sources->count;
        return true;
    }
    if (weighs && left >= 2 && kv_is_word(word, "AGGREGATE") &&
        zalgebra_aggregate(&word[1], &sources->aggregate)) {
        *at += 2;
        return true;
    }
    if (!form->stores && !form->counts && kv_is_word(word, "WITHSCORES")) {
        *at += 1;
        sources->with_scores = true;
        return true;
    }
    if (form->counts && left >= 2 && kv_is_word(word, "LIMIT")) {
        *at += 2;
        if (!kv_integer(&word[1], &limit, NULL) || limit < 0) {
            kv_error(call->reply, "ERR LIMIT can't be negative");
            return false;
        }
        sources->limit = (uint64_t)limit;
        return true;
    }
    kv_error(call->reply, kv_error_syntax);
    return false;
}

static enum zalgebra_step zalgebra_options(struct kv_call *call, const struct zalgebra_form *form) {
    struct kv_sources *sources = &call->kv->sources;
    uint64_t *word = call->cursor->word;
    while (word[W_AT] < call->operation->argument_count) {
        uint32_t units = 1;
        if (call->run->budget == 0)
            return ZALGEBRA_MORE;
        if (word[W_OTHER] == 0) {
            if (!zalgebra_option(call, form))
                return ZALGEBRA_ERROR;
        } else {
            double *weight = &sources->weights[sources->count - word[W_OTHER]];
            if (!kv_score_parse(&call->operation->arguments[word[W_AT]], weight, &units)) {
                kv_error(call->reply, "ERR weight value is not a float");
                return ZALGEBRA_ERROR;
            }
            word[W_AT]++;
            word[W_OTHER]--;
        }
        kv_spend(call, units);
    }
    ASSERT(word[W_OTHER] == 0);
    word[W_AT] = 0;
    return ZALGEBRA_NEXT;
}

/* ---- Members --------------------------------------------------------------------------------- */

/* How much memory the result may take at most. */
static uint64_t zalgebra_result_bytes(const struct kv_sources *sources, enum zalgebra kind) {
    uint64_t bytes = 0;
    const uint32_t count = kind == ZALGEBRA_UNION ? sources->count : 1;
    for (uint32_t i = 0; i < count; i++) {
        const struct kv_source *source = &sources->source[i];
        if (source->record != NULL)
            bytes += kv_collection_packed_bytes(source->record) +
                     source->count * (KV_ELEMENT_COST_BYTES + KV_SCORE_BYTES);
    }
    return bytes;
}

/* The memory of the result: the destination's, or the command's own. */
static struct memory *zalgebra_memory(struct kv_call *call, const struct zalgebra_form *form) {
    if (!form->stores)
        return &call->kv->sources.memory;
    return &kv_find(call, 0, 0).partition->space.memory;
}

/* What was taken for a result that is not stored goes back to the host, in slices. */
static enum kv_step zalgebra_give(struct kv_call *call) {
    struct kv_sources *sources = &call->kv->sources;
    if (sources->memory.blocks != NULL)
        memory_retire(&sources->memory, &sources->retired);
    return memory_retired_give(&sources->retired, &call->kv->host, &call->run->budget) ? KV_MORE
                                                                                       : KV_DONE;
}

static bool zalgebra_begin(struct kv_call *call, const struct zalgebra_form *form) {
    struct kv *kv = call->kv;
    uint64_t *word = call->cursor->word;
    if (form->counts)
        return true;
    if (!form->stores) {
        if (kv->sources.memory.blocks != NULL) /* of a call that was abandoned */
            memory_retire(&kv->sources.memory, &kv->sources.retired);
        if (zalgebra_result_bytes(&kv->sources, form->kind) > KV_RESULT_BYTES_MAX) {
            kv_error(call->reply, "ERR Insufficient memory, the result may take more than 256 MiB");
            return false;
        }
    }
    word[W_RESULT] = (uintptr_t)kv_collection_make(zalgebra_memory(call, form), KV_TYPE_ZSET);
    return true;
}

static double zalgebra_element_score(const struct kv_element *element) {
    return element->second.length_bytes == 0 ? 1 : kv_score_get(element->second.data);
}

/* The score that a source has for a member; false: it has not got it. */
static bool zalgebra_find(struct kv_call *call, const struct kv_source *source,
                          struct kv_bytes member, double *score) {
    const struct kv_found found = {.present = (struct kv_record *)(uintptr_t)source->record};
    kv_spend(call, 1);
    if (source->record == NULL || kv_type_of(source->record) == KV_TYPE_ZSET)
        return kv_zset_score(call, &found, member, score);
    *score = 1;
    return kv_member_find(call, &found, member, NULL);
}

static void zalgebra_put(struct kv_call *call, const struct zalgebra_form *form,
                         struct kv_bytes member, double score, const double *old) {
    uint64_t *word = call->cursor->word;
    word[W_COUNT] += old == NULL;
    if (!form->counts)
        kv_spend(call, kv_zset_large_put(call->kv, zalgebra_memory(call, form),
                                         (struct kv_collection *)(uintptr_t)word[W_RESULT], member,
                                         score, old));
}

/* All members of all sources. */
static enum zalgebra_step zalgebra_union(struct kv_call *call, const struct zalgebra_form *form) {
    struct kv_sources *sources = &call->kv->sources;
    uint64_t *word = call->cursor->word;
    const struct kv_collection *result = (const struct kv_collection *)(uintptr_t)word[W_RESULT];
    for (; word[W_AT] < sources->count; word[W_AT]++, word[W_PLACE] = 0) {
        const struct kv_source *source = &sources->source[word[W_AT]];
        struct kv_element element;
        if (call->run->budget == 0)
            return ZALGEBRA_MORE;
        kv_spend(call, 1);
        while (source->record != NULL &&
               kv_collection_next(source->record, &word[W_PLACE], &element)) {
            double score =
                kv_score_weighted(zalgebra_element_score(&element), sources->weights[source->key]);
            double old;
            const bool there = kv_zset_large_score(call->kv, result, element.first, &old);
            if (there)
                score = kv_score_aggregate(sources->aggregate, old, score);
            zalgebra_put(call, form, element.first, score, there ? &old : NULL);
            if (call->run->budget == 0)
                return ZALGEBRA_MORE;
        }
    }
    return ZALGEBRA_NEXT;
}

/* Looks for a member of the first source in the others, from word[W_OTHER] on. *belongs: it has
 * been found in all (intersection), or in none. False: out of budget. */
static bool zalgebra_judge(struct kv_call *call, enum zalgebra kind, struct kv_bytes member,
                           double *score, bool *belongs) {
    const struct kv_sources *sources = &call->kv->sources;
    uint64_t *other = &call->cursor->word[W_OTHER];
    *belongs = true;
    for (; *other < sources->count && *belongs; ++*other) {
        const struct kv_source *source = &sources->source[*other];
        double value = 0;
        if (call->run->budget == 0)
            return false;
        const bool there = zalgebra_find(call, source, member, &value);
        *belongs = there == (kind == ZALGEBRA_INTER);
        if (there && *belongs)
            *score = kv_score_aggregate(sources->aggregate, *score,
                                        value * sources->weights[source->key]);
    }
    return true;
}

/* The members of the first source that are in all the others, or in none. A member that is not done
 * with has its place kept, and in W_OTHER and W_SCORE how far it was judged. */
static enum zalgebra_step zalgebra_filter(struct kv_call *call, const struct zalgebra_form *form) {
    const struct kv_sources *sources = &call->kv->sources;
    const struct kv_source *first = &sources->source[0];
    uint64_t *word = call->cursor->word;
    while (first->record != NULL) {
        struct kv_element element;
        uint64_t place = word[W_PLACE];
        double score;
        bool belongs;
        if (call->run->budget == 0)
            return ZALGEBRA_MORE;
        if ((sources->limit > 0 && word[W_COUNT] == sources->limit) ||
            !kv_collection_next(first->record, &place, &element))
            break;
        if (word[W_OTHER] == 0) {
            score = zalgebra_element_score(&element);
            if (form->kind == ZALGEBRA_INTER)
                score = kv_score_weighted(score, sources->weights[first->key]);
            word[W_OTHER] = 1;
            memcpy(&word[W_SCORE], &score, sizeof(score));
        }
        memcpy(&score, &word[W_SCORE], sizeof(score));
        const bool judged = zalgebra_judge(call, form->kind, element.first, &score, &belongs);
        memcpy(&word[W_SCORE], &score, sizeof(score));
        if (!judged)
            return ZALGEBRA_MORE;
        if (belongs)
            zalgebra_put(call, form, element.first, score, NULL);
        word[W_PLACE] = place;
        word[W_OTHER] = 0;
        kv_spend(call, 1);
    }
    return ZALGEBRA_NEXT;
}

/* ---- Result ---------------------------------------------------------------------------------- */

enum { ZSTORE_BEGIN, ZSTORE_DIGEST };

/* Folds the members in their order, those that are compact afterwards too, and takes the sign off
 * what is 0. Word 6: the rank. */
static enum kv_step zset_store_digest(struct kv_call *call, struct kv_found *found,
                                      const struct kv_collection *result) {
    uint64_t *rank = &call->cursor->word[6];
    while (*rank < result->tree.count) {
        const struct kv_tree_run run = kv_tree_run(&result->tree, *rank);
        for (uint64_t i = *rank - run.rank; i < run.count; i++, ++*rank) {
            struct kv_record *record = (struct kv_record *)(uintptr_t)run.entries[i].word[1];
            uint8_t *score = kv_value_place(record);
            if (call->run->budget == 0)
                return KV_MORE;
            kv_score_put(score, kv_score_get(score));
            kv_digest_element(call, found, KV_CHANGE_SCORE_PUT, 0,
                              (struct kv_bytes){kv_key(record), kv_key_bytes(record)},
                              (struct kv_bytes){score, KV_SCORE_BYTES});
            kv_spend(call, 1 + kv_key_bytes(record) / KV_UNIT_BYTES);
        }
    }
    return KV_DONE;
}

/* Gives the key what is few enough to be compact. */
static void zset_store_compact(struct kv_call *call, struct kv_found *found,
                               const struct kv_collection *result) {
    struct kv_bytes pieces[2 * KV_COMPACT_COUNT_MAX];
    struct kv_zset_view view;
    uint8_t scores[KV_COMPACT_COUNT_MAX][KV_SCORE_BYTES];
    kv_zset_open_large(&view, result);
    for (uint32_t rank = 0; rank < view.count; rank++) {
        struct kv_zmember at;
        kv_zset_at(&view, rank, &at);
        kv_score_put(scores[rank], at.score);
        pieces[2 * rank] = at.member;
        pieces[2 * rank + 1] = (struct kv_bytes){scores[rank], KV_SCORE_BYTES};
    }
    kv_compact_splice(call, found, KV_TYPE_ZSET, 0, 0, pieces, 2 * (uint32_t)view.count);
}

enum kv_step kv_zset_store(struct kv_call *call, struct kv_collection *result) {
    struct kv_found found = kv_find(call, 0, 0);
    uint64_t *word = call->cursor->word;
    const uint64_t count = result->tree.count;
    if (word[7] == ZSTORE_BEGIN) {
        if (kv_protect(call, &found) == KV_MORE)
            return KV_MORE;
        if (found.present != NULL)
            kv_store_remove(call, &found);
        word[6] = 0;
        word[7] = ZSTORE_DIGEST;
    }
    if (zset_store_digest(call, &found, result) == KV_MORE)
        return KV_MORE;
    if (count > 0 && !kv_compact_takes(count, result->packed_bytes)) {
        kv_collection_install(call, &found, result, KV_DEADLINE_NONE);
        kv_collection_changed(call, &found);
    } else {
        if (count > 0)
            zset_store_compact(call, &found, result);
        kv_collection_bury(&found.partition->space, result);
    }
    kv_reply_integer(call, (int64_t)count);
    return KV_DONE;
}

static enum kv_step zalgebra_result(struct kv_call *call, const struct zalgebra_form *form) {
    uint64_t *word = call->cursor->word;
    struct kv_collection *result = (struct kv_collection *)(uintptr_t)word[W_RESULT];
    struct kv_zset_view view;
    if (form->counts) {
        kv_reply_integer(call, (int64_t)word[W_COUNT]);
        return KV_DONE;
    }
    if (form->stores)
        return kv_zset_store(call, result);
    kv_zset_open_large(&view, result);
    if (kv_reply_zrange(call, &view, (struct kv_zrange){0, view.count}, false,
                        call->kv->sources.with_scores, &word[W_PLACE]) == KV_MORE)
        return KV_MORE;
    word[W_PHASE] = ZALGEBRA_GIVE;
    return zalgebra_give(call);
}

enum kv_step kv_zalgebra(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    const struct zalgebra_form form = zalgebra_form(operation->row);
    uint64_t *word = call->cursor->word;
    enum zalgebra_step step = ZALGEBRA_NEXT;
    uint32_t key_count;
    if ((call->reply == NULL && !form.stores) ||
        !kv_options_zkeys(operation->row, operation->arguments, operation->argument_count,
                          form.stores, &key_count, call->reply))
        return KV_DONE;
    ASSERT(operation->key_count == key_count + form.stores);
    if (word[W_PHASE] == ZALGEBRA_GIVE)
        return zalgebra_give(call);
    if (word[W_PHASE] == ZALGEBRA_KEYS) {
        step = zalgebra_keys(call, &form, key_count);
        word[W_PHASE] += step == ZALGEBRA_NEXT;
    }
    if (step == ZALGEBRA_NEXT && word[W_PHASE] == ZALGEBRA_OPTIONS) {
        step = zalgebra_options(call, &form);
        if (step == ZALGEBRA_NEXT && !zalgebra_begin(call, &form))
            step = ZALGEBRA_ERROR;
        word[W_PHASE] += step == ZALGEBRA_NEXT;
    }
    if (step == ZALGEBRA_NEXT && word[W_PHASE] == ZALGEBRA_MEMBERS) {
        step = form.kind == ZALGEBRA_UNION ? zalgebra_union(call, &form)
                                           : zalgebra_filter(call, &form);
        if (step == ZALGEBRA_NEXT)
            word[W_PLACE] = 0;
        word[W_PHASE] += step == ZALGEBRA_NEXT;
    }
    if (step != ZALGEBRA_NEXT)
        return step == ZALGEBRA_MORE ? KV_MORE : KV_DONE;
    return zalgebra_result(call, &form);
}

/* ---- ZRANGESTORE ----------------------------------------------------------------------------- */

/* The source is the second key. Words: 0 whether it has begun, 1 how many members are left to be
 * copied, 2 the rank of the first of them, 3 the result; 6, 7 kv_zset_store. */
enum kv_step kv_zrangestore(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    const struct kv_found from = kv_find(call, 1, 1);
    struct memory *memory = &kv_find(call, 0, 0).partition->space.memory;
    uint64_t *word = call->cursor->word;
    struct kv_zset_view view;
    if (word[0] == 0) {
        struct kv_zrange_options options;
        if (!kv_options_zrange(operation->row, operation->arguments, operation->argument_count,
                               &options, call->reply) ||
            !kv_typed(call, &from, KV_TYPE_ZSET))
            return KV_DONE;
        kv_zset_open(&view, from.present);
        const struct kv_zrange range = kv_zset_range(&view, &options);
        word[0] = 1;
        word[1] = range.end - range.first;
        word[2] = range.first;
        word[3] = (uintptr_t)kv_collection_make(memory, KV_TYPE_ZSET);
    }
    struct kv_collection *result = (struct kv_collection *)(uintptr_t)word[3];
    if (word[1] > 0)
        kv_zset_open(&view, from.present);
    for (; word[1] > 0; word[1]--, word[2]++) {
        struct kv_zmember at;
        uint8_t score[KV_SCORE_BYTES];
        uint8_t *place;
        if (call->run->budget == 0)
            return KV_MORE;
        kv_zset_at(&view, word[2], &at);
        kv_score_put(score, at.score);
        const struct kv_element element = {at.member, {score, sizeof(score)}};
        kv_spend(call, 2 + kv_collection_add(call->kv, memory, result, &element, &place));
    }
    return kv_zset_store(call, result);
}
