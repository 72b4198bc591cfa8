#ifndef WEIR_MACHINES_KV_SCORE_H
#define WEIR_MACHINES_KV_SCORE_H

/*
 * Scores of sorted sets: doubles, never a NaN, and never -0: what is stored as 0 has no sign.
 *
 * They are read as Redis 7.0.15 reads them, with the same bits on every machine. Two are added and
 * multiplied by the processor: IEEE 754 says what that gives. (wire/reply_encode.c prints them.)
 *
 * Pure. No allocation.
 */

#include "machines/machine.h"

#include "base/bytes.h"

#include <math.h>
#include <string.h>

/* The bits of a score that is stored: little-endian in 8 bytes, 0 without a sign. */
static inline void kv_score_put(uint8_t *to, double score) {
    uint64_t bits;
    memcpy(&bits, &score, sizeof(bits));
    bytes_put_u64(to, score == 0 ? 0 : bits);
}

/* The score of these 8 bytes. */
static inline double kv_score_get(const uint8_t *from) {
    const uint64_t bits = bytes_get_u64(from);
    double score;
    memcpy(&score, &bits, sizeof(score));
    return score;
}

/* Reads a score, a weight or an increment: all of the text, as strtod does, and neither a NaN nor
 * too large or too small. False: it is none. Adds what it cost to *units. */
bool kv_score_parse(const struct machine_argument *text, double *score, uint32_t *units);

/* An end of a range of scores. */
struct kv_score_bound {
    double score;
    bool exclusive; /* "(" */
};

/* What strtod would read of a text: up to a zero byte, without the spaces in front. False: longer
 * than a number may be, the spaces counted (KV_FLOAT_PARSE_BYTES_MAX): it is none. Looks at no more
 * than that, since the text may be as long as a value. */
bool kv_score_text(const uint8_t **at, const uint8_t **end);

/* Reads a bound, "(1.5" or "1.5". As Redis's, it may have spaces in front, ends at a zero byte, is
 * 0 if it is empty, and infinite if it is too large. False: it is none. */
bool kv_score_bound_parse(const struct machine_argument *text, struct kv_score_bound *bound);

/* How scores of one member are put together. */
enum kv_aggregate { KV_AGGREGATE_SUM, KV_AGGREGATE_MIN, KV_AGGREGATE_MAX };

/* The two as one; infinities that cancel out are 0. */
double kv_score_aggregate(enum kv_aggregate aggregate, double a, double b);

/* A score times a weight; 0 times infinity is 0. */
double kv_score_weighted(double score, double weight);

#endif
