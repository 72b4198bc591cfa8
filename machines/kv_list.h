#ifndef WEIR_MACHINES_KV_LIST_H
#define WEIR_MACHINES_KV_LIST_H

/*
 * Lists: elements by their rank, whatever the encoding (kv_collection.h).
 *
 *     kv_list.c         the structure: looking at elements, inserting, replacing, removing
 *     kv_list_ends.c    LPUSH RPUSH LPUSHX RPUSHX LPOP RPOP LMPOP LMOVE RPOPLPUSH
 *     kv_list_range.c   LLEN LINDEX LRANGE LSET LTRIM
 *     kv_list_search.c  LPOS LREM LINSERT
 *     kv_options_list.c their options
 *
 * A compact list is changed in one step. In a large one a rank is found in O(log n); an element is
 * copied in slices, into memory of its own, before it becomes part of the list.
 *
 * Digest: an insertion folds the rank and the bytes, a removal the rank of each element, a move the
 * hash of the key that had the element. Ranks are the same whatever the budget of a slice.
 */

#include "machines/kv_collection.h"

/* ---- Looking --------------------------------------------------------------------------------- */

/* A way of looking at elements in either direction: next to the last one looked at it is O(1).
 * Valid until the list is changed. */
struct kv_list_view {
    const struct kv_record *record;
    uint64_t count;                        /* of the list */
    struct kv_tree_run run;                /* large: the leaf last looked at */
    uint16_t offset[KV_COMPACT_COUNT_MAX]; /* compact: of each element */
};

_Static_assert(KV_INLINE_BYTES_MAX <= UINT16_MAX, "an offset in a compact list is a u16");

/* Begins to look at the list of a record. Compact: walks it. */
void kv_list_view_begin(struct kv_list_view *view, const struct kv_record *record);

/* The element of a rank below the count. */
struct kv_bytes kv_list_view_at(struct kv_list_view *view, uint64_t rank);

/* The same of a record, for one look. */
struct kv_bytes kv_list_at(const struct kv_record *record, uint64_t rank);

/* ---- Changing; kv_protect must have agreed --------------------------------------------------- */

/* Inserts an element of a key, absent or a list, so that it gets that rank, at most the count. A
 * long one is copied in slices: KV_MORE, call again with the same arguments. Words 2..4 and 7. */
enum kv_step kv_list_insert(struct kv_call *call, struct kv_found *found, uint64_t rank,
                            struct kv_bytes bytes);

/* Appends an element to a large list that is no key's yet, and will be that of `found`; else as
 * kv_list_insert. */
enum kv_step kv_list_append(struct kv_call *call, const struct kv_found *found,
                            struct kv_collection *list, struct kv_bytes bytes);

/* Replaces the element of a rank below the count; else as kv_list_insert. */
enum kv_step kv_list_set(struct kv_call *call, struct kv_found *found, uint64_t rank,
                         struct kv_bytes bytes);

/* Removes *left elements from a rank on and counts *left down, in slices: KV_MORE, call again. The
 * key goes with its last element: then found->present is NULL. */
enum kv_step kv_list_remove(struct kv_call *call, struct kv_found *found, uint64_t rank,
                            uint64_t *left);

/* Moves the element of a rank to an end of a list that is another key or the same (then `to` is
 * `from`), in one step: its bytes stay where they are, or, between partitions, are copied if they
 * are at most MEMORY_CLASSED_BYTES_MAX. A source without elements remains. */
void kv_list_move(struct kv_call *call, struct kv_found *from, uint64_t rank, struct kv_found *to,
                  bool to_front);

/* ---- Options (kv_options_list.c); each returns false after writing the error ----------------- */

/* LPOP and RPOP: [count]; -1: none was given. `name` is the command's. */
bool kv_options_pop(const char *name, const struct machine_argument *arguments, uint32_t count,
                    int64_t *pop_count, struct reply_writer *error);

/* LMPOP numkeys key [key ...] LEFT | RIGHT [COUNT count] */
struct kv_lmpop_options {
    uint32_t key_count;
    bool from_front; /* LEFT */
    int64_t count;
};
bool kv_options_lmpop(const struct machine_argument *arguments, uint32_t count,
                      struct kv_lmpop_options *options, struct reply_writer *error);

/* LEFT or RIGHT. */
bool kv_options_end(const struct machine_argument *argument, bool *is_front,
                    struct reply_writer *error);

/* BEFORE or AFTER, of LINSERT. */
bool kv_options_linsert(const struct machine_argument *argument, bool *after,
                        struct reply_writer *error);

/* What LPOS was asked for. Redis negates a RANK that is negative: the least number stays itself, so
 * every match is far enough, and a COUNT is never reached. */
struct kv_lpos_options {
    bool rank_wraps;      /* it is that number */
    bool backwards;       /* a negative RANK */
    uint64_t rank;        /* the first match of interest, from 1 */
    int64_t count;        /* -1: none was given; 0: all */
    uint64_t compare_max; /* MAXLEN; UINT64_MAX: none was given, or 0 */
};
bool kv_options_lpos(const struct machine_argument *arguments, uint32_t count,
                     struct kv_lpos_options *options, struct reply_writer *error);

/* Two indexes, of LRANGE and LTRIM, as the first rank and how many: both cut to the list. */
struct kv_list_range {
    uint64_t first;
    uint64_t count;
};
struct kv_list_range kv_list_range(int64_t start, int64_t end, uint64_t count);

#endif
