#ifndef WEIR_MACHINES_KV_PICK_H
#define WEIR_MACHINES_KV_PICK_H

/*
 * A random choice among the records of a table: uniform, and the same on every replica.
 *
 * What SPOP removes must not depend on how the table lies in memory: a replica that was restored
 * from a snapshot has another directory, other segments, another order in its buckets. So the
 * choice is a function of the records' keys, the hash seed and a random seed, and of nothing else.
 *
 *   cell    Records whose hashes have the same low `depth` bits and whose homes are of the same
 *           group. Depth and groups follow from the number of records, so that a cell has 4 to 8
 *           of them on average (fewer than 8 in all: one cell). However a table lies, a cell is
 *           found from its number: it is some homes of a segment, or of each of the few segments
 *           that share the low bits.
 *   rank    A record's place in its cell, ordered by hash, then key.
 *   ticket  A number from 0 on. A random permutation, made from the seed, takes each ticket to a
 *           cell and a rank below 64; if the cell has a record of that rank, the ticket wins it.
 *           Drawing tickets 0, 1, 2 ... until one wins is therefore a uniform choice; and going on
 *           draws without putting back: all orders are equally likely, each record comes once,
 *           and nothing has to be remembered but the number of the ticket.
 *
 * Eight to sixteen tickets are drawn for a record on average. A ticket looks at tags alone, which
 * is a cache line; the records of a cell are looked at only if it wins. (Cells as large as a
 * segment would need two tickets, but ordering their records would cost more than that.)
 *
 * The permutation is a Feistel network of six rounds, half of the bits against the other half.
 *
 * A cell with more than 64 records cannot be: with 8 on average that has a probability of 1e-35
 * (Poisson), unless hashes are chosen, and their seed is secret.
 */

#include "machines/kv_table.h"

enum {
    KV_PICK_RANK_BITS = 6,
    KV_PICK_RECORDS_MAX = 1 << KV_PICK_RANK_BITS, /* in a cell */
    KV_PICK_ROUNDS = 6,
};

/* Zero is not valid: made by kv_pick_make. */
struct kv_pick {
    uint64_t key[KV_PICK_ROUNDS]; /* of the permutation */
    uint32_t depth;               /* how many low bits of the hash make a cell */
    uint32_t groups;              /* of homes: a power of two, or each home by itself */
    uint32_t group_bits;
};

/* The next of a sequence of seeds: a bijection that leaves no bit where it was (SplitMix64). */
uint64_t kv_pick_mix(uint64_t value);

/* For a table that has `count` >= 1 records. A pick made again from the same numbers is the same;
 * while records are removed one keeps the first one's count. */
struct kv_pick kv_pick_make(uint64_t count, uint64_t seed);

/* How many cells there are, and tickets. */
static inline uint64_t kv_pick_cells(const struct kv_pick *pick) {
    return UINT64_C(1) << (pick->depth + pick->group_bits);
}
static inline uint64_t kv_pick_tickets(const struct kv_pick *pick) {
    return kv_pick_cells(pick) << KV_PICK_RANK_BITS;
}

/* The cell of a ticket, which is below kv_pick_tickets; *rank is what it wins there, if the cell
 * has as many records. */
uint64_t kv_pick_draw(const struct kv_pick *pick, uint64_t ticket, uint32_t *rank);

/* The records of a cell, by rank; takes what it costs off the budget, which never falls below 0.
 * Cells in their order, and ranks in each, are a canonical order of all records. */
uint32_t kv_pick_cell(const struct kv_table *table, const struct kv_pick *pick, uint64_t cell,
                      struct kv_record *records[KV_PICK_RECORDS_MAX], uint32_t *budget);

/*
 * Draws from *ticket on until one wins, advances *ticket behind it and returns its record. NULL:
 * the budget is used up; call again. The table has not changed since the pick was made, and has
 * records that were not drawn yet.
 */
struct kv_record *kv_pick_next(const struct kv_table *table, const struct kv_pick *pick,
                               uint64_t *ticket, uint32_t *budget);

#endif
