/*
 * Happy path: a few digits become an integer, which is divided by a power of five, bit by bit, and
 * rounded to 64 bits; two such are added in 128 bits; the sum times 10^17, shifted and rounded, is
 * printed. A score is rounded to 53 bits instead, and then is a double.
 *
 * What else may happen: the text is no number; it is longer than any number needs to be, and is
 * still read exactly; a sum loses its leading bits, or is too large; a number is so large that only
 * long arithmetic prints it.
 */

#include "machines/kv_float.h"

#include "base/assert.h"

#include <float.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide;

enum {
    KV_FLOAT_EXPONENT_MIN = -16445, /* of the last bit: 2^-16445 is the smallest number */
    KV_FLOAT_EXPONENT_MAX = 16320,  /* (2^64 - 1) * 2^16320 is the largest */
    KV_FLOAT_DIGITS = 17,           /* behind the point */
    /* 10^4934 is too large, and 10^-4952 less than half of the smallest number. */
    KV_FLOAT_DECIMAL_MAX = 4934,
    KV_FLOAT_DECIMAL_MIN = -4951,
    KV_FLOAT_CLAMP = 1000000, /* an exponent beyond it is as good as this */
    /* 5119 digits and 4951 places before them: a denominator of 5^10070, 23383 bits, one more for
     * the shift, in 64-bit limbs: 366. */
    KV_FLOAT_LIMBS = 368,
    KV_FLOAT_UNIT_STEPS = 64, /* a unit of budget, 100 ns, visits this many limbs */
    KV_DOUBLE_BITS = 53,
    KV_DOUBLE_EXPONENT_MIN = -1074, /* of the last bit: 2^-1074 is the smallest double */
    KV_DOUBLE_EXPONENT_MAX = 971,   /* (2^53 - 1) * 2^971 is the largest */
};
#define KV_DOUBLE_INFINITY (UINT64_C(0x7ff) << 52)
_Static_assert(sizeof(double) == 8 && DBL_MANT_DIG == KV_DOUBLE_BITS && FLT_EVAL_METHOD == 0,
               "a double is IEEE 754's, and computed as such");

/* A natural number of any length up to KV_FLOAT_LIMBS, the lowest limb first. */
struct kv_natural {
    uint32_t count; /* limbs in use; the top one is not 0 */
    uint32_t steps; /* limbs visited since it was made */
    uint64_t limb[KV_FLOAT_LIMBS];
};

/* ---- Natural numbers ------------------------------------------------------------------------- */

/* number = number * factor + added */
static void natural_scale(struct kv_natural *number, uint64_t factor, uint64_t added) {
    uint64_t carry = added;
    number->steps += number->count;
    for (uint32_t i = 0; i < number->count; i++) {
        const wide product = (wide)number->limb[i] * factor + carry;
        number->limb[i] = (uint64_t)product;
        carry = (uint64_t)(product >> 64);
    }
    if (carry == 0)
        return;
    ASSERT(number->count < KV_FLOAT_LIMBS);
    number->limb[number->count++] = carry;
}

static void natural_scale_power(struct kv_natural *number, uint64_t base, uint32_t power) {
    uint64_t factor = 1;
    for (; power > 0; power--) {
        if (factor > UINT64_MAX / base) {
            natural_scale(number, factor, 0);
            factor = 1;
        }
        factor *= base;
    }
    natural_scale(number, factor, 0);
}

static uint32_t natural_bits(const struct kv_natural *number) {
    ASSERT_HOT(number->count > 0 && number->limb[number->count - 1] != 0);
    return number->count * 64 - (uint32_t)__builtin_clzll(number->limb[number->count - 1]);
}

static void natural_shift(struct kv_natural *number, uint32_t bits) {
    const uint32_t limbs = bits / 64;
    const uint32_t rest = bits % 64;
    if (number->count == 0)
        return;
    ASSERT(number->count + limbs + 1 <= KV_FLOAT_LIMBS);
    number->steps += number->count;
    uint64_t high = 0;
    for (uint32_t i = number->count; i > 0; i--) {
        const uint64_t low = number->limb[i - 1];
        number->limb[i + limbs] = rest == 0 ? high : high << rest | low >> (64 - rest);
        high = low;
    }
    number->limb[limbs] = high << rest;
    memset(number->limb, 0, limbs * sizeof(number->limb[0]));
    number->count += limbs + 1;
    while (number->limb[number->count - 1] == 0)
        number->count--;
}

