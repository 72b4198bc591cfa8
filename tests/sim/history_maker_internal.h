#ifndef WEIR_TESTS_SIM_HISTORY_MAKER_INTERNAL_H
#define WEIR_TESTS_SIM_HISTORY_MAKER_INTERNAL_H

/* What making and spoiling histories share. */

#include "tests/sim/history_maker.h"

/* The operation's words, borrowed; returns how many. */
uint32_t made_words(const struct made_operation *operation, struct kv_model_word *words);

#endif
