/*
 * Happy path: pattern and text advance together to their ends.
 *
 * On a mismatch the text after the last * is tried one byte later. An earlier * need not be tried:
 * it could only give the last one a later beginning in the text, which that one can take itself.
 * Where the text goes on for long, 64 such beginnings are compared at once, and those that differ
 * are passed.
 */

#include "machines/kv_pattern.h"

#include <string.h>

/* How many steps are one unit of about 100 ns. */
enum { KV_PATTERN_STEPS = 64 };

enum {
    /* Beginnings in the text that are looked at together: some vector instructions a byte. */
    KV_PATTERN_BEGINNINGS = 64,
    /* What that costs for each byte of the pattern, in steps: some 5 ns. */
    KV_PATTERN_KEEP_STEPS = 3,
    /* Of one look; what is longer is tried at one place after the other. 400 units: some 40 us. */
    KV_PATTERN_SKIP_STEPS = 400 * KV_PATTERN_STEPS,
};

/* Of the set in which *at stands, the bytes from *low to *high; false at its end. Signed comparison
 * in ranges: so does Redis on the hosts it is mostly run on. */
static bool kv_pattern_range(const uint8_t *pattern, uint32_t pattern_bytes, uint32_t *at,
                             int8_t *low, int8_t *high) {
    const uint32_t left = pattern_bytes - *at;
    if (left == 0 || pattern[*at] == ']')
        return false;
    const bool is_range =
        (pattern[*at] != '\\' || left < 2) && left >= 3 && pattern[*at + 1] == '-';
    *at += pattern[*at] == '\\' && left >= 2;
    const int8_t first = (int8_t)pattern[*at];
    const int8_t last = is_range ? (int8_t)pattern[*at + 2] : first;
    *low = first <= last ? first : last;
    *high = first <= last ? last : first;
    *at += is_range ? 3 : 1;
    return true;
}

