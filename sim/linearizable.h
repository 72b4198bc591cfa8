#ifndef WEIR_SIM_LINEARIZABLE_H
#define WEIR_SIM_LINEARIZABLE_H

/*
 * Is a history linearizable, key by key?
 *
 * Linearizable: there is one order of all operations in which each gives the reply that its client
 * saw, and in which an operation that had returned before another was invoked stands before it
 * (Herlihy and Wing, "Linearizability", 1990). A history is linearizable if and only if the part of
 * each object is (their theorem 1), so each key is judged alone. This checker knows nothing of
 * logs, terms and nodes: it sees what clients saw.
 *
 * The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993) as Lowe
 * made it fast ("Testing for linearizability", 2017). A list holds the key's calls and returns in
 * the order of time. Any call before the first return may be next in the order: if its reply is
 * the model's (sim/key_model.h), call and return are lifted out, and the search goes on behind it.
 * If none may be next, the last one is put back. What was reached once, a set of operations and a
 * value, is remembered and not entered again.
 *
 *   - Operations of one connection keep their order, also where they overlap.
 *   - A write whose outcome is unknown has no return, and may be left out. It is tried after all
 *     others, only where it changes the value, never before an identical one invoked earlier, and
 *     never right before a write that covers it.
 *   - Refused operations, reads that were not answered, and reads that may be old are left out.
 *
 * Who knows an order that might do (the log's) can suggest it: to look at an order takes no search,
 * and where it explains nothing the search looks for another one.
 *
 * What it can see: stale reads, lost updates, values out of nowhere or back from the dead, unknown
 * writes that were seen and then were not. What it cannot: order between keys, whether MSET and
 * MGET are atomic, keys with deadlines (they are counted as not modelled), and writes that nobody
 * read. Replay in log order sees these (sim/replay_check.h).
 *
 * Bounds. Finding an order can take exponential time, chiefly if many writes are unknown. Steps and
 * memory are bounded for each key; beyond, the key is undecided. A set is remembered by a hash of
 * 128 bits together with its value; that two of the at most 2^31 remembered ones coincide has a
 * chance below 2^-66.
 *
 * Allocates at the beginning, up to some 80 MB by default, of which a key uses what it needs, and
 * frees everything but the text. One thread; blocks for as long as it takes: about a microsecond an
 * operation on a history that is right.
 */

#include <stddef.h>
#include <stdint.h>

#include "sim/history.h"

/* The bounds of one key's search. */
struct linearizable_options {
    uint64_t steps_max;       /* operations tried */
    uint32_t memory_slots;    /* what was reached: a power of two in [16, 1 << 31]; half are used */
    uint32_t values_max;      /* different values of the key; [1, 1 << 24] */
    uint32_t value_bytes;     /* of all these together */
    uint64_t value_bytes_max; /* the longest string that APPEND may build */
    /* Of each operation, what is known about unknown writes from elsewhere (sim/replay_check.h), or
       NULL: those that never happened are left out. */
    const uint8_t *never_applied;
    /* Of each operation, its place in an order of all of them that somebody suggests (replay's), or
       0: it has none; or NULL.  A key that this order explains is not searched; nothing else is
       believed of it. */
    const uint32_t *places;
};

/* What was found. */
struct linearizable_report {
    enum history_verdict verdict; /* WRONG if one key is; else UNDECIDED if one key is */
    uint32_t keys;
    uint32_t keys_right;
    uint32_t keys_explained; /* of these, by the places that were suggested */
    uint32_t keys_wrong;
    uint32_t keys_undecided;  /* a bound was reached */
    uint32_t keys_unmodelled; /* a command on them is not modelled; these are undecided too */
    uint32_t unmodelled;      /* commands that may concern any key and are not known: undecided */
    uint64_t operations;      /* parts of operations that were judged */
    uint64_t unknown_writes;  /* of these, how many were open-ended */
    uint64_t steps;
    /* For each wrong key (the first 4 of them): the longest order found, and the operations under
       way where it ends; for each undecided one a line. Owned by the caller:
       kv_model_text_free. */
    struct kv_model_text text;
};

/* 20 million steps, 2^21 slots, 2^18 values of 16 MiB together, strings up to 512 MiB. */
struct linearizable_options linearizable_options_default(void);

/*
 * Judges a history, and replaces *report.
 * Errors, with *report zeroed: WEIR_EINVAL (an option is out of its range), WEIR_ENOMEM.
 */
int linearizable_check(const struct history *history, const struct linearizable_options *options,
                       struct linearizable_report *report);

#endif
