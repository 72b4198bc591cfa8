#ifndef WEIR_MACHINES_KV_PATTERN_H
#define WEIR_MACHINES_KV_PATTERN_H

/*
 * Glob patterns of KEYS and SCAN, with the meaning that Redis 7.0 gives them: * any run, ? one
 * byte, [abc] [a-z] [^a] a set (a missing ] ends with the pattern), \ takes the next byte as it
 * is. One oddity is kept: an empty key matches the pattern "*" alone and the empty pattern.
 *
 * Not recursive, and only the last * is ever gone back to: at most pattern times text steps,
 * whatever the pattern, and 64 of them at a time where it searches (as long as that part of the
 * pattern has no more than some 8,000 bytes, or 600 sets). A set counts for each of its bytes.
 * That can still be long for a pattern and a key of 64 KiB made for it, so a match can be left and
 * taken up again.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a match stands. Zeroed: at the beginning. */
struct kv_pattern_state {
    uint32_t at;             /* in the pattern */
    uint32_t position;       /* in the text */
    uint32_t star : 31;      /* in the pattern behind the last * met; 0: none */
    uint32_t one_by_one : 1; /* the part behind it is too long to be tried at many places at once */
    uint32_t star_text;      /* where in the text it was tried last */
};

/* What is known of a match so far. */
enum kv_pattern_result { KV_PATTERN_DIFFERS, KV_PATTERN_MATCHES, KV_PATTERN_MORE };

/* Whether the text matches. *units falls by the work done, in units of machine.h; at 0 the answer
 * is KV_PATTERN_MORE: call again with the same state. Otherwise the state has been zeroed. */
enum kv_pattern_result kv_pattern_match(const uint8_t *pattern, uint32_t pattern_bytes,
                                        const uint8_t *text, uint32_t text_bytes,
                                        struct kv_pattern_state *state, uint32_t *units);

#endif
