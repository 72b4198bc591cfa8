/*
 * HMAC over libcrypto's SHA-256, by the functions that work on a struct of the caller's.
 *
 * Measured (AMD EPYC with SHA extensions, libcrypto 3.0.19, gcc 12 -O2; the first column is what
 * bench/mac_bench prints), nanoseconds a tag, and heap allocations of each:
 *
 *     bytes          here          EVP_MAC, a context kept for the key
 *        80       131, none           194, 2
 *      1024       589, none           652, 2
 *   1048576   497,000, none       497,000, 2
 *
 * EVP_MAC_init copies a half of the key into its context, and each copy of a digest's context is a
 * new one on the heap. libcrypto calls these functions deprecated since 3.0, and has them in all of
 * 3.x; should they go, this file alone changes.
 */

#include "base/mac.h"

#include <string.h>

#include "base/assert.h"

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/sha.h>

enum {
    BLOCK_BYTES = SHA256_CBLOCK,
    INNER_PAD = 0x36, /* RFC 2104, 2 */
    OUTER_PAD = 0x5c,
};
_Static_assert(sizeof(SHA256_CTX) <= (size_t)MAC_STATE_BYTES,
               "MAC_STATE_BYTES is too small for this libcrypto");
_Static_assert(_Alignof(SHA256_CTX) <= _Alignof(struct mac_state), "its state is aligned");
_Static_assert((int)MAC_BYTES == (int)SHA256_DIGEST_LENGTH, "a tag is a digest");

static SHA256_CTX *context_of(struct mac_state *state) {
    return (SHA256_CTX *)(void *)state->opaque;
}

/* False if it is all zeros, as before it was set and when it was cleared: SHA256_Final would then
 * say that all is well, and write nothing, as its digest is of no bytes. */
static bool key_is_set(const struct mac_key *key) {
    const SHA256_CTX *inner = (const SHA256_CTX *)(const void *)key->inner.opaque;
    const SHA256_CTX *outer = (const SHA256_CTX *)(const void *)key->outer.opaque;
    return inner->md_len == SHA256_DIGEST_LENGTH && outer->md_len == SHA256_DIGEST_LENGTH;
}

/* SHA-256 after one block: the secret, filled up with zeros, with `pad` in each byte. */
static void half_set(struct mac_state *half, const uint8_t secret[BLOCK_BYTES], uint8_t pad) {
    uint8_t block[BLOCK_BYTES];
    for (size_t i = 0; i < BLOCK_BYTES; i++)
        block[i] = secret[i] ^ pad;
    memset(half, 0, sizeof(*half));
    const int begun = SHA256_Init(context_of(half));
    const int added = SHA256_Update(context_of(half), block, BLOCK_BYTES);
    ASSERT(begun == 1 && added == 1); /* they cannot fail */
    OPENSSL_cleanse(block, sizeof(block));
}

void mac_key_set(struct mac_key *key, const void *secret, size_t length_bytes) {
    uint8_t block[BLOCK_BYTES] = {0};
    ASSERT(secret != NULL || length_bytes == 0);
    if (length_bytes > BLOCK_BYTES)
        (void)SHA256(secret, length_bytes, block);
    else if (length_bytes > 0)
        memcpy(block, secret, length_bytes);
    half_set(&key->inner, block, INNER_PAD);
    half_set(&key->outer, block, OUTER_PAD);
    OPENSSL_cleanse(block, sizeof(block));
}

void mac_key_clear(struct mac_key *key) {
    OPENSSL_cleanse(key, sizeof(*key));
}

void mac_bytes_clear(void *bytes, size_t length_bytes) {
    ASSERT(bytes != NULL);
    OPENSSL_cleanse(bytes, length_bytes);
}

void mac_begin(struct mac_state *state, const struct mac_key *key) {
    ASSERT(key_is_set(key));
    *state = key->inner;
}

void mac_update(struct mac_state *state, const void *data, size_t length_bytes) {
    ASSERT(data != NULL || length_bytes == 0);
    const int added = SHA256_Update(context_of(state), data, length_bytes);
    ASSERT(added == 1);
}

void mac_end(struct mac_state *state, const struct mac_key *key, uint8_t out[MAC_BYTES]) {
    ASSERT(key_is_set(key));
    uint8_t digest[SHA256_DIGEST_LENGTH];
    const int ended = SHA256_Final(digest, context_of(state));
    *state = key->outer;
    const int added = SHA256_Update(context_of(state), digest, sizeof(digest));
    const int tagged = SHA256_Final(out, context_of(state));
    ASSERT(ended == 1 && added == 1 && tagged == 1);
}

bool mac_equal(const void *a, const void *b, size_t length_bytes) {
    return CRYPTO_memcmp(a, b, length_bytes) == 0;
}