/* Subtracts the other number if it is not larger; returns whether. */
static bool natural_take(struct kv_natural *number, const struct kv_natural *other) {
    if (number->count != other->count) {
        if (number->count < other->count)
            return false;
    } else {
        uint32_t i = number->count;
        while (i > 0 && number->limb[i - 1] == other->limb[i - 1])
            i--;
        if (i > 0 && number->limb[i - 1] < other->limb[i - 1])
            return false;
    }
    number->steps += number->count;
    uint64_t borrow = 0;
    for (uint32_t i = 0; i < number->count; i++) {
        const wide taken = (wide)(i < other->count ? other->limb[i] : 0) + borrow;
        borrow = number->limb[i] < taken;
        number->limb[i] -= (uint64_t)taken;
    }
    ASSERT_HOT(borrow == 0);
    while (number->count > 0 && number->limb[number->count - 1] == 0)
        number->count--;
    return true;
}

/* ---- Rounding -------------------------------------------------------------------------------- */

/* (significand + guard / 2 + less than 1 / 2 if sticky) * 2^exponent; the significand's top bit is
 * set. */
struct kv_unrounded {
    uint64_t significand;
    int64_t exponent;
    bool guard;
    bool sticky;
};

/* Moves the significand to the right by so many bits, at least 1. */
static void unrounded_shift(struct kv_unrounded *exact, int64_t shift) {
    ASSERT_HOT(shift > 0);
    exact->sticky |= exact->guard;
    if (shift > 64) {
        exact->guard = false;
        exact->sticky = true;
    } else {
        exact->guard = (exact->significand >> (shift - 1) & 1) != 0;
        exact->sticky |= (exact->significand & ((UINT64_C(1) << (shift - 1)) - 1)) != 0;
    }
    exact->significand = shift >= 64 ? 0 : exact->significand >> shift;
    exact->exponent += shift;
}

/* Whether rounding to the nearest, and halfway to the even one, adds 1 to the significand. */
static bool unrounded_is_up(const struct kv_unrounded *exact) {
    return exact->guard && (exact->sticky || (exact->significand & 1) != 0);
}

/* The number nearest to it. */
static void float_round(struct kv_unrounded exact, struct kv_float *number) {
    ASSERT_HOT(exact.significand >> 63 == 1);
    if (exact.exponent < KV_FLOAT_EXPONENT_MIN)
        unrounded_shift(&exact, KV_FLOAT_EXPONENT_MIN - exact.exponent);
    if (unrounded_is_up(&exact) && ++exact.significand == 0) {
        exact.significand = UINT64_C(1) << 63;
        exact.exponent++;
    }
    number->infinite = exact.exponent > KV_FLOAT_EXPONENT_MAX;
    number->significand = number->infinite ? 0 : exact.significand;
    number->exponent = number->infinite ? 0 : (int32_t)exact.exponent;
}

/* The bits of the double nearest to it, which is positive. */
static uint64_t double_round(struct kv_unrounded exact) {
    ASSERT_HOT(exact.significand >> 63 == 1);
    const int64_t below = KV_DOUBLE_EXPONENT_MIN - exact.exponent;
    unrounded_shift(&exact, below > 64 - KV_DOUBLE_BITS ? below : 64 - KV_DOUBLE_BITS);
    if (exact.exponent > KV_DOUBLE_EXPONENT_MAX)
        return KV_DOUBLE_INFINITY;
    /* An overflow of the significand goes on into the exponent, as it should. */
    const uint64_t biased = (uint64_t)(exact.exponent - KV_DOUBLE_EXPONENT_MIN);
    return (biased << (KV_DOUBLE_BITS - 1)) + exact.significand + unrounded_is_up(&exact);
}

