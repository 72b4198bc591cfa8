/* The published values of GMAC with AES-256, pieces that equal the whole, keys that are gone. */

#include "base/gmac.h"

#include "base/bytes.h"
#include "base/mac.h"
#include "base/random.h"

#include "tests/cmocka_wrapper.h"
#include "tests/death.h"

#include <openssl/crypto.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 128, DATA_BYTES = 1000 };

static struct gmac gmac;
static const uint8_t zeros[GMAC_KEY_BYTES];
static uint64_t allocations; /* of libcrypto's */

/* ---- helpers ------------------------------------------------------------------------------ */

static size_t bytes_of(const char *text, uint8_t *out) {
    const size_t length = strlen(text) / 2;
    assert_true(length <= TEXT_BYTES_MAX);
    for (size_t i = 0; i < length; i++) {
        unsigned value;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &value), 1);
        out[i] = (uint8_t)value;
    }
    return length;
}

static void tag_of(uint8_t out[GMAC_BYTES], const uint8_t nonce[GMAC_NONCE_BYTES], const void *data,
                   size_t length_bytes) {
    gmac_begin(&gmac, nonce);
    gmac_update(&gmac, data, length_bytes);
    gmac_end(&gmac, out);
}

static void expect(const char *key_text, const char *nonce_text, const char *data_text,
                   const char *tag_text) {
    uint8_t key[TEXT_BYTES_MAX];
    uint8_t nonce[TEXT_BYTES_MAX];
    uint8_t data[TEXT_BYTES_MAX];
    uint8_t expected[TEXT_BYTES_MAX];
    uint8_t tag[GMAC_BYTES];
    assert_int_equal(bytes_of(key_text, key), GMAC_KEY_BYTES);
    assert_int_equal(bytes_of(nonce_text, nonce), GMAC_NONCE_BYTES);
    assert_int_equal(bytes_of(tag_text, expected), GMAC_BYTES);
    const size_t length_bytes = bytes_of(data_text, data);
    gmac_key_set(&gmac, key);
    tag_of(tag, nonce, data, length_bytes);
    assert_memory_equal(tag, expected, GMAC_BYTES);
}

static void random_fill(struct random *random, uint8_t *bytes, size_t length_bytes) {
    for (size_t i = 0; i < length_bytes; i++)
        bytes[i] = (uint8_t)random_u64(random);
}

/* ---- bugs of the caller ------------------------------------------------------------------- */

static void begin_one(void *context) {
    gmac_begin(context, zeros);
}

static void end_one(void *context) {
    uint8_t tag[GMAC_BYTES];
    gmac_end(context, tag);
}

static void a_tag_without_a_key_is_a_bug(void **state) {
    (void)state;
    gmac_key_set(&gmac, zeros);
    gmac_key_clear(&gmac);
    death_expect_abort(begin_one, &gmac, "has_key");
}

/* So nobody gets two tags of a nonce by ending twice, or goes on with another key. */
static void a_tag_that_was_not_begun_is_a_bug(void **state) {
    (void)state;
    uint8_t tag[GMAC_BYTES];
    gmac_key_set(&gmac, zeros);
    death_expect_abort(end_one, &gmac, "begun");
    tag_of(tag, zeros, NULL, 0);
    death_expect_abort(end_one, &gmac, "begun");
    gmac_begin(&gmac, zeros);
    gmac_key_set(&gmac, zeros);
    death_expect_abort(end_one, &gmac, "begun");
}

/* ---- tags --------------------------------------------------------------------------------- */

/* "The Galois/Counter Mode of Operation" (McGrew, Viega), case 13; NIST's vectors for validation
 * (CAVP, gcmEncryptExtIV256, without a text: count 0 for 0 and for 128 bits of additional data);
 * IEEE 802.1AE (Randall, "The Use of GCM-AES-256 in MACsec"), packets of 54 and 60 bytes that are
 * authenticated only. */
static void the_values_are_the_published_ones(void **state) {
    (void)state;
    expect("0000000000000000000000000000000000000000000000000000000000000000",
           "000000000000000000000000", "", "530f8afbc74536b9a963b4f1c4cb738b");
    expect("b52c505a37d78eda5dd34f20c22540ea1b58963cf8e5bf8ffa85f9f2492505b4",
           "516c33929df5a3284ff463d7", "", "bdc1ac884d332457a1d2664f168c76f0");
    expect("78dc4e0aaf52d935c3c01eea57428f00ca1fd475f5da86a49c8dd73d68c8e223",
           "d79cf22d504cc793c3fb6c8a", "b96baa8c1c75a671bfb2d08d06be5f36",
           "3e5d486aa2e30b22e040b85723a06e76");
    expect("e3c08a8f06c6e3ad95a70557b23f75483ce33021a9c72b7025666204c69c0b72",
           "12153524c0895e81b2c28465",
           "d609b1f056637a0d46df998d88e5222ab2c2846512153524c0895e81"
           "08000f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f30313233340001",
           "2f0bc5af409e06d609ea8b7d0fa5ea50");
    expect("691d3ee909d7f54167fd1ca0b5d769081f2bde1aee655fdbab80bd5295ae6be7",
           "f0761e8dcd3d000176d457ed",
           "e20106d7cd0df0761e8dcd3d88e5400076d457ed08000f101112131415161718191a1b1c1d1e1f"
           "202122232425262728292a2b2c2d2e2f303132333435363738393a0003",
           "35217c774bbc31b63166bcf9d4abed07");
}

