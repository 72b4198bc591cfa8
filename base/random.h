#ifndef WEIR_BASE_RANDOM_H
#define WEIR_BASE_RANDOM_H

/*
 * Deterministic random numbers: the same seed gives the same sequence on every host, in every
 * version. For simulation, tests, load generation and election time-outs. Not for secrets: who
 * sees a few numbers knows all that follow (seeds and incarnations come from getrandom(2)).
 *
 * The generator is xoshiro256** 1.0 (Blackman and Vigna, "Scrambled Linear Pseudorandom Number
 * Generators", 2018), its state filled by SplitMix64 as they advise, so that any seed, also 0,
 * is a good one.
 *
 * One struct is used by one thread at a time. No allocation, no failure.
 */

#include <stdbool.h>
#include <stdint.h>

/* A generator's whole state: copying it repeats the future. */
struct random {
    uint64_t s[4];
};

/* Starts the sequence that belongs to `seed`. */
void random_seed(struct random *random, uint64_t seed);

/* The next number, uniform over all of u64. */
uint64_t random_u64(struct random *random);

/* The next number, exactly uniform over 0 to `limit` - 1; `limit` is at least 1. */
uint64_t random_below(struct random *random, uint64_t limit);

/* True with probability `numerator` / `denominator`, which is at least 1 and not the smaller. */
bool random_chance(struct random *random, uint64_t numerator, uint64_t denominator);

#endif