/* A natural number times 2^exponent. */
static void float_from_natural(const struct kv_natural *natural, int64_t exponent,
                               struct kv_unrounded *number) {
    const uint32_t top = natural->count - 1;
    const uint32_t lead = (uint32_t)__builtin_clzll(natural->limb[top]);
    const uint64_t below = top > 0 ? natural->limb[top - 1] : 0;
    uint64_t significand = natural->limb[top];
    uint64_t rest = below; /* of which the top bit is the guard */
    if (lead > 0) {
        significand = significand << lead | below >> (64 - lead);
        rest = below << lead;
    }
    bool sticky = rest << 1 != 0;
    for (uint32_t i = 0; i + 1 < top; i++)
        sticky |= natural->limb[i] != 0;
    number->significand = significand;
    number->exponent = exponent + (int64_t)top * 64 - lead;
    number->guard = rest >> 63 != 0;
    number->sticky = sticky;
}

/* numerator / 5^power * 2^-power: the quotient bit by bit. */
static void float_from_fraction(struct kv_natural *numerator, uint32_t power,
                                struct kv_unrounded *number) {
    struct kv_natural divisor = {.count = 1, .limb = {1}};
    natural_scale_power(&divisor, 5, power);
    const uint32_t bits = natural_bits(numerator);
    const uint32_t divisor_bits = natural_bits(&divisor);
    int64_t exponent = (int64_t)bits - divisor_bits - power;
    if (bits < divisor_bits)
        natural_shift(numerator, divisor_bits - bits);
    else
        natural_shift(&divisor, bits - divisor_bits);
    uint64_t significand = 0;
    bool whole = natural_take(numerator, &divisor);
    if (!whole) { /* between 1/2 and 1: its first bit is the next */
        natural_shift(numerator, 1);
        exponent--;
        whole = natural_take(numerator, &divisor);
    }
    ASSERT(whole);
    for (uint32_t i = 0; i < 64; i++) {
        significand = significand << 1 | whole;
        natural_shift(numerator, 1);
        whole = natural_take(numerator, &divisor);
    }
    numerator->steps += divisor.steps;
    number->significand = significand;
    number->exponent = exponent - 63;
    number->guard = whole;
    number->sticky = numerator->count > 0;
}

/* ---- Parsing --------------------------------------------------------------------------------- */

/* What is left of a text. */
struct kv_reader {
    const uint8_t *at;
    const uint8_t *end;
};

static bool reader_take(struct kv_reader *reader, char lower) {
    if (reader->at == reader->end || (*reader->at | 0x20) != lower)
        return false;
    reader->at++;
    return true;
}

/* A whole word, in any case, with nothing behind it. */
static bool reader_is(const struct kv_reader *reader, const char *lower) {
    struct kv_reader copy = *reader;
    while (*lower != 0 && reader_take(&copy, *lower))
        lower++;
    return *lower == 0 && copy.at == copy.end;
}

static int32_t reader_digit(struct kv_reader *reader, int32_t base) {
    if (reader->at == reader->end)
        return -1;
    const uint8_t byte = *reader->at;
    int32_t digit = -1;
    if (byte >= '0' && byte <= '9')
        digit = byte - '0';
    else if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f')
        digit = (byte | 0x20) - 'a' + 10;
    if (digit < 0 || digit >= base)
        return -1;
    reader->at++;
    return digit;
}

/* Digits with a point somewhere: all but leading zeros into the number, unless it is NULL; how many
 * were behind the point into *places. False: there is no digit. */
static bool reader_mantissa(struct kv_reader *reader, int32_t base, struct kv_natural *natural,
                            int32_t *places) {
    bool any = false;
    bool point = false;
    *places = 0;
    uint64_t factor = 1; /* digits are gathered, since each scaling visits every limb */
    uint64_t gathered = 0;
    for (;;) {
        if (!point && reader->at < reader->end && *reader->at == '.') {
            point = true;
            reader->at++;
            continue;
        }
        const int32_t digit = reader_digit(reader, base);
        if (digit < 0)
            break;
        any = true;
        *places += point;
        if (natural == NULL)
            continue;
        if (factor > UINT64_MAX / 16 / (uint64_t)base) {
            natural_scale(natural, factor, gathered);
            factor = 1;
            gathered = 0;
        }
        factor *= (uint64_t)base;
        gathered = gathered * (uint64_t)base + (uint64_t)digit;
    }
    if (natural != NULL)
        natural_scale(natural, factor, gathered);
    return any;
}

