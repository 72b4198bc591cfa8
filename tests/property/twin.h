#ifndef WEIR_TESTS_PROPERTY_TWIN_H
#define WEIR_TESTS_PROPERTY_TWIN_H

/*
 * The machine's twin: the plain model of kv, or of the log machine, behind one function, with what
 * a checker must know of the commands: which of them the log holds, and under what id. The ids are
 * written down here once more, since they stand in logs for ever.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/property/history.h"

enum twin_machine { TWIN_KV, TWIN_LOG };

struct twin;
struct twin_once;

struct twin *twin_new(enum twin_machine machine);
void twin_free(struct twin *twin);

/* Its sessions (twin_once.h). */
struct twin_once *twin_sessions(struct twin *twin);

/* Executes a command and replaces *answer by the canonical answer (answer.h). */
void twin_execute(struct twin *twin, const struct kv_model_word *words, size_t count,
                  uint64_t log_time_ms, uint64_t clock_ms, struct kv_model_text *answer);

/* The command's id in the log if it is a write, or 0. The number of its arguments does not
 * matter. */
uint16_t twin_write_id(enum twin_machine machine, const struct kv_model_word *name);

/* The id if this command, as its form is, goes through the log; 0 for a read and for what is
 * refused whatever the state is. */
uint16_t twin_logged_id(enum twin_machine machine, const struct kv_model_word *words, size_t count);

#endif
