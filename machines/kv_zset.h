#ifndef WEIR_MACHINES_KV_ZSET_H
#define WEIR_MACHINES_KV_ZSET_H

/*
 * Sorted sets: what the files of their commands share.
 *
 *     kv_zset.c          one sorted set: its members by rank, by score, by name; changing it
 *     kv_zset_options.c  the forms of the commands
 *     kv_zset_range.c    from options to ranks: ZRANGE, ZCOUNT, ZREMRANGE ...
 *     kv_zset_member.c   ZADD, ZREM, ZSCORE, ZRANK, ZPOPMIN ...
 *     kv_zset_random.c   ZRANDMEMBER
 *     kv_zset_algebra.c  ZUNION, ZINTER, ZDIFF, and what stores or counts their results
 *
 * Members are in the order of their scores, and those of one score in the order of their bytes, as
 * memcmp has it, the shorter one first. A rank is a place in that order, from 0.
 */

#include "machines/kv_collection.h"
#include "machines/kv_score.h"

/* One member. Borrowed bytes. */
struct kv_zmember {
    struct kv_bytes member;
    double score;
};

/* An argument as a member. */
static inline struct kv_bytes kv_zset_argument(const struct kv_call *call, uint64_t index) {
    ASSERT_HOT(index < call->operation->argument_count);
    const struct machine_argument *argument = &call->operation->arguments[index];
    return (struct kv_bytes){argument->data, argument->length_bytes};
}

/* ---- One sorted set (kv_zset.c) -------------------------------------------------------------- */

/* A sorted set, ready to be asked by rank. Valid until something of it is changed. */
struct kv_zset_view {
    const struct kv_collection *large; /* NULL: compact, or none */
    const uint8_t *bytes;
    uint32_t length_bytes;
    uint64_t count;
    struct kv_tree_run run; /* the last leaf that was visited */
    uint16_t offsets[KV_COMPACT_COUNT_MAX + 1];
};
_Static_assert(KV_INLINE_BYTES_MAX <= UINT16_MAX, "an offset in a compact set");

/* Of a record that is a sorted set, or NULL: then it has no members. A compact one is walked once:
 * 0.5 us at worst, which is not charged, since a slice begins with it. */
void kv_zset_open(struct kv_zset_view *view, const struct kv_record *record);

/* Of a large one that may be no key's. */
void kv_zset_open_large(struct kv_zset_view *view, const struct kv_collection *large);

/* The member of a rank below the count. */
void kv_zset_at(struct kv_zset_view *view, uint64_t rank, struct kv_zmember *at);

/* How many members come before a score: those with a lower one, and, if `beyond`, those that have
 * it. O(log n). */
uint64_t kv_zset_rank_score(const struct kv_zset_view *view, double score, bool beyond);

/* How many members come before a member of that score, which need not be there. O(log n). */
uint64_t kv_zset_rank(const struct kv_zset_view *view, struct kv_bytes member, double score);

/* The order of members of one score: below 0, 0, above. */
int kv_member_compare(struct kv_bytes a, struct kv_bytes b);

/* The score of a member of a present key or an absent one; false: it has none. */
bool kv_zset_score(struct kv_call *call, const struct kv_found *found, struct kv_bytes member,
                   double *score);

/*
 * Gives a member a score, which is not the one it has, and folds the digest; makes the key if it is
 * absent. `old` is the score that it has; NULL: it is not there. kv_protect must have agreed.
 */
void kv_zset_put(struct kv_call *call, struct kv_found *found, struct kv_bytes member, double score,
                 const double *old);

/* Removes the member of a rank below the count, and the key with the last one, and folds the
 * digest. kv_protect must have agreed. */
void kv_zset_remove(struct kv_call *call, struct kv_found *found, uint64_t rank);

/* Gives a member of a large collection a score, which may be -0 in one that is no key's. `old` as
 * above. Returns what it cost in units. */
uint32_t kv_zset_large_put(struct kv *kv, struct memory *memory, struct kv_collection *large,
                           struct kv_bytes member, double score, const double *old);

/* The score that a member has in a large collection; false: none. */
bool kv_zset_large_score(const struct kv *kv, const struct kv_collection *large,
                         struct kv_bytes member, double *score);

/* ---- Options (kv_zset_options.c); each returns false after writing the error ----------------- */