/* An exponent behind its letter, if there is one; false if the letter has none behind it. */
static bool reader_exponent(struct kv_reader *reader, char letter, int32_t *exponent) {
    *exponent = 0;
    if (!reader_take(reader, letter))
        return true;
    bool negative = false;
    if (reader->at < reader->end && (*reader->at == '-' || *reader->at == '+'))
        negative = *reader->at++ == '-';
    bool any = false;
    for (int32_t digit; (digit = reader_digit(reader, 10)) >= 0; any = true)
        if (*exponent < KV_FLOAT_CLAMP)
            *exponent = *exponent * 10 + digit;
    if (negative)
        *exponent = -*exponent;
    return any;
}

/* How many decimal digits a natural number has, or one more. */
static int32_t natural_digits(const struct kv_natural *natural) {
    return (int32_t)((uint64_t)natural_bits(natural) * 30103 / 100000) + 1;
}

/* natural * 10^exponent. What is too large, or 0 though it is not, is a power of two that is so for
 * every format. */
static void float_from_decimal(struct kv_natural *natural, int32_t exponent,
                               struct kv_unrounded *number) {
    const int32_t digits = natural_digits(natural);
    *number = (struct kv_unrounded){.significand = UINT64_C(1) << 63};
    if (digits + exponent > KV_FLOAT_DECIMAL_MAX + 1) {
        number->exponent = KV_FLOAT_CLAMP;
        return;
    }
    if (digits + exponent < KV_FLOAT_DECIMAL_MIN) {
        number->exponent = -KV_FLOAT_CLAMP;
        return;
    }
    if (exponent >= 0) {
        natural_scale_power(natural, 10, (uint32_t)exponent);
        float_from_natural(natural, 0, number);
    } else {
        float_from_fraction(natural, (uint32_t)-exponent, number);
    }
}

/* What a text says beside its digits. */
struct kv_spelling {
    bool negative;
    bool infinite;
    bool hexadecimal;
    int32_t exponent; /* of the digits without their point: of 10, or of 2 */
};

/* Reads all of a text; without a natural number for its digits, only how it is spelled. */
static bool reader_spelling(const uint8_t *text, uint32_t length_bytes, struct kv_natural *natural,
                            struct kv_spelling *spelling) {
    *spelling = (struct kv_spelling){0};
    if (length_bytes == 0 || length_bytes > KV_FLOAT_PARSE_BYTES_MAX)
        return false;
    struct kv_reader reader = {text, text + length_bytes};
    if (*reader.at == '-' || *reader.at == '+')
        spelling->negative = *reader.at++ == '-';
    if (reader_is(&reader, "inf") || reader_is(&reader, "infinity")) {
        spelling->infinite = true;
        return true;
    }
    spelling->hexadecimal =
        reader.end - reader.at > 2 && reader.at[0] == '0' && (reader.at[1] | 0x20) == 'x';
    reader.at += spelling->hexadecimal ? 2 : 0;
    int32_t places;
    int32_t exponent;
    if (!reader_mantissa(&reader, spelling->hexadecimal ? 16 : 10, natural, &places) ||
        !reader_exponent(&reader, spelling->hexadecimal ? 'p' : 'e', &exponent))
        return false;
    spelling->exponent = exponent - places * (spelling->hexadecimal ? 4 : 1);
    return reader.at == reader.end;
}

bool kv_float_is_spelled(const uint8_t *text, uint32_t length_bytes) {
    struct kv_spelling spelling;
    return reader_spelling(text, length_bytes, NULL, &spelling);
}

/* What the digits, which are not 0, and the exponent say. */
static void float_from_spelling(const struct kv_spelling *spelling, struct kv_natural *natural,
                                struct kv_unrounded *number) {
    if (spelling->hexadecimal)
        float_from_natural(natural, spelling->exponent, number);
    else
        float_from_decimal(natural, spelling->exponent, number);
}

