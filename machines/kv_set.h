#ifndef WEIR_MACHINES_KV_SET_H
#define WEIR_MACHINES_KV_SET_H

/*
 * Sets: what the files of their commands share.
 *
 *     kv_set_members.c  SADD, SREM, SMOVE, SISMEMBER, SMEMBERS ...
 *     kv_set_random.c   SPOP, SRANDMEMBER
 *     kv_set_algebra.c  SINTER, SUNION, SDIFF, and what stores or counts their results
 *     kv_set_options.c  the forms of these
 *
 * Whatever goes over all members of a set goes in one order, kv_set_chunk's: of insertion if the
 * set is compact, by cells (kv_pick.h) if it is large. It does not depend on how a table lies in
 * memory, so that what is made of it, a reply that is remembered, a digest, a set that is stored,
 * is the same on a replica that was restored from a snapshot.
 */

#include "machines/kv_collection.h"
#include "machines/kv_pick.h"

#define KV_SET_END UINT64_MAX

/*
 * The next members of a set, at most KV_PICK_RECORDS_MAX and perhaps none, from *place on, which
 * moves behind them; 0 is the beginning, KV_SET_END the end. As long as the set does not change, a
 * place gives the same members in the same order. *units is what it cost: to be spent when the
 * members have been dealt with, lest a budget of 1 should gather them again and again.
 */
uint32_t kv_set_chunk(const struct kv_record *set, uint64_t *place,
                      struct kv_bytes members[KV_PICK_RECORDS_MAX], uint32_t *units);

/* Replies all members, as a set or an array. False: out of budget, call again. Words: 2 the place,
 * 3 the member in its chunk, 4 whether it has begun. */
bool kv_set_reply_all(struct kv_call *call, const struct kv_record *set, bool as_array);

/* ---- Options (kv_set_options.c); each returns false after writing the error ------------------ */

#define KV_COUNT_NONE INT64_MIN

/* SPOP key [count], SRANDMEMBER key [count]: KV_COUNT_NONE, if there is none. */
bool kv_options_spop(const struct machine_argument *arguments, uint32_t count, int64_t *wanted,
                     struct reply_writer *error);
bool kv_options_random_count(const struct machine_argument *argument, int64_t *wanted,
                             struct reply_writer *error);
bool kv_options_srandmember(const struct machine_argument *arguments, uint32_t count,
                            int64_t *wanted, struct reply_writer *error);

/* SINTERCARD numkeys key [key ...] [LIMIT limit]: the limit is 0 for none. */
bool kv_options_sintercard(const struct machine_argument *arguments, uint32_t count,
                           uint32_t *key_count, uint64_t *limit, struct reply_writer *error);

/* A member, as a set has them. */
static inline struct kv_bytes kv_member_of(const struct machine_argument *argument) {
    return (struct kv_bytes){argument->data, argument->length_bytes};
}

#endif
