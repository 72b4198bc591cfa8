#ifndef WEIR_MACHINES_KV_SORT_H
#define WEIR_MACHINES_KV_SORT_H

/*
 * SORT and SORT_RO: the elements of a list, a set or a sorted set, in order.
 *
 *     kv_sort.c          the commands: what is answered, or stored
 *     kv_sort_merge.c    the sorting, in memory of its own
 *     kv_sort_options.c  the options
 *
 * Patterns over other keys are refused, in Redis's words for a cluster: what they would find is in
 * other partitions. BY a pattern without an asterisk means not to sort.
 */

#include "machines/kv_list.h"

/* What SORT was asked for. */
struct kv_sort_options {
    bool descending;
    bool alpha;    /* by bytes, else by number */
    bool unsorted; /* BY a pattern without an asterisk */
    int64_t limit_start;
    int64_t limit_count; /* negative: all */
    uint32_t store;      /* the argument that is the destination; 0: none */
};

/* Errors: those of Redis; more than MACHINE_KEY_ARGUMENTS_MAX arguments are a syntax error. */
bool kv_options_sort(uint32_t row, const struct machine_argument *arguments, uint32_t count,
                     struct kv_sort_options *options, struct reply_writer *error);

/* ---- Sorting (kv_sort_merge.c) --------------------------------------------------------------- */

/* An element: what it is compared by first, and its bytes, which lie in the collection. */
struct kv_sort_entry {
    uint64_t order; /* the number's place among all numbers, or the first bytes; ~: descending */
    struct kv_bytes bytes;
};

/* How far the command is: word 1 of its cursor. */
enum { KV_SORT_BEGIN, KV_SORT_ON, KV_SORT_END };

/* Sorting in progress: kv->scratch. */
struct kv_sort;

/*
 * Sorts all elements of a collection, in slices: KV_MORE, call again with the same arguments.
 * *entries is NULL if one is no number; else they lie in kv->scratch, which kv_sort_end gives
 * back. Takes 48 bytes an element from the host: if it has none left, a
 * command that stores ends the process (machines/machine.h says why), another gets an error, and
 * `*failed` is set.
 */
enum kv_step kv_sort_all(struct kv_call *call, const struct kv_found *found,
                         const struct kv_sort_options *options,
                         const struct kv_sort_entry **entries, bool *failed);

/* Gives the scratch memory back, in slices: many SORTs may be executed before maintain is. */
enum kv_step kv_sort_end(struct kv_call *call);

#endif