bool kv_float_parse(const uint8_t *text, uint32_t length_bytes, struct kv_float *number,
                    uint32_t *units) {
    struct kv_spelling spelling;
    struct kv_natural natural; /* its limbs are written before they are read */
    natural.count = 0;
    natural.steps = 0;
    bool is_number = reader_spelling(text, length_bytes, &natural, &spelling);
    *number = (struct kv_float){.negative = spelling.negative, .infinite = spelling.infinite};
    if (is_number && !spelling.infinite && natural.count > 0) {
        struct kv_unrounded exact;
        float_from_spelling(&spelling, &natural, &exact);
        float_round(exact, number);
        is_number = !number->infinite && number->significand != 0;
    }
    *units = 1 + natural.steps / KV_FLOAT_UNIT_STEPS;
    return is_number;
}

enum kv_double kv_double_parse(const uint8_t *text, uint32_t length_bytes, double *value,
                               uint32_t *units) {
    struct kv_spelling spelling;
    struct kv_natural natural; /* its limbs are written before they are read */
    natural.count = 0;
    natural.steps = 0;
    *units = 1;
    if (!reader_spelling(text, length_bytes, &natural, &spelling))
        return KV_DOUBLE_NONE;
    uint64_t bits = spelling.infinite ? KV_DOUBLE_INFINITY : 0;
    enum kv_double result = KV_DOUBLE_EXACT;
    if (!spelling.infinite && natural.count > 0) {
        struct kv_unrounded exact;
        float_from_spelling(&spelling, &natural, &exact);
        bits = double_round(exact);
        result = bits == 0 || bits == KV_DOUBLE_INFINITY ? KV_DOUBLE_CLIPPED : KV_DOUBLE_EXACT;
    }
    bits |= (uint64_t)spelling.negative << 63;
    memcpy(value, &bits, sizeof(bits));
    *units = 1 + natural.steps / KV_FLOAT_UNIT_STEPS;
    return result;
}

/* ---- Adding ---------------------------------------------------------------------------------- */

/* Two bits are kept free above the significands, and 62 below. */
enum { KV_FLOAT_SPARE_BITS = 62 };

void kv_float_add(const struct kv_float *a, const struct kv_float *b, struct kv_float *sum) {
    *sum = (struct kv_float){.infinite = a->infinite || b->infinite};
    if (sum->infinite)
        return;
    if (a->significand == 0 || b->significand == 0) {
        *sum = a->significand == 0 ? *b : *a;
        return;
    }
    const bool b_is_larger = b->exponent > a->exponent ||
                             (b->exponent == a->exponent && b->significand > a->significand);
    const struct kv_float *large = b_is_larger ? b : a;
    const struct kv_float *small = b_is_larger ? a : b;
    const int64_t distance = large->exponent - (int64_t)small->exponent;
    const wide low = (wide)small->significand << KV_FLOAT_SPARE_BITS;
    const wide shifted = distance >= 128 ? 0 : low >> distance;
    const bool sticky = distance >= 128 || shifted << distance != low;
    wide total = (wide)large->significand << KV_FLOAT_SPARE_BITS;
    sum->negative = large->negative;
    if (large->negative == small->negative)
        total += shifted;
    else
        total -= shifted + sticky; /* what was shifted out is taken, too: the rest is between */
    if (total == 0)
        return;
    const uint64_t high = (uint64_t)(total >> 64);
    const uint32_t lead = high != 0 ? (uint32_t)__builtin_clzll(high)
                                    : 64 + (uint32_t)__builtin_clzll((uint64_t)total);
    const wide top = total << lead;
    const int64_t exponent = (int64_t)large->exponent - KV_FLOAT_SPARE_BITS + 64 - lead;
    const uint64_t rest = (uint64_t)top;
    float_round((struct kv_unrounded){.significand = (uint64_t)(top >> 64),
                                      .exponent = exponent,
                                      .guard = rest >> 63 != 0,
                                      .sticky = rest << 1 != 0 || sticky},
                sum);
}

