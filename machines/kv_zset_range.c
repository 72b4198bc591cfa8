/*
 * Ranges: from what was asked for to ranks, and what is done with those: count, reply, remove,
 * store.
 *
 * Happy path: both ends of a range become ranks in O(log n), or, of members, in O(log^2 n); LIMIT
 * cuts them, and the members between are visited by rank, in slices.
 *
 * A range of members by their bytes means something only among members of one score. Where scores
 * differ, Redis's answer depends on how its structure is searched; a compact set is searched here
 * as Redis searches its own (from an end, member by member), a large one by halving.
 */

#include "machines/kv_zset.h"

/* ---- Ranks ----------------------------------------------------------------------------------- */

static struct kv_zrange zrange_by_rank(uint64_t count, int64_t start, int64_t end) {
    const int64_t members = (int64_t)count;
    if (start < 0)
        start = start < -members ? 0 : start + members;
    if (end < 0)
        end += members;
    if (end >= members)
        end = members - 1;
    if (start > end || start >= members)
        return (struct kv_zrange){0, 0};
    return (struct kv_zrange){(uint64_t)start, (uint64_t)end + 1};
}

static struct kv_zrange zrange_by_score(const struct kv_zset_view *view,
                                        const struct kv_score_bound *min,
                                        const struct kv_score_bound *max) {
    const struct kv_zrange range = {kv_zset_rank_score(view, min->score, min->exclusive),
                                    kv_zset_rank_score(view, max->score, !max->exclusive)};
    return range.first < range.end ? range : (struct kv_zrange){0, 0};
}

/* Whether a member is not below a bound, or not above it. */
static bool lex_from(struct kv_bytes member, const struct kv_lex_bound *min) {
    if (min->infinite != 0)
        return min->infinite < 0;
    const int order = kv_member_compare(member, min->member);
    return min->exclusive ? order > 0 : order >= 0;
}

static bool lex_to(struct kv_bytes member, const struct kv_lex_bound *max) {
    if (max->infinite != 0)
        return max->infinite > 0;
    const int order = kv_member_compare(member, max->member);
    return max->exclusive ? order < 0 : order <= 0;
}

/* Whether no member at all can lie between. Redis takes "-" and "+" for members that are equal to
 * themselves, and exclusive. */
static bool lex_is_empty(const struct kv_lex_bound *min, const struct kv_lex_bound *max) {
    int order;
    if (min->infinite != 0 || max->infinite != 0)
        order = (min->infinite > max->infinite) - (min->infinite < max->infinite);
    else
        order = kv_member_compare(min->member, max->member);
    return order > 0 || (order == 0 && (min->exclusive || max->exclusive));
}

/* Large: the first member that is within the bound, if it is the lower one, or is not, found by
 * halving the ranks. Where the answer depends on which members are asked, these are the same on
 * every replica, whatever the shape of its tree. */
