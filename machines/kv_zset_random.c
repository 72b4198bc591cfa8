/*
 * ZRANDMEMBER: members by random ranks. What lies in the order of ranks is the same on every
 * replica, so a rank is all that has to be drawn.
 *
 * Without repetitions the ranks are those of a permutation of the numbers below a power of four, of
 * which those that are no ranks are passed over: at most three of four. Nothing has to be
 * remembered but the number of the last one.
 *
 * A reply that does not fit is written again, from the same seed: it then fits.
 */

#include "machines/kv_pick.h"
#include "machines/kv_zset.h"

enum { ZRANDOM_ROUNDS = 6 };

/* Place `number`, of a permutation of the numbers below 2^(2 * half_bits), by a Feistel network. */
static uint64_t zrandom_permute(uint64_t number, uint32_t half_bits, uint64_t seed) {
    const uint64_t mask = (UINT64_C(1) << half_bits) - 1;
    uint64_t left = number >> half_bits;
    uint64_t right = number & mask;
    ASSERT_HOT(left <= mask);
    for (uint32_t round = 0; round < ZRANDOM_ROUNDS; round++) {
        const uint64_t mixed = kv_pick_mix(seed + round * 64 + kv_pick_mix(right));
        const uint64_t next = left ^ (mixed & mask);
        left = right;
        right = next;
    }
    return left << half_bits | right;
}

/* Half of the bits, rounded up, that the numbers below count need; at least 1. */
static uint32_t zrandom_half_bits(uint64_t count) {
    const uint32_t bits = count <= 2 ? 1 : 64 - (uint32_t)__builtin_clzll(count - 1);
    return (bits + 1) / 2;
}

/* The next member of ranks that do not repeat; *number moves on. False: out of budget. */
static bool zrandom_next(struct kv_call *call, uint64_t count, uint64_t seed, uint64_t *number,
                         uint64_t *rank) {
    const uint32_t half_bits = zrandom_half_bits(count);
    do {
        if (call->run->budget == 0)
            return false;
        ASSERT(*number < UINT64_C(1) << 2 * half_bits);
        *rank = zrandom_permute(*number, half_bits, seed);
        ++*number;
        kv_spend(call, 1);
    } while (*rank >= count);
    return true;
}

static uint64_t zrandom_below(uint64_t draw, uint64_t count) {
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)((wide)draw * count >> 64);
}

/* Words: 0 how many members are written, 1 the seed (0: it has not begun), 2 the number of the
 * permutation. */
static enum kv_step zrandom_members(struct kv_call *call, struct kv_zset_view *view,
                                    const struct kv_zrandmember_options *options) {
    uint64_t *word = call->cursor->word;
    const bool repeats = options->wanted < 0;
    const uint64_t wanted = (uint64_t)(repeats ? -options->wanted : options->wanted);
    const uint64_t members = repeats || wanted < view->count ? wanted : view->count;
    if (word[1] == 0) {
        word[1] = kv_read_seed(call) | 1;
        if (options->with_scores)
            reply_pairs(call->reply, members);
        else
            reply_array(call->reply, members);
    }
    for (; word[0] < members; word[0]++) {
        struct kv_zmember at;
        uint64_t rank = word[0];
        if (call->run->budget == 0)
            return KV_MORE;
        if (repeats)
            rank = zrandom_below(kv_pick_mix(word[1] + word[0]), view->count);
        else if (wanted < view->count && !zrandom_next(call, view->count, word[1], &word[2], &rank))
            return KV_MORE;
        kv_zset_at(view, rank, &at);
        kv_reply_zmember(call, &at, options->with_scores);
    }
    return KV_DONE;
}

enum kv_step kv_zrandmember(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    const struct kv_found found = kv_find(call, 0, 0);
    struct kv_zrandmember_options options;
    struct kv_zset_view view;
    if (call->reply == NULL ||
        !kv_options_zrandmember(operation->arguments, operation->argument_count, &options,
                                call->reply) ||
        !kv_typed(call, &found, KV_TYPE_ZSET))
        return KV_DONE;
    if (found.present == NULL || (!options.single && options.wanted == 0)) {
        if (options.single)
            reply_null(call->reply);
        else
            reply_array(call->reply, 0);
        return KV_DONE;
    }
    kv_zset_open(&view, found.present);
    if (options.single) {
        struct kv_zmember at;
        kv_zset_at(&view, zrandom_below(kv_read_seed(call), view.count), &at);
        kv_reply_zmember(call, &at, false);
    } else if (zrandom_members(call, &view, &options) == KV_MORE) {
        return KV_MORE;
    }
    kv_read_drawn(call);
    return KV_DONE;
}
