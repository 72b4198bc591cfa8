/*
 * What the core remembers of a log, terms and lengths, against plain arrays of all entries.
 *
 * The arrays never forget; `known_from` says from where on the code is supposed to know: after a
 * run of terms or a length fell out of its ring, what is before is unknown, until a reset.
 */

#include "raft/terms.h"
#include "raft/window.h"

#include "tests/raft/quick.h"

enum {
    ENTRIES_MAX = 1 << 14,
    WALKS = 16,
    STEPS = 4000, /* of one walk */
    LOOKS = 12,   /* after every step */
};

/* ---- terms ----------------------------------------------------------------------------------- */

struct terms_twin {
    uint64_t base;
    uint64_t last;
    uint64_t known_from; /* entries in [known_from, last], and the base */
    uint64_t term[ENTRIES_MAX];
};

static struct terms terms;
static struct terms_twin twin;

static bool twin_knows(uint64_t index) {
    return index == twin.base || (index >= twin.known_from && index <= twin.last);
}

static void twin_forget(void) {
    uint32_t runs = 0;
    for (uint64_t i = twin.last; i >= twin.known_from && i > twin.base; i--) {
        if (i == twin.last || twin.term[i] != twin.term[i + 1]) {
            runs++;
        }
        if (runs > RAFT_TERM_RUNS_MAX) {
            twin.known_from = i + 1;
        }
    }
}

static uint64_t twin_last_not_above(uint64_t index, uint64_t term) {
    for (uint64_t i = index < twin.last ? index : twin.last; i > twin.base; i--) {
        if (twin_knows(i) && twin.term[i] <= term) {
            return i;
        }
    }
    return twin.base;
}

static void terms_begin(uint64_t base, uint64_t term) {
    terms_reset(&terms, base, term);
    twin.base = base;
    twin.last = base;
    twin.known_from = base + 1;
    twin.term[base] = term;
}

static void terms_step(struct quick *quick) {
    uint64_t dice = random_below(&quick->random, 100);
    if (dice < 95 || twin.last == twin.base) {
        uint64_t count = random_chance(&quick->random, 1, 10) ? quick_between(quick, 2, 9) : 1;
        uint64_t term = twin.term[twin.last] + random_below(&quick->random, 3);
        term += term == 0 ? 1 : 0;
        if (twin.last + count >= ENTRIES_MAX) {
            terms_begin(0, 0);
            return;
        }
        terms_append(&terms, count, term);
        for (uint64_t i = 0; i < count; i++) {
            twin.term[++twin.last] = term;
        }
        twin_forget();
    } else if (dice < 98) {
        uint64_t low = random_chance(&quick->random, 1, 400) ? twin.base
                       : twin.last > 20                      ? twin.last - 20
                                                             : 0;
        uint64_t index = quick_between(quick, low > twin.base ? low : twin.base, twin.last);
        if (twin_knows(index)) {
            terms_truncate(&terms, index);
            twin.last = index;
        }
    } else if (dice < 99) {
        uint64_t index = quick_between(quick, twin.base, twin.base + (twin.last - twin.base) / 128);
        if (twin_knows(index)) {
            terms_compact(&terms, index);
            twin.base = index;
            twin.known_from = twin.known_from > index ? twin.known_from : index + 1;
        }
    } else if (random_chance(&quick->random, 1, 40)) {
        terms_begin(quick_between(quick, 1, 50), quick_between(quick, 1, 5));
    }
}

static void terms_look(struct quick *quick, uint64_t index) {
    uint64_t term = 0;
    bool known = terms_at(&terms, index, &term);
    assert_int_equal(known, twin_knows(index));
    if (known) {
        assert_int_equal(term, twin.term[index]);
    }
    assert_int_equal(terms_last(&terms), twin.term[twin.last]);
    uint64_t below = term + 2 - random_below(&quick->random, 5);
    assert_int_equal(terms_last_not_above(&terms, index, below), twin_last_not_above(index, below));
    quick->cases++;
}