static uint64_t lex_rank(struct kv_zset_view *view, const struct kv_lex_bound *bound, bool is_min) {
    uint64_t low = 0;
    uint64_t high = view->count;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        struct kv_zmember at;
        kv_zset_at(view, middle, &at);
        if (is_min ? !lex_from(at.member, bound) : lex_to(at.member, bound))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Compact: in the direction of the walk, the first member within the bound where it begins, and
 * from there on as long as they are within the other. */
static struct kv_zrange lex_compact(struct kv_zset_view *view, const struct kv_lex_bound *min,
                                    const struct kv_lex_bound *max, bool reverse) {
    const uint64_t count = view->count;
    const struct kv_zrange none = {0, 0};
    struct kv_zmember at;
    kv_zset_at(view, count - 1, &at);
    const bool last_is_from = lex_from(at.member, min);
    kv_zset_at(view, 0, &at);
    if (!last_is_from || !lex_to(at.member, max))
        return none;
    uint64_t begin = 0; /* steps from the end where the walk begins */
    for (; begin < count; begin++) {
        kv_zset_at(view, reverse ? count - 1 - begin : begin, &at);
        if (reverse ? lex_to(at.member, max) : lex_from(at.member, min))
            break;
    }
    uint64_t end = begin;
    for (; end < count; end++) {
        kv_zset_at(view, reverse ? count - 1 - end : end, &at);
        if (!(reverse ? lex_from(at.member, min) : lex_to(at.member, max)))
            break;
    }
    if (begin == end)
        return none;
    return reverse ? (struct kv_zrange){count - end, count - begin}
                   : (struct kv_zrange){begin, end};
}

static struct kv_zrange zrange_by_lex(struct kv_zset_view *view,
                                      const struct kv_zrange_options *options) {
    const struct kv_zrange none = {0, 0};
    if (view->count == 0 || lex_is_empty(&options->lex_min, &options->lex_max))
        return none;
    if (view->large == NULL)
        return lex_compact(view, &options->lex_min, &options->lex_max, options->reverse);
    const struct kv_zrange range = {lex_rank(view, &options->lex_min, true),
                                    lex_rank(view, &options->lex_max, false)};
    return range.first < range.end ? range : none;
}

struct kv_zrange kv_zset_range(struct kv_zset_view *view, const struct kv_zrange_options *options) {
    struct kv_zrange range = {0, 0};
    switch (options->by) {
    case KV_ZRANGE_RANK: /* there is no LIMIT, or one without effect */
        range = zrange_by_rank(view->count, options->start, options->end);
        if (options->reverse)
            range = (struct kv_zrange){view->count - range.end, view->count - range.first};
        return range;
    case KV_ZRANGE_SCORE: range = zrange_by_score(view, &options->min, &options->max); break;
    case KV_ZRANGE_LEX: range = zrange_by_lex(view, options); break;
    case KV_ZRANGE_ANY: UNREACHABLE("a range is by something");
    }
    const uint64_t count = range.end - range.first;
    /* An offset below 0 passes over everything. */
    if (options->offset < 0 || (uint64_t)options->offset >= count)
        return (struct kv_zrange){0, 0};
    uint64_t left = count - (uint64_t)options->offset;
    if (options->limit >= 0 && (uint64_t)options->limit < left)
        left = (uint64_t)options->limit;
    if (options->reverse)
        range.first = range.end - (uint64_t)options->offset - left;
    else
        range.first += (uint64_t)options->offset;
    range.end = range.first + left;
    ASSERT(range.end <= view->count);
    return range;
}

/* ---- Commands -------------------------------------------------------------------------------- */

void kv_reply_zmember(struct kv_call *call, const struct kv_zmember *at, bool with_score) {
    if (with_score)
        reply_pair(call->reply);
    reply_bulk(call->reply, at->member.data, at->member.length_bytes);
    if (with_score)
        reply_double(call->reply, at->score);
    kv_spend(call, 1 + at->member.length_bytes / KV_UNIT_BYTES);
}

enum kv_step kv_reply_zrange(struct kv_call *call, struct kv_zset_view *view,
                             struct kv_zrange range, bool reverse, bool with_scores,
                             uint64_t *progress) {
    const uint64_t count = range.end - range.first;
    ASSERT(range.first <= range.end && range.end <= view->count);
    if (call->reply == NULL)
        return KV_DONE;
    if (*progress == 0) {
        if (with_scores)
            reply_pairs(call->reply, count);
        else
            reply_array(call->reply, count);
        *progress = 1;
    }
    for (; *progress <= count; ++*progress) {
        struct kv_zmember at;
        if (call->run->budget == 0)
            return KV_MORE;
        kv_zset_at(view, reverse ? range.end - *progress : range.first + *progress - 1, &at);
        kv_reply_zmember(call, &at, with_scores);
    }
    return KV_DONE;
}

/* ZRANGE, ZREVRANGE, ZRANGEBYSCORE, ZREVRANGEBYSCORE, ZRANGEBYLEX, ZREVRANGEBYLEX. Word 0:
 * kv_reply_zrange. */
enum kv_step kv_zrange(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    const struct kv_found found = kv_find(call, 0, 0);
    struct kv_zrange_options options;
    struct kv_zset_view view;
    if (call->reply == NULL ||
        !kv_options_zrange(operation->row, operation->arguments, operation->argument_count,
                           &options, call->reply) ||
        !kv_typed(call, &found, KV_TYPE_ZSET))
        return KV_DONE;
    kv_zset_open(&view, found.present);
    return kv_reply_zrange(call, &view, kv_zset_range(&view, &options), options.reverse,
                           options.with_scores, &call->cursor->word[0]);
}

/* ZCOUNT, ZLEXCOUNT. */
enum kv_step kv_zcount(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    const struct kv_found found = kv_find(call, 0, 0);
    struct kv_zrange_options options;
    struct kv_zset_view view;
    if (call->reply == NULL ||
        !kv_options_zrange(operation->row, operation->arguments, operation->argument_count,
                           &options, call->reply) ||
        !kv_typed(call, &found, KV_TYPE_ZSET))
        return KV_DONE;
    kv_zset_open(&view, found.present);
    const struct kv_zrange range = kv_zset_range(&view, &options);
    kv_reply_integer(call, (int64_t)(range.end - range.first));
    return KV_DONE;
}

enum kv_step kv_zset_remove_range(struct kv_call *call, struct kv_found *found, uint64_t first,
                                  uint64_t *left) {
    if (*left > 0 && kv_protect(call, found) == KV_MORE)
        return KV_MORE;
    for (; *left > 0; --*left) {
        if (call->run->budget == 0)
            return KV_MORE;
        kv_zset_remove(call, found, first);
        kv_spend(call, 1);
    }
    return KV_DONE;
}

/* ZREMRANGEBYRANK, ZREMRANGEBYSCORE, ZREMRANGEBYLEX. Words: 0 whether it has begun, 1 the first
 * rank, 2 how many members are left, 3 how many there were. */
enum kv_step kv_zremrange(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    struct kv_found found = kv_find(call, 0, 0);
    uint64_t *word = call->cursor->word;
    if (word[0] == 0) {
        struct kv_zrange_options options;
        struct kv_zset_view view;
        if (!kv_options_zrange(operation->row, operation->arguments, operation->argument_count,
                               &options, call->reply) ||
            !kv_typed(call, &found, KV_TYPE_ZSET))
            return KV_DONE;
        kv_zset_open(&view, found.present);
        const struct kv_zrange range = kv_zset_range(&view, &options);
        word[0] = 1;
        word[1] = range.first;
        word[2] = word[3] = range.end - range.first;
    }
    if (kv_zset_remove_range(call, &found, word[1], &word[2]) == KV_MORE)
        return KV_MORE;
    kv_reply_integer(call, (int64_t)word[3]);
    return KV_DONE;
}
