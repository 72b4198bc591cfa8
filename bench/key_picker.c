/* A pick costs one random number, for zipf also one pow(); nothing fails. */
#include "bench/key_picker.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"

/* Terms of the harmonic sum that are added one by one; the rest is an integral, off by < 1e-7. */
#define ZETA_TERMS_EXACT UINT64_C(10000000)

/* Sum of 1 / i^theta for i = 1..count. */
static double zeta(uint64_t count, double theta) {
    uint64_t exact = count < ZETA_TERMS_EXACT ? count : ZETA_TERMS_EXACT;
    double sum = 0;
    for (uint64_t i = 1; i <= exact; i++)
        sum += pow((double)i, -theta);
    if (count > exact) {
        double power = 1 - theta;
        sum += (pow((double)count + 0.5, power) - pow((double)exact + 0.5, power)) / power;
    }
    return sum;
}

void key_picker_init(struct key_picker *picker, enum key_distribution distribution, uint64_t keys,
                     double theta, uint64_t first, uint64_t stride) {
    ASSERT(keys >= 1 && keys <= KEY_PICKER_KEYS_MAX);
    ASSERT(first < stride);
    memset(picker, 0, sizeof *picker);
    picker->distribution = distribution;
    picker->keys = keys;
    picker->next = first % keys;
    picker->stride = stride;
    if (distribution != KEY_ZIPF)
        return;
    ASSERT(theta > 0 && theta < 1);
    picker->theta = theta;
    picker->zeta_keys = zeta(keys, theta);
    picker->alpha = 1 / (1 - theta);
    double zeta_two = 1 + pow(0.5, theta);
    picker->eta = (1 - pow(2.0 / (double)keys, 1 - theta)) / (1 - zeta_two / picker->zeta_keys);
}

static uint64_t next_zipf(const struct key_picker *picker, struct random *random) {
    double u = (double)(random_u64(random) >> 11) * 0x1.0p-53; /* 0 <= u < 1 */
    double uz = u * picker->zeta_keys;
    if (uz < 1 || picker->keys == 1)
        return 0;
    if (uz < 1 + pow(0.5, picker->theta) || picker->keys == 2)
        return 1;
    double scaled = (double)picker->keys * pow(picker->eta * u - picker->eta + 1, picker->alpha);
    uint64_t key = (uint64_t)scaled;
    return key < picker->keys ? key : picker->keys - 1;
}

uint64_t key_picker_next(struct key_picker *picker, struct random *random) {
    switch (picker->distribution) {
    case KEY_UNIFORM: return random_below(random, picker->keys);
    case KEY_ZIPF: return next_zipf(picker, random);
    case KEY_SEQUENTIAL: {
        uint64_t key = picker->next;
        picker->next = (picker->next + picker->stride) % picker->keys;
        return key;
    }
    }
    UNREACHABLE("every distribution returns above");
}
