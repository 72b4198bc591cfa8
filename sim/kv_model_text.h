#ifndef WEIR_SIM_KV_MODEL_TEXT_H
#define WEIR_SIM_KV_MODEL_TEXT_H

/* What the twin of the kv machine needs of texts, written anew: it shares nothing with that. */

#include "sim/kv_model.h"

/* As memcmp, the shorter first where one begins with the other. */
int kv_model_text_compare(const char *a, size_t a_length, const char *b, size_t b_length);

/* An integer in its one spelling; false if it is none. */
bool kv_model_read_integer(const char *data, size_t length, int64_t *value);

/* Whether SCAN takes it for a cursor. */
bool kv_model_is_cursor(const char *data, size_t length);

/* Whether the glob pattern from p matches the text from s. Recursive, and as slow as it likes. */
bool kv_model_glob(const char *p, const char *p_end, const char *s, const char *s_end);

#endif