/* ---- Printing -------------------------------------------------------------------------------- */

enum { KV_FLOAT_GROUP_DIGITS = 9, KV_FLOAT_GROUPS = KV_FLOAT_TEXT_BYTES_MAX / 9 };
#define KV_FLOAT_GROUP UINT64_C(1000000000)

/* Decimal digits, at least `least` of them, with zeros in front. */
static uint32_t digits_put(char *text, uint64_t value, uint32_t least) {
    char reversed[20];
    uint32_t count = 0;
    for (; value > 0 || count < least; value /= 10)
        reversed[count++] = (char)('0' + value % 10);
    for (uint32_t i = 0; i < count; i++)
        text[i] = reversed[count - 1 - i];
    return count;
}

/* significand * 2^exponent with an exponent above 0: groups of nine digits, doubled 32 times at
 * once. */
static uint32_t large_put(const struct kv_float *number, char *text, uint32_t *units) {
    uint32_t groups[KV_FLOAT_GROUPS];
    uint32_t count = 0;
    for (uint64_t left = number->significand; left > 0; left /= KV_FLOAT_GROUP)
        groups[count++] = (uint32_t)(left % KV_FLOAT_GROUP);
    uint64_t steps = 0;
    for (uint32_t left = (uint32_t)number->exponent; left > 0;) {
        const uint32_t bits = left < 32 ? left : 32;
        uint64_t carry = 0;
        for (uint32_t i = 0; i < count; i++) {
            const uint64_t shifted = ((uint64_t)groups[i] << bits) + carry;
            groups[i] = (uint32_t)(shifted % KV_FLOAT_GROUP);
            carry = shifted / KV_FLOAT_GROUP;
        }
        for (; carry > 0; carry /= KV_FLOAT_GROUP) {
            ASSERT(count < KV_FLOAT_GROUPS);
            groups[count++] = (uint32_t)(carry % KV_FLOAT_GROUP);
        }
        steps += count;
        left -= bits;
    }
    *units += (uint32_t)(steps / 16); /* some 6 ns each */
    uint32_t length = digits_put(text, groups[count - 1], 1);
    for (uint32_t i = count - 1; i > 0; i--)
        length += digits_put(text + length, groups[i - 1], KV_FLOAT_GROUP_DIGITS);
    return length;
}

/* significand * 2^exponent with an exponent up to 0, to 17 places, zeros at the end left out. */
static uint32_t small_put(const struct kv_float *number, char *text) {
    static const uint64_t one = UINT64_C(100000000000000000); /* 10^17, less than 2^57 */
    const uint32_t shift = (uint32_t)-number->exponent;
    uint64_t whole = shift < 64 ? number->significand >> shift : 0;
    const uint64_t part = shift < 64 ? number->significand - (whole << shift) : number->significand;
    uint64_t places = 0;
    if (shift > 0 && shift < 128) { /* beyond, it is less than half of the last place */
        const wide exact = (wide)part * one;
        places = (uint64_t)(exact >> shift);
        const wide rest = exact - ((wide)places << shift);
        const wide half = (wide)1 << (shift - 1);
        places += rest > half || (rest == half && (places & 1) != 0);
    }
    if (places == one) {
        places = 0;
        whole++;
    }
    uint32_t length = 0;
    if (number->negative && (whole | places) != 0)
        text[length++] = '-';
    length += digits_put(text + length, whole, 1);
    text[length++] = '.';
    length += digits_put(text + length, places, KV_FLOAT_DIGITS);
    while (text[length - 1] == '0')
        length--;
    return text[length - 1] == '.' ? length - 1 : length;
}

uint32_t kv_float_format(const struct kv_float *number, char text[KV_FLOAT_TEXT_BYTES_MAX],
                         uint32_t *units) {
    ASSERT(!number->infinite);
    *units = 1;
    if (number->exponent <= 0 || number->significand == 0)
        return small_put(number, text);
    uint32_t length = 0;
    if (number->negative)
        text[length++] = '-';
    length += large_put(number, text + length, units);
    ASSERT(length <= KV_FLOAT_TEXT_BYTES_MAX);
    return length;
}
