#ifndef WEIR_TESTS_PROPERTY_DOCTOR_H
#define WEIR_TESTS_PROPERTY_DOCTOR_H

/*
 * Doctored histories: what a faulty node would have left behind, made from what a right one did.
 * A judge that calls one of them right judges nothing.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "tests/property/history.h"
#include "tests/property/twin.h"

/*
 * Applies each doctoring to a copy of the history (and its log; NULL: disjoint keys) and has it
 * judged. True if every one is refused; otherwise *error names those that were not, or for which
 * the history had no occasion. Prints a line for each to `stdout` if `verbose`.
 */
bool doctor_all(const struct history *history, const struct logged *logged,
                enum twin_machine machine, struct random *random, bool verbose,
                struct kv_model_text *error);

#endif