static void terms_agree_with_an_array(void **state) {
    (void)state;
    struct quick quick = quick_begin("terms against an array");
    uint64_t forgotten = 0;
    for (uint32_t walk = 0; walk < WALKS; walk++) {
        terms_begin(0, 0);
        for (uint32_t step = 0; step < STEPS; step++) {
            terms_step(&quick);
            terms_check(&terms);
            for (uint32_t i = 0; i < LOOKS; i++) {
                uint64_t low = i % 2 == 0 ? 0 : twin.base;
                terms_look(&quick, quick_between(&quick, low, twin.last + 2));
            }
            forgotten += twin.known_from > twin.base + 1 ? 1 : 0;
        }
        for (uint64_t index = 0; index <= twin.last + 1; index++) {
            terms_look(&quick, index);
        }
    }
    assert_true(forgotten > 4000); /* more runs than can be remembered did occur */
    quick_end(&quick, (uint64_t)WALKS * STEPS * LOOKS);
}

/* ---- window ---------------------------------------------------------------------------------- */

struct window_twin {
    uint64_t last;
    uint64_t known_from; /* lengths of the entries (known_from, last] */
    uint32_t length[ENTRIES_MAX];
};

static struct window window;
static struct window_twin lengths;

static uint64_t twin_bytes(uint64_t after, uint64_t index) {
    uint64_t bytes = 0;
    for (uint64_t i = after + 1; i <= index; i++) {
        bytes += lengths.length[i];
    }
    return bytes;
}

static void window_step(struct quick *quick) {
    uint64_t dice = random_below(&quick->random, 100);
    if (lengths.last + 1 == ENTRIES_MAX || random_chance(&quick->random, 1, 2000)) {
        lengths.last = lengths.known_from = quick_between(quick, 0, 100);
        window_reset(&window, lengths.last);
    } else if (dice < 95) {
        uint32_t length = random_chance(&quick->random, 1, 20)
                              ? UINT32_MAX
                              : (uint32_t)quick_between(quick, 1, 30);
        window_append(&window, length);
        lengths.length[++lengths.last] = length;
        if (lengths.last - lengths.known_from >= window.capacity) {
            lengths.known_from = lengths.last - window.capacity + 1;
        }
    } else {
        uint64_t back = random_below(&quick->random, dice == 99 ? 3 * window.capacity : 4);
        lengths.last -= back < lengths.last ? back : lengths.last;
        window_truncate(&window, lengths.last);
        if (lengths.last < lengths.known_from) {
            lengths.known_from = lengths.last;
        }
    }
}

static void window_look(struct quick *quick) {
    uint64_t near = lengths.last > 2 * window.capacity ? lengths.last - 2 * window.capacity : 0;
    uint64_t after = quick_between(quick, near, lengths.last);
    uint64_t index = quick_between(quick, after, lengths.last);
    uint64_t bytes = 77;
    bool known = window_bytes(&window, after, index, &bytes);
    assert_int_equal(known, after >= lengths.known_from);
    assert_int_equal(bytes, known ? twin_bytes(after, index) : 77);

    /* One more at a time, while it fits. */
    uint32_t count_max = (uint32_t)quick_between(quick, 1, 2 * window.capacity);
    uint64_t bytes_max = random_below(&quick->random, 400);
    uint64_t count = lengths.last - after < count_max ? lengths.last - after : count_max;
    uint64_t sum = count == 0 ? 0 : bytes_max;
    if (known) {
        uint64_t fits = count == 0 ? 0 : 1;
        while (fits < count && twin_bytes(after, after + fits + 1) <= bytes_max) {
            fits++;
        }
        count = fits;
        sum = twin_bytes(after, after + count);
    }
    assert_int_equal(window_fit(&window, after + 1, count_max, bytes_max, &bytes), count);
    assert_int_equal(bytes, sum);
    quick->cases++;
}

static void windows_agree_with_an_array(void **state) {
    (void)state;
    struct quick quick = quick_begin("lengths against an array");
    static uint64_t sums[64];
    for (uint64_t capacity = 2; capacity <= 64; capacity *= 2) {
        lengths.last = lengths.known_from = quick_between(&quick, 0, 100);
        window_init(&window, sums, capacity, lengths.last);
        for (uint32_t step = 0; step < 10 * STEPS; step++) {
            window_step(&quick);
            for (uint32_t i = 0; i < 4; i++) {
                window_look(&quick);
            }
        }
    }
    quick_end(&quick, 6 * UINT64_C(10) * STEPS * 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terms_agree_with_an_array),
        cmocka_unit_test(windows_agree_with_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
