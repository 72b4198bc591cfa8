#ifndef WEIR_SIM_LINEARIZABLE_SEARCH_H
#define WEIR_SIM_LINEARIZABLE_SEARCH_H

/*
 * The search for an order of one key's operations: inside sim/linearizable.h, which says how it
 * goes. One searcher is used for one key after the other.
 */

#include <stdbool.h>
#include <stdint.h>

#include "sim/key_model.h"
#include "sim/linearizable.h"

/* One key's part of an operation, as the search wants it. */
struct search_operation {
    uint64_t invoked_ns;
    uint64_t returned_ns; /* HISTORY_NEVER if unknown */
    uint32_t number;      /* in the history */
    uint32_t connection;
    uint32_t sequence;
    bool is_unknown; /* it may be left out */
    struct key_step step;
    struct key_reply reply;
};

struct search;

/* Takes the memory for keys of up to operations_max operations. The options are in their range.
 * Errors: WEIR_ENOMEM. */
int search_create(struct search **out, const struct linearizable_options *options,
                  uint32_t operations_max);

/* Gives it back; NULL is allowed. */
void search_destroy(struct search *search);

/* Searches an order of the operations, at most operations_max, in any order, which
 * stay until the next call. Adds the steps to *steps. */
enum history_verdict search_run(struct search *search, const struct search_operation *operations,
                                uint32_t count, uint64_t *steps);

/* After a verdict that is not right: adds lines that say how far the search came. */
void search_explain(const struct search *search, const struct history *history,
                    struct kv_model_text *out);

#endif
