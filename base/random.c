/* Written from the published descriptions named at each function; nothing here can fail. */

#include "base/random.h"

#include "base/assert.h"

/* SplitMix64: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014. */
static uint64_t random_split_mix(uint64_t *counter) {
    *counter += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = *counter;
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

static uint64_t random_rotate_left(uint64_t value, unsigned bits) {
    return (value << bits) | (value >> (64 - bits));
}

void random_seed(struct random *random, uint64_t seed) {
    for (int i = 0; i < 4; i++)
        random->s[i] = random_split_mix(&seed);
    /* All zero is the one state that never leaves itself; four mixed counters are never that. */
    ASSERT((random->s[0] | random->s[1] | random->s[2] | random->s[3]) != 0);
}

uint64_t random_u64(struct random *random) {
    uint64_t *s = random->s;
    const uint64_t result = random_rotate_left(s[1] * 5, 7) * 9;
    const uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = random_rotate_left(s[3], 45);
    return result;
}

/* Lemire, "Fast Random Integer Generation in an Interval", 2019: one multiplication, and a
 * division only when the low half says that this draw may belong to an incomplete interval. */
uint64_t random_below(struct random *random, uint64_t limit) {
    ASSERT(limit >= 1);
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)random_u64(random) * limit;
    if ((uint64_t)product < limit) {
        const uint64_t incomplete = (0 - limit) % limit; /* 2^64 mod limit */
        while ((uint64_t)product < incomplete)
            product = (wide)random_u64(random) * limit;
    }
    const uint64_t result = (uint64_t)(product >> 64);
    ASSERT_HOT(result < limit);
    return result;
}

bool random_chance(struct random *random, uint64_t numerator, uint64_t denominator) {
    ASSERT(denominator >= 1 && numerator <= denominator);
    return random_below(random, denominator) < numerator;
}
