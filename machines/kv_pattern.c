/*
 * Happy path: pattern and text advance together to their ends.
 *
 * On a mismatch the text after the last * is tried one byte later. An earlier * need not be tried:
 * it could only give the last one a later beginning in the text, which that one can take itself.
 */

#include "machines/kv_pattern.h"

/* How many steps are one unit of about 100 ns. */
enum { KV_PATTERN_STEPS = 64 };

/* Whether `byte` is in the set that begins behind '['. *next: the position behind the set. Signed
 * comparison in ranges: so does Redis on the hosts it is mostly run on. */
static bool kv_pattern_set(const uint8_t *pattern, uint32_t pattern_bytes, uint32_t at,
                           uint8_t byte, uint32_t *next) {
    const bool negated = at < pattern_bytes && pattern[at] == '^';
    bool matched = false;
    if (negated)
        at++;
    while (at < pattern_bytes && pattern[at] != ']') {
        const uint32_t left = pattern_bytes - at;
        if (pattern[at] == '\\' && left >= 2) {
            at++;
            matched |= pattern[at] == byte;
        } else if (left >= 3 && pattern[at + 1] == '-') {
            const int8_t first = (int8_t)pattern[at];
            const int8_t last = (int8_t)pattern[at + 2];
            const int8_t value = (int8_t)byte;
            matched |=
                first <= last ? value >= first && value <= last : value >= last && value <= first;
            at += 2;
        } else {
            matched |= pattern[at] == byte;
        }
        at++;
    }
    *next = at < pattern_bytes ? at + 1 : at;
    return matched != negated;
}

/* Whether the one element of the pattern at `at`, not a *, matches the byte. *next: behind it. */
static bool kv_pattern_one(const uint8_t *pattern, uint32_t pattern_bytes, uint32_t at,
                           uint8_t byte, uint32_t *next) {
    if (pattern[at] == '[')
        return kv_pattern_set(pattern, pattern_bytes, at + 1, byte, next);
    if (pattern[at] == '\\' && pattern_bytes - at >= 2)
        at++;
    else if (pattern[at] == '?')
        byte = '?';
    *next = at + 1;
    return pattern[at] == byte;
}

static uint32_t kv_pattern_skip_stars(const uint8_t *pattern, uint32_t pattern_bytes, uint32_t at) {
    while (at < pattern_bytes && pattern[at] == '*')
        at++;
    return at;
}

/* One step: true if the match goes on; false at its end, matched or not. */
static bool kv_pattern_step(const uint8_t *pattern, uint32_t pattern_bytes, const uint8_t *text,
                            struct kv_pattern_state *state) {
    uint32_t next = 0;
    if (state->at < pattern_bytes && pattern[state->at] == '*') {
        state->at = kv_pattern_skip_stars(pattern, pattern_bytes, state->at);
        state->star = state->at;
        state->star_text = state->position;
        return state->at < pattern_bytes;
    }
    if (state->at < pattern_bytes &&
        kv_pattern_one(pattern, pattern_bytes, state->at, text[state->position], &next)) {
        state->at = next;
        state->position++;
        return true;
    }
    if (state->star == 0)
        return false;
    state->at = state->star;
    state->position = ++state->star_text;
    return true;
}

enum kv_pattern_result kv_pattern_match(const uint8_t *pattern, uint32_t pattern_bytes,
                                        const uint8_t *text, uint32_t text_bytes,
                                        struct kv_pattern_state *state, uint32_t *units) {
    if (text_bytes == 0)
        return pattern_bytes == 0 || (pattern_bytes == 1 && pattern[0] == '*');
    uint32_t steps = 0;
    while (state->position < text_bytes) {
        const uint32_t before = state->at;
        if (!kv_pattern_step(pattern, pattern_bytes, text, state))
            break;
        /* A set is many bytes of the pattern in one step. */
        steps += 1 + (state->at > before ? (state->at - before) / 2 : 0);
        if (steps < KV_PATTERN_STEPS)
            continue;
        *units -= steps / KV_PATTERN_STEPS < *units ? steps / KV_PATTERN_STEPS : *units;
        steps = 0;
        if (*units == 0)
            return KV_PATTERN_MORE;
    }
    const bool star_at_end = state->star != 0 && state->star == pattern_bytes;
    const bool text_used_up = state->position == text_bytes;
    const bool pattern_used_up =
        kv_pattern_skip_stars(pattern, pattern_bytes, state->at) == pattern_bytes;
    *state = (struct kv_pattern_state){0};
    return star_at_end || (text_used_up && pattern_used_up) ? KV_PATTERN_MATCHES
                                                            : KV_PATTERN_DIFFERS;
}
