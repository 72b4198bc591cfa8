#ifndef WEIR_BENCH_KEY_PICKER_H
#define WEIR_BENCH_KEY_PICKER_H

/*
 * Which key the next request touches: a number from 0 to the key count less one.
 *
 *     uniform      every key alike
 *     zipf         key number k about in proportion to 1 / (k + 1)^theta: key 0 is the hottest
 *     sequential   0, 1, 2, ... and again from 0: fills a key space completely
 *
 * Zipf numbers are made as in Gray et al., "Quickly Generating Billion-Record Synthetic Databases"
 * (SIGMOD 1994), which YCSB uses too: exact for the two hottest keys, by a power law for the rest.
 *
 * A picker is copied into each thread and then owned by it. Nothing blocks or allocates.
 */

#include <stdint.h>

#include "base/random.h"

/* The three orders above. */
enum key_distribution { KEY_UNIFORM, KEY_ZIPF, KEY_SEQUENTIAL };

/* The largest key number must fit the twelve digits of a key. */
#define KEY_PICKER_KEYS_MAX UINT64_C(1000000000000)

/* Set up by key_picker_init; private to key_picker.c. */
struct key_picker {
    enum key_distribution distribution;
    uint64_t keys;
    /* sequential */
    uint64_t next, stride;
    /* zipf, in the paper's names */
    double theta, zeta_keys, alpha, eta;
};

/*
 * Prepares a picker over `keys` keys, 1..KEY_PICKER_KEYS_MAX. `theta`, above 0 and below 1, is read
 * for zipf only; there this takes up to a second for many keys. Thread `first` of `stride` threads
 * is given every stride-th key when sequential.
 */
void key_picker_init(struct key_picker *picker, enum key_distribution distribution, uint64_t keys,
                     double theta, uint64_t first, uint64_t stride);

/* The next key number. */
uint64_t key_picker_next(struct key_picker *picker, struct random *random);

#endif
