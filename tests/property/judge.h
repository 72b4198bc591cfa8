#ifndef WEIR_TESTS_PROPERTY_JUDGE_H
#define WEIR_TESTS_PROPERTY_JUDGE_H

/*
 * Whether a history can have happened.
 *
 * Disjoint keys: each connection is alone with its keys, so its answers are those of a twin of its
 * own that executes its operations one after the other.
 *
 * Shared keys: the log says in which order the writes took effect, and when. One twin executes them
 * in that order. Each write's answer must be the twin's at its place. Each read must have a place:
 * between two commands of the log, where the twin gives the same answer. And the places must
 * respect what the clients saw: an operation that was answered before another was invoked stands
 * before it; those of one connection stand in their order. Nothing acknowledged may be missing from
 * the log, and nothing may be there that was not asked for, or twice.
 *
 * The search for places is exact, not a heuristic. All lanes are walked at once; a lane's next
 * operation is due when nobody else's next one was answered before it was invoked. A write is
 * placed when its command is reached in the log. A read is placed at the first place from which on
 * it is due and the answer fits: a later place could only push away operations behind it, never
 * help any (the order of writes is given, reads change nothing).
 *
 * Both need every write to say which connection sent it: by a value, an amount or a key in it, or
 * because only one connection sends that command to that key. The generator sees to that; two lanes
 * that could both have written a command of the log are a fault of the test and reported.
 */

#include <stdbool.h>
#include <stdint.h>

#include "tests/property/history.h"
#include "tests/property/twin.h"

/* How much later than an operation was invoked its clock may have been read earlier than that: a
 * core reads the clock once a turn, and may be preempted behind it. */
enum { JUDGE_CLOCK_SLACK_MS = 2000 };

/* True if the history is right; otherwise *error says what is not. */
bool judge_disjoint(const struct history *history, enum twin_machine machine,
                    struct kv_model_text *error);

bool judge_shared(const struct history *history, const struct logged *logged,
                  enum twin_machine machine, struct kv_model_text *error);

#endif
