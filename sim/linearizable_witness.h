#ifndef WEIR_SIM_LINEARIZABLE_WITNESS_H
#define WEIR_SIM_LINEARIZABLE_WITNESS_H

/*
 * Whether an order of one key's operations that somebody suggests explains all of them.
 *
 * To find an order may take exponential time; to look at one takes as long as to sort it.  Nothing
 * about where it comes from is believed: each reply, the order of time and that of each connection
 * are looked at, by the model and the rules of the search (sim/linearizable.h).
 */

#include <stdbool.h>
#include <stdint.h>

#include "sim/linearizable_search.h"

struct witness;

/* Takes the memory for keys of up to operations_max operations, and for values as the options say.
 * Errors: WEIR_ENOMEM. */
int witness_create(struct witness **out, const struct linearizable_options *options,
                   uint32_t operations_max);

/* Gives it back; NULL is allowed. */
void witness_destroy(struct witness *witness);

/*
 * True if the operations are linearizable, as their places (options->places, by their number in the
 * history) show.  False says nothing: another order may explain them.
 */
bool witness_explains(struct witness *witness, const struct search_operation *operations,
                      uint32_t count);

#endif