static void every_bit_of_key_nonce_and_bytes_matters(void **state) {
    (void)state;
    static const size_t lengths[] = {1, 15, 16, 17, 64, 200};
    uint8_t key[GMAC_KEY_BYTES];
    uint8_t nonce[GMAC_NONCE_BYTES];
    uint8_t data[200];
    uint8_t right[GMAC_BYTES];
    uint8_t other[GMAC_BYTES];
    struct random random;
    random_seed(&random, 7);
    random_fill(&random, key, sizeof(key));
    random_fill(&random, nonce, sizeof(nonce));
    random_fill(&random, data, sizeof(data));
    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
        struct place {
            uint8_t *bytes;
            size_t length_bytes;
        } const places[] = {{key, sizeof(key)}, {nonce, sizeof(nonce)}, {data, lengths[i]}};
        gmac_key_set(&gmac, key);
        tag_of(right, nonce, data, lengths[i]);
        for (size_t place = 0; place < ARRAY_COUNT(places); place++) {
            for (size_t bit = 0; bit < 8 * places[place].length_bytes; bit++) {
                places[place].bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
                gmac_key_set(&gmac, key);
                tag_of(other, nonce, data, lengths[i]);
                assert_false(mac_equal(right, other, GMAC_BYTES));
                places[place].bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            }
        }
        gmac_key_set(&gmac, key);
        tag_of(other, nonce, data, lengths[i]);
        assert_true(mac_equal(right, other, GMAC_BYTES));
        tag_of(other, nonce, data, lengths[i] - 1); /* nor does a zero more or less go unseen */
        assert_false(mac_equal(right, other, GMAC_BYTES));
    }
}

static void pieces_give_the_tag_of_the_whole(void **state) {
    (void)state;
    uint8_t data[DATA_BYTES];
    struct random random;
    random_seed(&random, 1);
    random_fill(&random, data, sizeof(data));
    gmac_key_set(&gmac, data);
    for (uint8_t round = 0; round < 200; round++) {
        const uint8_t nonce[GMAC_NONCE_BYTES] = {round};
        const size_t length = (size_t)random_below(&random, sizeof(data) + 1);
        uint8_t whole[GMAC_BYTES];
        uint8_t pieces[GMAC_BYTES];
        tag_of(whole, nonce, data, length);
        gmac_begin(&gmac, zeros); /* one that is given up leaves nothing behind */
        gmac_update(&gmac, data, (size_t)random_below(&random, sizeof(data)));
        gmac_begin(&gmac, nonce);
        for (size_t done = 0; done < length;) {
            const size_t piece = (size_t)random_below(&random, length - done + 1);
            gmac_update(&gmac, data + done, piece);
            done += piece;
        }
        gmac_end(&gmac, pieces);
        assert_memory_equal(whole, pieces, GMAC_BYTES);
    }
}

static void an_earlier_key_leaves_nothing_behind(void **state) {
    (void)state;
    uint8_t first[GMAC_BYTES];
    uint8_t again[GMAC_BYTES];
    const uint8_t other[GMAC_KEY_BYTES] = "another key";
    gmac_key_set(&gmac, zeros);
    tag_of(first, zeros, other, sizeof(other));
    gmac_key_set(&gmac, other);
    gmac_begin(&gmac, zeros);
    gmac_update(&gmac, other, sizeof(other));
    gmac_key_clear(&gmac);
    gmac_key_set(&gmac, zeros);
    tag_of(again, zeros, other, sizeof(other));
    assert_memory_equal(first, again, GMAC_BYTES);
}

static void only_making_one_allocates(void **state) {
    (void)state;
    struct gmac another;
    uint8_t data[DATA_BYTES] = {0};
    uint8_t tag[GMAC_BYTES];
    uint64_t before = allocations;
    assert_int_equal(gmac_create(&another, NULL), WEIR_OK);
    assert_true(allocations > before); /* they are counted */
    before = allocations;
    for (uint8_t i = 0; i < 100; i++) {
        const uint8_t nonce[GMAC_NONCE_BYTES] = {i};
        gmac_key_set(&another, data);
        gmac_begin(&another, nonce);
        gmac_update(&another, data, sizeof(data));
        gmac_end(&another, tag);
        gmac_key_clear(&another);
    }
    assert_int_equal(allocations, before);
    gmac_destroy(&another);
    gmac_destroy(&another); /* there is none: nothing */
}

/* ---- what libcrypto allocates ------------------------------------------------------------- */

static void *count_malloc(size_t bytes, const char *file, int line) {
    (void)file;
    (void)line;
    allocations++;
    return malloc(bytes);
}

static void *count_realloc(void *memory, size_t bytes, const char *file, int line) {
    (void)file;
    (void)line;
    allocations++;
    return realloc(memory, bytes);
}

static void count_free(void *memory, const char *file, int line) {
    (void)file;
    (void)line;
    free(memory);
}

static int begin(void **state) {
    (void)state;
    /* Before libcrypto has allocated anything. */
    return CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free) == 1
               ? gmac_create(&gmac, NULL)
               : -1;
}

static int end(void **state) {
    (void)state;
    gmac_destroy(&gmac);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tag_without_a_key_is_a_bug),
        cmocka_unit_test(a_tag_that_was_not_begun_is_a_bug),
        cmocka_unit_test(the_values_are_the_published_ones),
        cmocka_unit_test(every_bit_of_key_nonce_and_bytes_matters),
        cmocka_unit_test(pieces_give_the_tag_of_the_whole),
        cmocka_unit_test(an_earlier_key_leaves_nothing_behind),
        cmocka_unit_test(only_making_one_allocates),
    };
    return cmocka_run_group_tests_name("base_gmac", tests, begin, end);
}
