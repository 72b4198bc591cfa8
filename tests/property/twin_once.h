#ifndef WEIR_TESTS_PROPERTY_TWIN_ONCE_H
#define WEIR_TESTS_PROPERTY_TWIN_ONCE_H

/*
 * The twin's sessions: what docs/operations.md promises of ONCE, in a plain way.  All numbers that
 * were ever used are kept, with the words and the answer of each.
 *
 * When a session expires says log time, which a client does not see: so a brief one may be gone
 * at any time.  One that was said to be gone stays so.
 */

#include "tests/property/twin.h"

struct twin_once;

struct twin_once *twin_once_new(void);
void twin_once_free(struct twin_once *once);

/* Opened, for its words, with this id.  False: it is not above those before it. */
bool twin_once_open(struct twin_once *once, uint64_t id, const struct kv_model_word *words,
                    size_t count);

/* Whether the session of these words, of an ONCE, may be gone; and that it is. */
bool twin_once_is_brief(const struct twin_once *once, const struct kv_model_word *words,
                        size_t count);
void twin_once_gone(struct twin_once *once, const struct kv_model_word *words, size_t count);

/* What is wrong with the form of an ONCE.OPEN, as a canonical answer; empty: nothing. */
void twin_once_open_fault(const struct kv_model_word *words, size_t count,
                          struct kv_model_text *answer);

/* Executes an ONCE on the twin, or not, and replaces *answer. */
void twin_once_execute(struct twin_once *once, struct twin *twin, const struct kv_model_word *words,
                       size_t count, uint64_t now_ms, struct kv_model_text *answer);

#endif
