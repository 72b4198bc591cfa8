#ifndef WEIR_TESTS_SIM_HISTORY_BRUTE_H
#define WEIR_TESTS_SIM_HISTORY_BRUTE_H

/*
 * The twin of both checkers, too simple to be wrong: it tries all orders of a history's operations,
 * each time from an empty model, and shares nothing with either of them but the model of kv.
 */

#include <stdbool.h>
#include <stddef.h>

#include "sim/replay_check.h"

enum { BRUTE_OPERATIONS_MAX = 16 };

/*
 * True if an order of the answered operations, with unknown writes among them or not, gives all
 * replies and goes against neither time nor any connection's order. With a log (not NULL) the
 * writes of that order are those of the log, all of them.
 */
bool brute_check(const struct history *history, const struct replay_command *log, size_t log_count);

#endif