/* ZADD and ZINCRBY. */
struct kv_zadd_options {
    bool only_absent;  /* NX */
    bool only_present; /* XX */
    bool greater;      /* GT */
    bool less;         /* LT */
    bool changed;      /* CH */
    bool increment;    /* INCR */
    uint32_t first;    /* the argument that is the first score; its member follows, and so on */
};
bool kv_options_zadd(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                     struct kv_zadd_options *options, struct reply_writer *error);

/* One pair of these: the score, and that the member is not too long. Adds the cost to *units. */
bool kv_options_zadd_pair(const struct machine_argument *pair, double *score, uint32_t *units,
                          struct reply_writer *error);

/* An end of a range of members. */
struct kv_lex_bound {
    struct kv_bytes member;
    int infinite;   /* below 0: "-", above 0: "+" */
    bool exclusive; /* "(" */
};

/* In which order the ends of a range are; KV_ZRANGE_ANY: not said yet. */
enum kv_zrange_by { KV_ZRANGE_ANY, KV_ZRANGE_RANK, KV_ZRANGE_SCORE, KV_ZRANGE_LEX };

/* What ZRANGE and its like were asked for, and ZCOUNT, and ZREMRANGEBYSCORE. */
struct kv_zrange_options {
    enum kv_zrange_by by;
    bool reverse;
    bool with_scores;
    int64_t offset; /* LIMIT */
    int64_t limit;  /* below 0: none */
    int64_t start;  /* by rank: both ends */
    int64_t end;
    struct kv_score_bound min, max;       /* by score */
    struct kv_lex_bound lex_min, lex_max; /* by member */
};
bool kv_options_zrange(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                       struct kv_zrange_options *options, struct reply_writer *error);

#define KV_ZPOP_ONE INT64_C(-1)

/* ZPOPMIN, ZPOPMAX: KV_ZPOP_ONE if there is no count. */
bool kv_options_zpop(const struct machine_argument *arguments, uint32_t count, int64_t *wanted,
                     struct reply_writer *error);

/* ZMPOP. */
struct kv_zmpop_options {
    uint32_t key_count;
    bool max;
    int64_t wanted;
};
bool kv_options_zmpop(const struct machine_argument *arguments, uint32_t count,
                      struct kv_zmpop_options *options, struct reply_writer *error);

/* ZRANDMEMBER. */
struct kv_zrandmember_options {
    bool single; /* no count */
    bool with_scores;
    int64_t wanted;
};
bool kv_options_zrandmember(const struct machine_argument *arguments, uint32_t count,
                            struct kv_zrandmember_options *options, struct reply_writer *error);

/* ZUNION and its like: how many keys there are behind argument `number`. Redis looks at the keys
 * before it reads what follows them. */
bool kv_options_zkeys(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                      uint32_t number, uint32_t *key_count, struct reply_writer *error);

/* The rows' validator. */
bool kv_validate_zset(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                      const struct machine_options *options, struct reply_writer *error);

/* ---- Ranges (kv_zset_range.c) ---------------------------------------------------------------- */

/* Ranks from `first` to before `end`. */
struct kv_zrange {
    uint64_t first;
    uint64_t end;
};

/* The ranks that the options ask for, LIMIT included. */
struct kv_zrange kv_zset_range(struct kv_zset_view *view, const struct kv_zrange_options *options);

/* Replies one member: with its score, a pair. Takes the cost off the budget. */
void kv_reply_zmember(struct kv_call *call, const struct kv_zmember *at, bool with_score);

/* Replies the members of these ranks as an array, in slices; *progress, 0 at first, is a word of
 * the cursor: how many are written, and 1. */
enum kv_step kv_reply_zrange(struct kv_call *call, struct kv_zset_view *view,
                             struct kv_zrange range, bool reverse, bool with_scores,
                             uint64_t *progress);

/* Removes *left members from a rank on, in slices: *left is a word of the cursor. */
enum kv_step kv_zset_remove_range(struct kv_call *call, struct kv_found *found, uint64_t first,
                                  uint64_t *left);

/* ---- Results (kv_zset_algebra.c) ------------------------------------------------------------- */

/* Gives the destination, key 0, the members that were put into `result`, which lies in the memory
 * of its partition, and replies how many. Words: 6 the rank, 7 the phase; call until KV_DONE. */
enum kv_step kv_zset_store(struct kv_call *call, struct kv_collection *result);

#endif