/* Whether `byte` is in the set that begins behind '['. *next: the position behind the set. */
static bool kv_pattern_set(const uint8_t *pattern, uint32_t pattern_bytes, uint32_t at,
                           uint8_t byte, uint32_t *next) {
    const bool negated = at < pattern_bytes && pattern[at] == '^';
    bool matched = false;
    int8_t low;
    int8_t high;
    at += negated;
    while (kv_pattern_range(pattern, pattern_bytes, &at, &low, &high))
        matched |= (int8_t)byte >= low && (int8_t)byte <= high;
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

/* ---- many beginnings at once ----------------------------------------------------------------- */

/* The same for all bytes: in[byte] is 1 or 0. Returns the steps that it took. */
static uint32_t kv_pattern_set_all(const uint8_t *pattern, uint32_t pattern_bytes, uint32_t at,
                                   uint8_t in[256], uint32_t *next) {
    const bool negated = at < pattern_bytes && pattern[at] == '^';
    uint32_t steps = 256 / KV_PATTERN_BEGINNINGS;
    int8_t low;
    int8_t high;
    at += negated;
    memset(in, negated, 256);
    while (kv_pattern_range(pattern, pattern_bytes, &at, &low, &high)) {
        for (int value = low; value <= high; value++)
            in[(uint8_t)value] = !negated;
        steps += 1 + (uint32_t)(high - low);
    }
    *next = at < pattern_bytes ? at + 1 : at;
    return steps;
}

/* The first that is not 0, or KV_PATTERN_BEGINNINGS. */
static uint32_t kv_pattern_first(const uint8_t alive[KV_PATTERN_BEGINNINGS]) {
    uint32_t first = 0;
    for (; first < KV_PATTERN_BEGINNINGS; first += 8) {
        uint64_t word;
        memcpy(&word, alive + first, sizeof(word));
        if (word != 0)
            break;
    }
    while (first < KV_PATTERN_BEGINNINGS && alive[first] == 0)
        first++;
    return first;
}

/* One element of the pattern, not a *, against the bytes from `text` on: of the beginnings those
 * that match it stay alive. Returns the position behind it; adds to *steps. */
static uint32_t kv_pattern_keep(const uint8_t *pattern, uint32_t pattern_bytes, uint32_t at,
                                const uint8_t *text, uint8_t alive[KV_PATTERN_BEGINNINGS],
                                uint32_t *steps) {
    *steps += KV_PATTERN_KEEP_STEPS;
    if (pattern[at] == '?')
        return at + 1;
    if (pattern[at] == '[') {
        uint8_t in[256];
        uint32_t next;
        *steps += kv_pattern_set_all(pattern, pattern_bytes, at + 1, in, &next);
        for (uint32_t i = 0; i < KV_PATTERN_BEGINNINGS; i++)
            alive[i] &= in[text[i]];
        *steps += KV_PATTERN_BEGINNINGS / 2;
        return next;
    }
    at += pattern[at] == '\\' && pattern_bytes - at >= 2;
    const uint8_t byte = pattern[at];
    for (uint32_t i = 0; i < KV_PATTERN_BEGINNINGS; i++)
        alive[i] &= (uint8_t)(text[i] == byte);
    return at + 1;
}

/* How many beginnings in the text, from star_text on, are not those of the part behind the last *.
 * It looks at many at once, as far as all have bytes to be compared; apart, since short texts
 * never come here. */
__attribute__((noinline)) static uint32_t kv_pattern_skip(const uint8_t *pattern,
                                                          uint32_t pattern_bytes,
                                                          const uint8_t *text, uint32_t text_bytes,
                                                          struct kv_pattern_state *state,
                                                          uint32_t *steps) {
    uint8_t alive[KV_PATTERN_BEGINNINGS];
    const uint32_t steps_max = *steps + KV_PATTERN_SKIP_STEPS;
    uint32_t at = state->star;
    uint32_t from = state->star_text;
    uint32_t first = 0;
    memset(alive, 1, sizeof(alive));
    while (first < KV_PATTERN_BEGINNINGS && *steps < steps_max && at < pattern_bytes &&
           pattern[at] != '*' && text_bytes - from >= KV_PATTERN_BEGINNINGS) {
        at = kv_pattern_keep(pattern, pattern_bytes, at, text + from, alive, steps);
        from++;
        first = kv_pattern_first(alive);
    }
    state->one_by_one = first == 0 && *steps >= steps_max;
    return first;
}

/* ---- the match ------------------------------------------------------------------------------- */

/* One step: true if the match goes on; false at its end, matched or not. Adds to *steps. */
static bool kv_pattern_step(const uint8_t *pattern, uint32_t pattern_bytes, const uint8_t *text,
                            uint32_t text_bytes, struct kv_pattern_state *state, uint32_t *steps) {
    uint32_t next = state->at;
    (*steps)++;
    if (state->at < pattern_bytes && pattern[state->at] == '*') {
        state->at = kv_pattern_skip_stars(pattern, pattern_bytes, state->at);
        *steps += (state->at - next) / 2;
        state->star = state->at & INT32_MAX; /* patterns are shorter */
        state->one_by_one = false;
        state->star_text = state->position;
        return state->at < pattern_bytes;
    }
    const bool matches =
        state->at < pattern_bytes &&
        kv_pattern_one(pattern, pattern_bytes, state->at, text[state->position], &next);
    *steps += (next - state->at) / 2; /* a set is many bytes of the pattern */
    if (matches) {
        state->at = next;
        state->position++;
        return true;
    }
    if (state->star == 0)
        return false;
    state->at = state->star;
    state->star_text++;
    if (text_bytes - state->star_text >= KV_PATTERN_BEGINNINGS && !state->one_by_one)
        state->star_text += kv_pattern_skip(pattern, pattern_bytes, text, text_bytes, state, steps);
    state->position = state->star_text;
    return true;
}

enum kv_pattern_result kv_pattern_match(const uint8_t *pattern, uint32_t pattern_bytes,
                                        const uint8_t *text, uint32_t text_bytes,
                                        struct kv_pattern_state *state, uint32_t *units) {
    if (text_bytes == 0)
        return pattern_bytes == 0 || (pattern_bytes == 1 && pattern[0] == '*');
    uint32_t steps = 0;
    while (state->position < text_bytes) {
        if (!kv_pattern_step(pattern, pattern_bytes, text, text_bytes, state, &steps))
            break;
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
