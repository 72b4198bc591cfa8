#ifndef WEIR_TESTS_PROPERTY_ANSWER_H
#define WEIR_TESTS_PROPERTY_ANSWER_H

/*
 * A reply in one canonical text, whoever decoded it, so that two can be compared byte by byte:
 *
 *     +status\n  -error\n  :42\n  $5:bytes\n  _\n (null)  *2\n and two values  %1\n and a pair
 *     =3:txt... (verbatim, as $)   ,1.5\n   #t\n   (big\n   ~n\n   >n\n   !5:error\n
 *
 * A null is the same in both protocols, once it came in that protocol's form: in RESP 3 a "$-1" is
 * not a null and stays visible as "$-1\n".
 *
 * A pattern is such a text with wild cards: \x01 and a character stand for one value of that type,
 * "\x01:" for any integer; "\x01?" for any value at all, nested ones as a whole. "\x01\x01" is the
 * character itself.
 */

#include <stdbool.h>
#include <stddef.h>

#include <hiredis/hiredis.h>

#include "sim/kv_model.h"
#include "tests/support/resp3_decode.h"

/* Each replaces *out. */
void answer_of_hiredis(struct kv_model_text *out, const redisReply *reply);
void answer_of_resp3(struct kv_model_text *out, const struct resp3_value *value);

/* From a model's RESP 2 text, which holds exactly one reply. */
void answer_of_model(struct kv_model_text *out, const struct kv_model_text *resp2);

bool answer_equal(const struct kv_model_text *a, const struct kv_model_text *b);
bool answer_matches(const struct kv_model_text *pattern, const struct kv_model_text *answer);
bool answer_is_error(const struct kv_model_text *answer);

/* If it is ":number\n": the number. */
bool answer_integer(const struct kv_model_text *answer, int64_t *value);

/* Sorts the bulks of the array that begins at `offset`; an answer of another form is left alone. */
void answer_sort(struct kv_model_text *answer, size_t offset);

/* Of SCAN's answer "*2\n$n:cursor\n*m\n...": where the inner array begins, and whether the cursor
 * is 0. False if it is not of that form. */
bool answer_scan(const struct kv_model_text *answer, size_t *offset, bool *complete);

/* True if every element of the sorted array at a's offset is one of the sorted array at b's. */
bool answer_is_subset(const struct kv_model_text *a, size_t a_offset, const struct kv_model_text *b,
                      size_t b_offset);

#endif
